/** The handler of a run, which keeps a record of its own of what it did: see files.ts. Its consumer has RECORD_DIRECTORY. */
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { defineHandler } from '@weir/core/handlers/handler'
import { effectFile, hashOf, type Order } from './files.ts'

const directory = process.env.RECORD_DIRECTORY
if (directory === undefined) throw new Error('RECORD_DIRECTORY is not set')
const runs = openSync(join(directory, `runs-${process.pid}.log`), 'a')

export default defineHandler({
  name: 'ledger',
  tool: 'github',
  events: ['*'],
  async run(event, ctx) {
    const order = event.payload as unknown as Order
    writeSync(runs, `R ${event.id} ${order.delivery} ${hashOf(event.body)} ${ctx.idempotencyKey}\n`)
    if (order.deadly) process.kill(process.pid, 'SIGKILL')
    if (order.takesMs !== undefined) await pause(order.takesMs)
    if (event.attempt <= (order.failures ?? 0)) throw new Error('as ordered')
    try {
      closeSync(openSync(effectFile(directory, ctx.idempotencyKey), 'wx'))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  },
})
