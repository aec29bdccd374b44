/** What is told and offered again when Redis comes back without what it had acknowledged, also when that is interrupted. */
import { Fault } from '@weir/core/faults'
import type { FieldList } from '@weir/core/record'
import type { RedisReply } from '@weir/core/redis/link'
import type { Admission } from '@weir/core/stream/admit'
import { describe, expect, it } from 'vitest'
import { type TestPipeline, usePipeline } from '../../../tests/support/pipeline.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { createLog } from './log.ts'
import { createMetrics } from './metrics.ts'
import { createReoffer } from './reoffer.ts'
import { createWitness } from './witness.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)

const WINDOW_MS = 60_000

/** A gateway's witness of so many events, and the check after a reconnect. */
async function world(pipeline: TestPipeline, events: number) {
  const { link, keys } = pipeline
  let now = 0
  const witness = createWitness({ windowMs: WINDOW_MS, maxBytes: 1 << 20, now: () => now })
  const metrics = createMetrics()
  const told: number[] = []
  const log = createLog('error', {
    write(line: string) {
      const { event, held } = JSON.parse(line) as { event?: string; held: number }
      if (event === 'loss') told.push(held)
    },
  })
  let connection = witness.nextConnection()
  const accept = async () => {
    const { id, streamId } = await pipeline.accept()
    const [entry] = (await link.call('XRANGE', keys.stream, streamId, streamId)) as [[Buffer, FieldList]]
    witness.saw(entry[1], streamId)
    return id
  }
  const ids: string[] = []
  for (let n = 0; n < events; n++) ids.push(await accept())
  /** Events for which Redis is away, once each. */
  const away = new Set<string>()
  const admit = async ({ id, fields }: Admission) => {
    if (away.delete(id)) throw new Fault('REDIS_UNAVAILABLE', 'away')
    const streamId = (await link.call('XADD', keys.stream, '*', ...(fields as Buffer[]))) as RedisReply
    return { outcome: { kind: 'accepted', streamId: String(streamId), redisMs: 0 } as const, witness }
  }
  const reoffer = createReoffer({ link, keys, admit, witness, metrics, log })
  return {
    accept,
    ids,
    away,
    /** How many were held of each loss that was told. */
    told,
    connect() {
      connection = witness.nextConnection()
    },
    check: () => reoffer(connection),
    /** So much time passes that what was accepted before is older than the window. */
    age() {
      now += WINDOW_MS + 1
    },
    held: () => witness.held,
    length: () => link.call('XLEN', keys.stream),
    /** Empties the stream; the ids of what comes then are later ones. */
    async lose() {
      await link.call('DEL', keys.stream)
      const lost = await pipeline.now()
      while ((await pipeline.now()) === lost);
    },
    losses: () => metrics.counters().webhook_loss_detected_total,
  }
}

describe('a loss', () => {
  it('is told once when the check is broken off, and all is offered again in the end', async () => {
    const { ids, away, told, connect, check, length, lose, losses } = await world(await open(), 20)
    await lose()
    for (const n of [3, 17]) away.add(ids[n] as string)
    connect()
    await expect(check()).rejects.toThrow('away')
    away.add(ids[3] as string)
    await expect(check()).rejects.toThrow('away')
    connect()
    await check()
    await check()
    expect(await length()).toBe(20)
    expect({ losses: losses(), told }).toEqual({ losses: 1, told: [20] })
  })

  it('is told again when more is lost before all of the first was offered again', async () => {
    const { accept, ids, away, told, connect, check, length, lose, losses } = await world(await open(), 5)
    await lose()
    away.add(ids[2] as string)
    connect()
    await expect(check()).rejects.toThrow('away')
    await accept()
    await lose()
    connect()
    await check()
    expect(await length()).toBe(6)
    expect({ losses: losses(), told }).toEqual({ losses: 2, told: [5, 6] })
  })

  it('of all is seen although new events are in the stream before the check', async () => {
    const { accept, told, connect, check, length, lose } = await world(await open(), 5)
    await lose()
    connect()
    await accept()
    await check()
    expect(told).toEqual([5])
    expect(await length()).toBe(6)
  })

  it('is seen however long Redis was away, also when new events come before the check, or between two', async () => {
    const { accept, ids, away, told, connect, check, age, held, length, lose } = await world(await open(), 5)
    await check()
    await lose()
    age()
    connect()
    await accept()
    away.add(ids[0] as string)
    await expect(check()).rejects.toThrow('away')
    age()
    await accept()
    await check()
    expect(told).toEqual([5])
    expect(await length()).toBe(7)
    age()
    await accept()
    expect(held()).toBe(1)
  })

  it('that is told when its events are not looked at yet is not told again when they are', async () => {
    const { accept, told, connect, check, length, lose, losses } = await world(await open(), 5)
    await lose()
    // This connection's own: they are looked at after the next one is made.
    await check()
    expect(told).toEqual([0])
    connect()
    await check()
    expect(await length()).toBe(5)
    expect({ losses: losses(), told }).toEqual({ losses: 1, told: [0] })
    await accept()
    await lose()
    connect()
    await check()
    expect(told).toEqual([0, 6])
  })

  it('is none where nothing was held, and nothing acknowledged', async () => {
    const { told, connect, check, lose } = await world(await open(), 0)
    await lose()
    connect()
    await check()
    expect(told).toEqual([])
  })
})
