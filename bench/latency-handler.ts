/**
 * The handler of bench/latency.ts: does nothing but write down which delivery it saw and when, in `LATENCY_RECORD`, 16 bytes
 * each: number of the delivery and monotonic time in ms, as doubles. The sender's times are by the same clock.
 */
import { openSync, writeSync } from 'node:fs'
import { defineHandler } from '@weir/core/handlers/handler'
import { monotonicMs, numberOfDelivery } from './latency-deliveries.ts'

const FLUSH_MS = 100
const ROOM = 65_536

let record: ((delivery: string) => void) | undefined

function openRecord(path: string | undefined): (delivery: string) => void {
  if (path === undefined) throw new Error('LATENCY_RECORD is not set')
  const file = openSync(path, 'a')
  const seen = new Float64Array(ROOM * 2)
  let filled = 0
  const flush = () => {
    writeSync(file, seen, 0, filled * 8)
    filled = 0
  }
  setInterval(() => filled > 0 && flush(), FLUSH_MS).unref()
  return (delivery) => {
    if (filled === seen.length) flush()
    seen[filled++] = numberOfDelivery(delivery)
    seen[filled++] = monotonicMs()
  }
}

export default defineHandler({
  name: 'record-time',
  tool: 'github',
  events: ['*'],
  run(event) {
    record ??= openRecord(process.env.LATENCY_RECORD)
    record(event.headers.get('x-github-delivery') ?? '')
  },
})
