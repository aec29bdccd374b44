/** What it costs Redis to note an access: CPU of the script that counts it, with the note and without, and memory. */
import { contextIdOf } from '@weir/context-lifecycle/context-id'
import { touchContext } from '@weir/context-lifecycle/hot-append'
import { connectRedis } from '@weir/core/redis/link'
import { startRedis } from '../scripts/private-redis.ts'
import { benchContexts } from './contexts-place.ts'

export interface NoteCost {
  /** µs of Redis for an access, in each round. */
  readonly without: readonly number[]
  readonly noted: readonly number[]
  /** Redis memory of one note, bytes. */
  readonly bytes: number
  readonly redis: string
}

const CONTEXTS = 2_000
const TOGETHER = 100
/** A head of a context, so far as counting an access needs it: version 1, one event, an identity of no length. */
const HEAD = Buffer.alloc(64)
HEAD[0] = 1

export async function noteCost(rounds: number): Promise<NoteCost> {
  const server = await startRedis({ appendfsync: 'no' })
  const settings = { commandTimeoutMs: 30_000, connectTimeoutMs: 5_000, reconnectMaxDelayMs: 500 }
  const link = connectRedis({ url: server.url, ...settings, name: 'bench' })
  await link.ready()
  const { keys } = benchContexts(link).place
  const ids = Array.from({ length: CONTEXTS }, (_, n) => contextIdOf('acme', 'any', String(n)))
  const each = async (act: (id: string) => Promise<unknown>) => {
    for (let from = 0; from < ids.length; from += TOGETHER)
      await Promise.all(ids.slice(from, from + TOGETHER).map(act))
  }
  const microsOf = async (keepMs: number) => {
    await link.call('FLUSHALL')
    await each((id) => link.call('SET', keys.head(id), HEAD))
    await link.call('CONFIG', 'RESETSTAT')
    await each((id) => touchContext(link, keys, id, keepMs === 0 ? undefined : { keepMs }))
    const stats = String(await link.call('INFO', 'commandstats'))
    return Number(/cmdstat_evalsha:.*usec_per_call=([\d.]+)/.exec(stats)?.[1])
  }
  const [without, noted]: [number[], number[]] = [[], []]
  await microsOf(0) // the script is compiled
  for (let round = 0; round < rounds; round++) {
    without.push(await microsOf(0))
    noted.push(await microsOf(14 * 86_400_000))
  }
  const bytes = Number(await link.call('MEMORY', 'USAGE', keys.accesses, 'SAMPLES', 0)) / CONTEXTS
  const info = String(await link.call('INFO', 'server'))
  await link.close()
  await server.stop()
  return { without, noted, bytes, redis: /redis_version:(\S+)/.exec(info)?.[1] ?? 'unknown' }
}
