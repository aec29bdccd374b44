/**
 * Gateways that take turns: the CPU that each spends on an accepted event, on a machine that has other things to do too.
 *
 * In every round each gateway is started anew and warmed up; then they take turns, a slice of each load at a time, so that
 * whatever else happens on the machine happens to all of them. A ratio compares slices of the same turn, and what is shown is
 * the median of all turns with the middle half of them: sums would show the disturbances.
 */
import { Redis } from 'ioredis'
import { startRedis } from '../scripts/private-redis.ts'
import type { Load, Sender } from './gateway-load.ts'
import type { ProbedServer } from './probed-server.ts'

export interface TurnsOptions<Kind extends string> {
  readonly kinds: readonly Kind[]
  start(kind: Kind, redisUrl: string): Promise<ProbedServer>
  /** By name. */
  readonly loads: Readonly<Record<string, Load>>
  /** Events of each load that each gateway takes in a round. */
  readonly events: number
  readonly rounds: number
  /** Events of one turn. */
  readonly slice: number
  /** Events that each gateway takes before the first turn of a round, of all loads together. */
  readonly warmUp: number
  /** Asks a gateway something at the end of a round, before it is stopped. */
  atEnd?(kind: Kind, gateway: ProbedServer): Promise<void>
}

/** µs per event of one turn. */
export interface Spent {
  readonly gateway: number
  readonly redis: number
}

export interface Turns<Kind extends string> {
  readonly redisVersion: string
  /** One of each turn; the n-th of one gateway and the n-th of another belong together. */
  spent(load: string, kind: Kind): readonly Spent[]
  /** What a gateway did between its turns, spread over its events, µs per event: one of each round. */
  between(kind: Kind): readonly number[]
}

interface Contender<Kind> {
  readonly kind: Kind
  readonly server: ProbedServer
  run(load: string, count: number): Promise<void>
  stop(): Promise<void>
}

export async function takeTurns<Kind extends string>(options: TurnsOptions<Kind>): Promise<Turns<Kind>> {
  const { kinds, loads, events, rounds, slice, warmUp } = options
  const names = Object.keys(loads)
  const redis = await startRedis({ appendfsync: 'no' })
  const control = new Redis(redis.url)
  const spent = new Map(names.map((name) => [name, new Map(kinds.map((kind) => [kind, [] as Spent[]]))]))
  const between = new Map(kinds.map((kind) => [kind, [] as number[]]))

  const contend = async (kind: Kind): Promise<Contender<Kind>> => {
    const server = await options.start(kind, redis.url)
    const senders = new Map<string, Sender>()
    return {
      kind,
      server,
      async run(name, count) {
        // Not before there is something to send: a connection that stays silent is closed.
        const sender = senders.get(name) ?? (await loads[name]!.connect(server.port))
        senders.set(name, sender)
        await sender.run(count)
      },
      async stop() {
        for (const sender of senders.values()) sender.close()
        await server.stop()
      },
    }
  }

  for (let round = 0; round < rounds; round++) {
    await control.flushall()
    const contenders = await Promise.all(kinds.map(contend))
    for (const { run } of shuffled(contenders)) {
      for (const name of names) await run(name, warmUp / names.length)
    }
    const rest = new Map<Kind, number>()
    for (const { kind, server } of contenders) rest.set(kind, -(await server.cpu()))
    let taken = 0
    for (let done = 0; done < events; done += slice) {
      for (const name of names) {
        taken += slice
        // Who comes after whom must not matter: the one before leaves the caches as it likes them, and work to be done later.
        for (const { kind, server, run } of shuffled(contenders)) {
          const [before, redisBefore] = [await server.cpu(), await redisCpu(control)]
          await run(name, slice)
          const [used, redisUsed] = [(await server.cpu()) - before, (await redisCpu(control)) - redisBefore]
          spent
            .get(name)!
            .get(kind)!
            .push({ gateway: used / slice, redis: redisUsed / slice })
          rest.set(kind, rest.get(kind)! - used)
        }
      }
      await control.flushall()
    }
    for (const { kind, server } of contenders) {
      between.get(kind)!.push((rest.get(kind)! + (await server.cpu())) / taken)
      await options.atEnd?.(kind, server)
    }
    for (const each of contenders) await each.stop()
  }
  const redisVersion = /redis_version:(\S+)/.exec(await control.info('server'))?.[1] ?? 'unknown'
  control.disconnect()
  await redis.stop()
  return {
    redisVersion,
    spent: (name, kind) => spent.get(name)!.get(kind)!,
    between: (kind) => between.get(kind)!,
  }
}

/** CPU that Redis has used so far, by its own count, µs. */
async function redisCpu(control: Redis): Promise<number> {
  const info = await control.info('cpu')
  const seconds = (name: string) => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1])
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => [Math.random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)
}
