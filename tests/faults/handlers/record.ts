/**
 * Records what it does in a directory, independently of Weir: one file per idempotency key, created exclusively (the
 * effect), and one line per run in `runs.log`. What a run does is in the payload: see `Order`.
 */
import { createHash } from 'node:crypto'
import { appendFileSync, linkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineHandler } from '@weir/core/handlers/handler'

/** What the sender puts into the payload. */
export interface Order {
  readonly n: number
  /** Fails in this many attempts first. */
  readonly failures?: number
  /** Kills its process, from this attempt on. */
  readonly deadlyFrom?: number
  readonly padding?: string
}

export default defineHandler({
  name: 'record',
  tool: 'github',
  events: ['*'],
  async run(event, ctx) {
    const directory = process.env.RECORD_DIRECTORY
    if (directory === undefined) throw new Error('RECORD_DIRECTORY is not set')
    const order = event.payload as unknown as Order
    const hash = createHash('sha256').update(event.body).digest('hex')
    appendFileSync(join(directory, 'runs.log'), `${event.id} ${event.attempt} ${process.pid}\n`)
    if (order.deadlyFrom !== undefined && event.attempt >= order.deadlyFrom)
      process.kill(process.pid, 'SIGKILL')
    if (event.attempt <= (order.failures ?? 0)) throw new Error('as ordered')
    const effect = join(directory, 'effects', ctx.idempotencyKey)
    const draft = `${effect}.${process.pid}`
    // Written first, then linked: a kill in between leaves no half-made effect behind.
    writeFileSync(draft, hash)
    try {
      linkSync(draft, effect)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    } finally {
      unlinkSync(draft)
    }
  },
})
