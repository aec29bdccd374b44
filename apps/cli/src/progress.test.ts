import { describe, expect, it } from 'vitest'
import { progressOf } from './progress.ts'

/** A bar, what it wrote, and a clock that a test turns. */
function barOf({ terminal = true, json = false } = {}) {
  let now = 0
  let written = ''
  const clock = { now: () => now, monotonic: () => now, wait: async () => undefined }
  const err = (text: string) => {
    written += text
  }
  const bar = progressOf({ err, terminal, clock }, 'things', json)
  const pass = (ms: number) => {
    now += ms
  }
  return { bar, written: () => written, pass }
}

describe('a progress bar', () => {
  it('rewrites one line, and takes it away in the end', () => {
    const { bar, written, pass } = barOf()
    expect(bar.watched).toBe(true)
    bar.show(1, 4)
    pass(200)
    bar.show(2, 4)
    expect(written().split('\r').slice(1)).toEqual([
      `${'█'.repeat(6)}${'░'.repeat(18)} 25 %  1 of 4 things`,
      `${'█'.repeat(12)}${'░'.repeat(12)} 50 %  2 of 4 things`,
    ])
    bar.end()
    expect(written()).toMatch(/\r +\r$/)
  })

  it('is not rewritten more often than somebody can read', () => {
    const { bar, written } = barOf()
    for (let done = 0; done < 1000; done++) bar.show(done, 1000)
    expect(written().match(/\r/g)).toHaveLength(1)
  })

  it.each([{ terminal: false }, { json: true }])('is silent where nobody watches: %j', (where) => {
    const { bar, written } = barOf(where)
    expect(bar.watched).toBe(false)
    bar.show(1, 2)
    bar.end()
    expect(written()).toBe('')
  })
})
