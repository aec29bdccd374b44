/**
 * What bench/sweep.ts compares a sweep with: a process of the curator's priority that uses as much of the processor, and has nothing to do
 * with Weir: no Redis, no disk.
 *
 *     node bench/bystander.ts <seconds> <share of one core, 0 to 1>
 */
import { setTimeout as wait } from 'node:timers/promises'
import { deflateSync } from 'node:zlib'
import { lowerPriority } from '@weir/core/priority'
import { githubPayloads } from './payloads.ts'

/** As the curator (apps/curator/src/main.ts). */
const PRIORITY = 10
/** The curator packs a group of contexts for about so long before it waits for Redis, ms. */
const TURN_MS = 2.5

lowerPriority(PRIORITY)

const [seconds, share] = process.argv.slice(2).map(Number) as [number, number]
const { body } = githubPayloads().find(({ type }) => type === 'push')!
const began = performance.now()
const startedWith = process.cpuUsage()
const used = () => {
  const { user, system } = process.cpuUsage(startedWith)
  return (user + system) / 1000
}
while (performance.now() - began < seconds * 1000) {
  const until = performance.now() + TURN_MS
  while (performance.now() < until) deflateSync(body)
  const ahead = used() / share - (performance.now() - began)
  if (ahead > 0) await wait(ahead)
}
