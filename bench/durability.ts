/**
 * What `durability: replica` costs: admissions per second and their latency over one connection, answered when the master
 * has the event, or when one or two replicas have confirmed it (one WAIT for all that were answered meanwhile).
 *
 *     pnpm bench:durability [--events 10000] [--rounds 5] [--quick]
 */
import { parseArgs } from 'node:util'
import { systemClock } from '@weir/core/clock'
import { partitionKeys } from '@weir/core/keys'
import { createReplicaWait } from '@weir/core/redis/durable'
import { connectRedis } from '@weir/core/redis/link'
import { createAdmitter } from '@weir/core/stream/admit'
import { Redis } from 'ioredis'
import { startRedis } from '../scripts/private-redis.ts'
import { githubAdmissions } from './admissions.ts'
import { headline, machine, median, percentile, printTable, spread } from './table.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const most = Number(values.events ?? (values.quick ? 1000 : 10_000))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 5))
/** Events under way at once, and how many are sent then. */
const LOADS = [1, 16, 64, 256].map((atOnce) => ({
  atOnce,
  events: Math.ceil(most / (atOnce === 1 ? 10 : 1)),
}))
const REPLICAS = [0, 1, 2]
const REPLICA_TIMEOUT_MS = 5_000

const keys = partitionKeys({
  stream: 'webhook-events',
  deadLetters: 'webhook-events-dlq',
  group: 'webhook-processors',
  cluster: false,
})

interface Run {
  readonly rate: number
  readonly p50: number
  readonly p99: number
  readonly perWait: number
}

/** Each number of replicas has servers of its own: WAIT for one of two would be answered by the faster one. */
async function startPlace(replicas: number) {
  const server = (...args: string[]) =>
    startRedis({ appendfsync: 'no', args: ['--repl-diskless-sync-delay', '0', ...args] })
  const master = await server()
  const others = await Promise.all(
    Array.from({ length: replicas }, () => server('--replicaof', '127.0.0.1', String(master.port))),
  )
  const control = new Redis(master.url)
  while (((await control.info('replication')).match(/state=online/g)?.length ?? 0) < replicas) {
    await systemClock.wait(20)
  }
  const link = connectRedis({
    url: master.url,
    commandTimeoutMs: 30_000,
    connectTimeoutMs: 5_000,
    reconnectMaxDelayMs: 500,
    name: 'bench',
  })
  await link.ready()
  let waits = 0
  const wait = createReplicaWait({
    link,
    replicas,
    timeoutMs: REPLICA_TIMEOUT_MS,
    barrier: keys.barrier,
    clock: systemClock,
    onWaited: () => waits++,
  })
  const admitter = createAdmitter({
    keys,
    window: () => ({ duration: 300_000, maxSize: 1 }),
    evidenceShards: 2048,
    now: Date.now,
  })

  return {
    version: /redis_version:(\S+)/.exec(await control.info('server'))?.[1] ?? 'unknown',
    async run(atOnce: number, count: number, prefix: string): Promise<Run> {
      const admissions = [...githubAdmissions(count, prefix)]
      const latencies = new Float64Array(count)
      let next = 0
      waits = 0
      const work = async () => {
        for (let at = next++; at < count; at = next++) {
          const startedAt = performance.now()
          const { kind } = await admitter.admit(link, admissions[at]!)
          if (kind !== 'accepted') throw new Error(`an event was not accepted but ${kind}`)
          if (replicas > 0) await wait.confirm('wrote')
          latencies[at] = performance.now() - startedAt
        }
      }
      const startedAt = performance.now()
      await Promise.all(Array.from({ length: atOnce }, work))
      const seconds = (performance.now() - startedAt) / 1000
      latencies.sort()
      await control.flushall()
      return {
        rate: count / seconds,
        p50: percentile(latencies, 0.5),
        p99: percentile(latencies, 0.99),
        perWait: count / Math.max(1, waits),
      }
    },
    async stop() {
      control.disconnect()
      await link.close()
      await Promise.all([master, ...others].map((each) => each.stop()))
    },
  }
}

const places = new Map<number, Awaited<ReturnType<typeof startPlace>>>()
for (const replicas of REPLICAS) places.set(replicas, await startPlace(replicas))
const version = places.get(0)!.version
const results = new Map<string, Run[]>()
for (let round = 0; round < rounds; round++) {
  for (const { atOnce, events } of LOADS) {
    for (const [replicas, place] of places) {
      const run = await place.run(atOnce, events, `${round}-${atOnce}-${replicas}`)
      const key = `${atOnce}\t${replicas}`
      results.set(key, [...(results.get(key) ?? []), run])
    }
  }
}
for (const place of places.values()) await place.stop()

console.log(
  `${machine({ Redis: version })} · ${most} events, ${rounds} rounds, interleaved; median (min–max). Client, master and replicas share the cores.`,
)
const rateOf = (key: string) => median(results.get(key)!.map(({ rate }) => rate))
printTable(
  'Admissions over one connection',
  ['at once', 'durability', 'events/s', 'vs local', 'p50 ms', 'p99 ms', 'events per WAIT'],
  LOADS.flatMap(({ atOnce }) =>
    REPLICAS.map((replicas) => {
      const key = `${atOnce}\t${replicas}`
      const runs = results.get(key)!
      return [
        String(atOnce),
        replicas === 0 ? 'local' : `replica, ${replicas} of ${replicas}`,
        spread(
          runs.map(({ rate }) => rate),
          0,
        ),
        `${(rateOf(key) / rateOf(`${atOnce}\t0`)).toFixed(2)}×`,
        spread(
          runs.map(({ p50 }) => p50),
          2,
        ),
        spread(
          runs.map(({ p99 }) => p99),
          2,
        ),
        replicas === 0 ? '' : median(runs.map(({ perWait }) => perWait)).toFixed(1),
      ]
    }),
  ),
)
headline({
  question: 'admissions per second at 64 at once, one replica waited for, against none',
  figure: rateOf('64\t1') / rateOf('64\t0'),
  unit: '×',
})
