import { describe, expect, it } from 'vitest'
import { touchEvidence } from '../../../../tests/heart/touch.ts'
import { digest, outOfMemory, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import { Fault } from '../faults.ts'
import { partitionKeys } from '../keys.ts'
import { planText } from '../plan.ts'
import type { RedisLink } from '../redis/link.ts'
import type { Admission, AdmissionOutcome, Moved, Standing } from './admit.ts'
import { evidencePlace } from './evidence.ts'
import { changePartitions, ensurePlan } from './plans.ts'

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const WINDOW_MS = 3_600_000
const SHARDS = 64
const world = useWorld({
  windows: {
    slow: { duration: WINDOW_MS, maxSize: 1 },
    other: { duration: WINDOW_MS, maxSize: 1 },
    longer: { duration: 2 * WINDOW_MS, maxSize: 1 },
    three: { duration: WINDOW_MS, maxSize: 3 },
  },
  evidenceShards: SHARDS,
})
const { keys } = world

type Run = RedisLink['run']

/** The link, with its scripts answered by `run`, and the names of those that were asked for. */
function watched(link: RedisLink, run: Run = link.run): { link: RedisLink; names: string[] } {
  const names: string[] = []
  const watching: Run = (script, scriptKeys, args) => {
    names.push(script.name)
    return run(script, scriptKeys, args)
  }
  return { names, link: Object.create(link, { run: { value: watching } }) }
}

const slow = (count: number): Admission[] =>
  Array.from({ length: count }, () => world.admission({ tool: 'slow' }))

/** All of them in one turn of the event loop. */
const admitAll = (link: RedisLink, admissions: readonly Admission[], now?: () => number) => {
  const admitter = world.admitter(now)
  return Promise.all(admissions.map((admission) => admitter.admit(link, admission)))
}

const kinds = (outcomes: readonly (AdmissionOutcome | Moved)[]) => outcomes.map(({ kind }) => kind)

async function entries(link: RedisLink): Promise<{ id: string; fields: string[] }[]> {
  const reply = (await link.call('XRANGE', keys.stream, '-', '+')) as [Buffer, Buffer[]][]
  return reply.map(([id, fields]) => ({ id: String(id), fields: fields.map(String) }))
}

const written = (admissions: readonly Admission[]) => admissions.map(({ fields }) => fields.map(String))

describe('events of one turn', () => {
  it('are admitted in one call, in their order, with their fields as they are', async () => {
    const { link, names } = watched(await world.link())
    const admissions = [
      ...slow(2),
      world.admission({ tool: 'slow', tenant: 'a', body: 'bytes \0 \xff \r\n' }),
      world.admission({ tool: 'other', tenant: 'a' }),
      world.admission({ tool: 'slow', traceparent: TRACEPARENT }),
      ...slow(2),
    ]
    const outcomes = await admitAll(link, admissions)
    const found = await entries(link)
    expect(names).toEqual(['admit-together'])
    expect(found.map(({ fields }) => fields)).toEqual(written(admissions))
    expect(outcomes).toEqual(found.map(({ id }) => ({ kind: 'accepted', streamId: id })))
  })

  it('leave the evidence that each would leave alone', async () => {
    const link = await world.link()
    const admissions = slow(20)
    await admitAll(link, admissions)
    const before = await digest(link)
    for (const admission of admissions) {
      expect(await admitAll(link, [admission])).toEqual([{ kind: 'duplicate', firstId: admission.id }])
      expect(kinds(await admitAll(link, [{ ...admission, repeat: true }]))).toEqual(['known'])
    }
    expect(await digest(link)).toBe(before)
    for (const { locator } of admissions) {
      const key = world.place('slow', locator).key(Math.floor((await redisTime(link)) / WINDOW_MS))
      expect(await link.call('PTTL', key)).toBeGreaterThan(WINDOW_MS)
    }
  })

  it('are refused one by one where they are there already, also from within the call', async () => {
    const link = await world.link()
    const [first, second, third] = slow(3) as [Admission, Admission, Admission]
    await admitAll(link, [second])
    const outcomes = await admitAll(link, [first, second, third, first])
    expect(kinds(outcomes)).toEqual(['accepted', 'duplicate', 'accepted', 'duplicate'])
    expect(outcomes[3]).toEqual({ kind: 'duplicate', firstId: first.id })
    expect((await entries(link)).map(({ fields }) => fields)).toEqual(written([second, first, third]))
  })

  it('are judged by evidence of the slice before and of what was parked, but not by what is too old', async () => {
    const link = await world.link()
    const [parked, recent, old, none] = slow(4) as [Admission, Admission, Admission, Admission]
    const now = await redisTime(link)
    const touch = (admission: Admission, from: number, stamp: number) =>
      touchEvidence(link, world.place('slow', admission.locator), from, stamp)
    const begin = now - (now % WINDOW_MS)
    await touch(parked, now, begin + 2 * WINDOW_MS - 1)
    await touch(recent, begin - 1, begin - 1)
    await touch(old, now - WINDOW_MS - 1, now - WINDOW_MS - 1)
    const outcomes = await admitAll(link, [parked, recent, old, none])
    expect(kinds(outcomes)).toEqual(['duplicate', 'duplicate', 'accepted', 'accepted'])
  })

  it('are no duplicates of minted ids: evidence of the other kind counts for nothing', async () => {
    const link = await world.link()
    const minted = Array.from({ length: 2 }, () => world.admission({ tool: 'slow', derived: false }))
    await admitAll(link, minted)
    const derived = slow(2).map((admission, i) => {
      const { locator } = minted[i] as Admission
      return { ...admission, locator }
    })
    expect(kinds(await admitAll(link, derived))).toEqual(['accepted', 'accepted'])
    expect(kinds(await admitAll(link, derived))).toEqual(['duplicate', 'duplicate'])
  })

  it('go in calls of their own by window, by number and by size', async () => {
    const { link, names } = watched(await world.link())
    const longer = Array.from({ length: 2 }, () => world.admission({ tool: 'longer' }))
    const [a, b] = slow(2) as [Admission, Admission]
    expect(kinds(await admitAll(link, [a, longer[0]!, b, longer[1]!]))).toEqual(Array(4).fill('accepted'))
    expect(names.splice(0)).toEqual(['admit-together', 'admit-together'])

    expect(kinds(await admitAll(link, slow(33)))).toEqual(Array(33).fill('accepted'))
    expect(names.splice(0)).toEqual(['admit-together', 'admit-together', 'admit'])

    const body = 'x'.repeat(12_000)
    const large = Array.from({ length: 4 }, () => world.admission({ tool: 'slow', body }))
    const larger = world.admission({ tool: 'slow', body: 'x'.repeat(40_000) })
    expect(kinds(await admitAll(link, [...large, larger]))).toEqual(Array(5).fill('accepted'))
    expect(names.splice(0).sort()).toEqual(['admit', 'admit-together', 'admit-together'])
  })

  it('go alone when there is more to look at', async () => {
    const { link, names } = watched(await world.link())
    const limits = [{ type: 'ip', name: 'a', limit: 20, periodMs: 60_000 }] as const
    const [repeat, plain] = slow(2) as [Admission, Admission]
    const others = [
      { ...repeat, repeat: true },
      { ...plain, fields: [...plain.fields, 'new', 'value'] },
      world.admission({ tool: 'slow', limits }),
      world.admission({ tool: 'three' }),
    ]
    expect(kinds(await admitAll(link, others))).toEqual(Array(4).fill('accepted'))
    expect(names.sort()).toEqual(['admit', 'admit', 'admit', 'admit-any'])
  })

  it('find the right slice together', async () => {
    const { link, names } = watched(await world.link())
    const admissions = slow(5)
    const behind = () => Date.now() - 3 * WINDOW_MS
    expect(kinds(await admitAll(link, admissions, behind))).toEqual(Array(5).fill('accepted'))
    expect(names).toEqual(['admit-together', 'admit-together'])
    expect(kinds(await admitAll(link, admissions))).toEqual(Array(5).fill('duplicate'))
  })
})

describe('when a call fails', () => {
  it('out of memory, nothing was written of any', async () => {
    const link = await world.link()
    const admissions = slow(3)
    const outcomes = await outOfMemory(link, () =>
      Promise.allSettled(admissions.map((admission) => world.admitter().admit(link, admission))),
    )
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'REDIS_OUT_OF_MEMORY' } })
    }
    const together = await outOfMemory(link, () =>
      admitAll(link, admissions).catch((error: unknown) => error),
    )
    expect(together).toMatchObject({ code: 'REDIS_OUT_OF_MEMORY' })
    expect(await link.call('DBSIZE')).toBe(0)
    expect(kinds(await admitAll(link, admissions))).toEqual(Array(3).fill('accepted'))
  })

  it('without an answer, all are unknown, and each repeat ends as one entry', async () => {
    const real = await world.link()
    const { link } = watched(real, async (script, scriptKeys, args) => {
      await real.run(script, scriptKeys, args)
      throw new Fault('REDIS_UNAVAILABLE', 'the answer was lost')
    })
    const admissions = slow(3)
    const admitter = world.admitter()
    const outcomes = await Promise.allSettled(admissions.map((admission) => admitter.admit(link, admission)))
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'REDIS_UNAVAILABLE' } })
    }
    const repeats = [...admissions, ...slow(1)].map((admission) => ({ ...admission, repeat: true }))
    expect(kinds(await admitAll(real, repeats))).toEqual(['known', 'known', 'known', 'accepted'])
    expect(await entries(real)).toHaveLength(4)
  })

  it('because the stream takes none, no mark is left', async () => {
    const link = await world.link()
    await link.call('SET', keys.stream, 'not a stream')
    const admissions = slow(3)
    for (const admission of admissions) {
      await expect(admitAll(link, [admission, ...slow(1)])).rejects.toThrow('WRONGTYPE')
    }
    expect(await link.call('DBSIZE')).toBe(1)
    await link.call('DEL', keys.stream)
    expect(kinds(await admitAll(link, admissions))).toEqual(Array(3).fill('accepted'))
  })

  it('because of one event, only that one fails', async () => {
    const { link, names } = watched(await world.link())
    const admissions = slow(4)
    const third = admissions[2] as Admission
    const shape = { keys, tool: 'slow', windowMs: WINDOW_MS, shards: SHARDS }
    const shard = ({ locator }: Admission) =>
      evidencePlace(shape, locator).key(Math.floor(Date.now() / WINDOW_MS))
    // The others stand in other shards.
    const others = admissions.filter((admission) => shard(admission) !== shard(third))
    await link.call('SET', shard(third), 'not a hash')
    const admitter = world.admitter()
    const admitted = others.map((admission) => admitter.admit(link, admission))
    await expect(admitter.admit(link, third)).rejects.toThrow('WRONGTYPE')
    const outcomes = kinds(await Promise.all(admitted))
    expect(names[0]).toBe('admit-together')
    // Those before it had been accepted when the script was broken off.
    expect(new Set(outcomes)).toEqual(new Set(['known']))
    expect(await entries(link)).toHaveLength(others.length)
  })
})

