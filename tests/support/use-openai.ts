/** A server that speaks OpenAI's API, for all tests of a file; it forgets everything before each. */
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { type OpenAiStub, type RunningOpenAi, startOpenAi } from './openai.ts'

export function useOpenAi(): OpenAiStub {
  let running: RunningOpenAi | undefined
  const stub = (): RunningOpenAi => {
    if (running === undefined) throw new Error('the server of this file runs only inside its tests and hooks')
    return running
  }
  beforeAll(async () => {
    running = await startOpenAi()
  })
  beforeEach(() => stub().reset())
  afterAll(() => stub().stop())
  return {
    get url() {
      return stub().url
    },
    get requests() {
      return stub().requests
    },
    get texts() {
      return stub().texts
    },
    next: (...answers) => stub().next(...answers),
    always: (answer) => stub().always(answer),
    came: (count) => stub().came(count),
  }
}
