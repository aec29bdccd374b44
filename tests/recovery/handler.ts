/** Writes down which event it saw and when: one line each in `RECORD_FILE`, `<event id> <monotonic ms>`. */
import { appendFileSync } from 'node:fs'
import { defineHandler } from '@weir/core/handlers/handler'
import { monotonicMs } from './monotonic.ts'

export default defineHandler({
  name: 'record-time',
  tool: 'github',
  events: ['*'],
  run(event) {
    const file = process.env.RECORD_FILE
    if (file === undefined) throw new Error('RECORD_FILE is not set')
    appendFileSync(file, `${event.id} ${monotonicMs()}\n`)
  },
})