describe('under a plan of partitions', () => {
  const clusterKeys = partitionKeys({
    stream: 'webhook-events',
    deadLetters: 'webhook-events-dlq',
    group: 'webhook-processors',
    cluster: true,
  })
  const planned = useWorld({ keys: clusterKeys, windows: { slow: { duration: WINDOW_MS, maxSize: 1 } } })
  const under = async (link: RedisLink, admissions: readonly Admission[], standing: Standing) => {
    const admitter = planned.admitter()
    return Promise.all(admissions.map((admission) => admitter.admitUnder(link, admission, standing)))
  }

  it('all are admitted under the one that is known, and none under an earlier one', async () => {
    const { link, names } = watched(await planned.link())
    const place = { link, keys: clusterKeys }
    const plan = await ensurePlan(place, 4)
    const standing = { epoch: plan.epoch, plan: planText(plan), elsewhere: 0, firstId: undefined }
    const admissions = Array.from({ length: 6 }, () => planned.admission({ tool: 'slow' }))
    names.length = 0
    expect(kinds(await under(link, admissions, standing))).toEqual(Array(6).fill('accepted'))
    expect(kinds(await under(link, admissions, standing))).toEqual(Array(6).fill('duplicate'))
    expect(names).toEqual(['admit-together-fenced', 'admit-together-fenced'])

    const later = await changePartitions(place, 5)
    const next = Array.from({ length: 3 }, () => planned.admission({ tool: 'slow' }))
    const outcomes = await under(link, [...admissions, ...next], standing)
    expect(outcomes).toEqual(Array(9).fill({ kind: 'moved', plan: planText(later) }))
    expect(await link.call('XLEN', clusterKeys.stream)).toBe(6)
  })
})
