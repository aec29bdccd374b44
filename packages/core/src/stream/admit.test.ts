import { describe, expect, it } from 'vitest'
import { touchEvidence } from '../../../../tests/heart/touch.ts'
import {
  digest,
  mintedBytes,
  momentInWindow,
  passed,
  redisTime,
  useWorld,
} from '../../../../tests/heart/world.ts'
import { deriveEventId, mintEventId } from '../event.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import type { Admission, AdmissionOutcome } from './admit.ts'
import type { RateLimit } from './limits.ts'

/** `slow` never ends within a test, `fast` ends often. */
const FAST_MS = 400
const SLICE_MS = 2_000

/** On a busy machine the entry's id may be so much later than the moment that was decided on, ms. */
const APPEND_DELAY_MS = 25

const world = useWorld({
  windows: {
    slow: { duration: 3_600_000, maxSize: 1 },
    slow3: { duration: 3_600_000, maxSize: 3 },
    fast: { duration: FAST_MS, maxSize: 1 },
    sliced: { duration: SLICE_MS, maxSize: 1 },
    sliced3: { duration: SLICE_MS, maxSize: 3 },
    month: { duration: 30 * 86_400_000, maxSize: 3 },
  },
  evidenceShards: 8,
})
const { keys } = world

/** The same occurrence once more: same derived id, or a freshly minted one. */
function again(admission: Admission, changes: Partial<Admission> = {}): Admission {
  return { ...admission, ...(admission.derived ? {} : { id: mintEventId(Date.now()) }), ...changes }
}

const evidenceKeysIn = async (link: RedisLink): Promise<string[]> =>
  ((await link.call('KEYS', `${keys.evidence}:*`)) as RedisReply[]).map(String)

async function streamLength(link: RedisLink): Promise<number> {
  return (await link.call('XLEN', keys.stream)) as number
}

describe('one occurrence per window, derived id', () => {
  it('is appended with the fields as they are, and its evidence with it', async () => {
    const link = await world.link()
    const admission = world.admission({ tool: 'slow', body: 'bytes \0 \xff \r\n' })
    const outcome = await world.admitter().admit(link, admission)
    const [[streamId, fields]] = (await link.call('XRANGE', keys.stream, '-', '+')) as [[Buffer, Buffer[]]]
    expect(outcome).toEqual({ kind: 'accepted', streamId: String(streamId) })
    expect(fields).toEqual(admission.fields.map((field) => Buffer.from(field as string)))
    expect(await evidenceKeysIn(link)).toHaveLength(1)
  })

  it('is a duplicate of itself when it comes again, and nothing is written', async () => {
    const link = await world.link()
    const admitter = world.admitter()
    const { admission } = await world.accept(link, { tool: 'slow' })
    const before = await digest(link)
    expect(await admitter.admit(link, again(admission))).toEqual({ kind: 'duplicate', firstId: admission.id })
    expect(await admitter.admit(link, again(admission))).toEqual({ kind: 'duplicate', firstId: admission.id })
    expect(await streamLength(link)).toBe(1)
    expect(await digest(link)).toBe(before)
  })

  it('is known when it is the repeat of an unknown outcome', async () => {
    const link = await world.link()
    const { admission } = await world.accept(link, { tool: 'slow' })
    const repeat = again(admission, { repeat: true })
    expect(await world.admitter().admit(link, repeat)).toEqual({ kind: 'known' })
    expect(await streamLength(link)).toBe(1)
  })

  it('is accepted when the repeated attempt had never arrived', async () => {
    const link = await world.link()
    const outcome = await world.admitter().admit(link, world.admission({ tool: 'slow', repeat: true }))
    expect(outcome.kind).toBe('accepted')
  })

  it('passes once of many that come at the same moment over several connections', async () => {
    const links = await Promise.all([world.link(), world.link(), world.link()])
    const admission = world.admission({ tool: 'slow' })
    const outcomes = await Promise.all(
      Array.from({ length: 60 }, (_, i) => world.admitter().admit(links[i % 3]!, again(admission))),
    )
    expect(outcomes.filter(({ kind }) => kind === 'accepted')).toHaveLength(1)
    expect(outcomes.filter(({ kind }) => kind === 'duplicate')).toHaveLength(59)
    expect(await streamLength(links[0]!)).toBe(1)
  })

  it('does not stand in the way of another tenant, tool or key', async () => {
    const link = await world.link()
    await world.accept(link, { tool: 'slow', tenant: 'a', key: 'x' })
    await world.accept(link, { tool: 'slow', tenant: 'b', key: 'x' })
    await world.accept(link, { tool: 'sliced', tenant: 'a', key: 'x' })
    await world.accept(link, { tool: 'slow', tenant: 'a', key: 'y' })
    expect(await streamLength(link)).toBe(4)
  })

  it('is accepted again when its window is over, not earlier and not much later', async () => {
    const link = await world.link()
    const admitter = world.admitter()
    const { admission, streamId } = await world.accept(link, { tool: 'fast' })
    const acceptedAt = Number(streamId.split('-')[0])
    for (;;) {
      const asked = await redisTime(link)
      const outcome = await admitter.admit(link, again(admission))
      const answered = await redisTime(link)
      if (outcome.kind === 'accepted') {
        expect(answered).toBeGreaterThanOrEqual(acceptedAt + FAST_MS - 1)
        break
      }
      expect(asked).toBeLessThan(acceptedAt + FAST_MS)
    }
    expect(await streamLength(link)).toBe(2)
  })
})

describe('minted ids', () => {
  it('with one occurrence: another is a duplicate of the first, the own one is known', async () => {
    const link = await world.link()
    const { admission } = await world.accept(link, { tool: 'slow', derived: false })
    const admitter = world.admitter()
    expect(await admitter.admit(link, again(admission))).toEqual({ kind: 'duplicate', firstId: admission.id })
    expect(await admitter.admit(link, again(admission, { id: admission.id }))).toEqual({ kind: 'known' })
    expect(await streamLength(link)).toBe(1)
  })

  it('with three occurrences: three pass, each is known, the fourth is a duplicate of the first', async () => {
    const link = await world.link()
    const admitter = world.admitter()
    const first = world.admission({ tool: 'slow3' })
    const passing = [first, again(first), again(first)]
    for (const admission of passing) expect((await admitter.admit(link, admission)).kind).toBe('accepted')
    for (const admission of passing) expect(await admitter.admit(link, admission)).toEqual({ kind: 'known' })
    expect(await admitter.admit(link, again(first))).toEqual({ kind: 'duplicate', firstId: first.id })
    expect(await streamLength(link)).toBe(3)
  })

  it('the first stays the first when its evidence is renewed (it was parked)', async () => {
    const link = await world.link()
    const admitter = world.admitter()
    const first = world.admission({ tool: 'slow3' })
    for (const admission of [first, again(first), again(first)]) await admitter.admit(link, admission)
    const now = await redisTime(link)
    await touchEvidence(link, world.place('slow3', first.locator), now, now + 10_000, mintedBytes(first))
    expect(await admitter.admit(link, again(first))).toEqual({ kind: 'duplicate', firstId: first.id })
  })

  it('the first stays the first over a slice boundary', async () => {
    const link = await world.link()
    const admitter = world.admitter()
    const { nextSlice } = await momentInWindow(link, SLICE_MS, 300, 900)
    const first = world.admission({ tool: 'sliced3' })
    const [second, third] = [again(first), again(first)]
    expect((await admitter.admit(link, first)).kind).toBe('accepted')
    expect((await admitter.admit(link, second)).kind).toBe('accepted')
    const now = await passed(link, nextSlice)
    await touchEvidence(link, world.place('sliced3', first.locator), now, now + 100, mintedBytes(first))
    expect((await admitter.admit(link, third)).kind).toBe('accepted')
    for (const admission of [first, second, third]) {
      expect(await admitter.admit(link, admission)).toEqual({ kind: 'known' })
    }
    expect(await admitter.admit(link, again(first))).toEqual({ kind: 'duplicate', firstId: first.id })
  })

  it('are counted right at any place of a window of 30 days', async () => {
    const link = await world.link()
    const admitter = world.admitter()
    const first = world.admission({ tool: 'month' })
    await admitter.admit(link, first)
    // As if it had been accepted 28 days into its slice: more milliseconds than 31 bits hold.
    const slice = Math.floor((await redisTime(link)) / (30 * 86_400_000))
    const now = (slice + 1) * 30 * 86_400_000 - 2 * 86_400_000
    await touchEvidence(link, world.place('month', first.locator), now, now, mintedBytes(first))
    expect(await admitter.admit(link, first)).toEqual({ kind: 'known' })
  })
})

describe('slices', () => {
  it.each([true, false])(
    'evidence of the slice before counts: 1,000 of 1,000 are refused (derived: %s)',
    async (derived) => {
      const link = await world.link()
      const admitter = world.admitter()
      const { now, nextSlice } = await momentInWindow(link, SLICE_MS, 700, 1_100)
      const admissions = Array.from({ length: 1_000 }, () => world.admission({ tool: 'sliced', derived }))
      const kindsOf = (outcomes: AdmissionOutcome[]) => new Set(outcomes.map(({ kind }) => kind))
      const admitAll = () =>
        Promise.all(admissions.map((admission) => admitter.admit(link, again(admission))))
      expect(kindsOf(await admitAll())).toEqual(new Set(['accepted']))
      expect(await redisTime(link), 'this machine is too slow for this test').toBeLessThan(nextSlice)
      await passed(link, nextSlice)
      expect(kindsOf(await admitAll())).toEqual(new Set(['duplicate']))
      expect(await redisTime(link), 'this machine is too slow for this test').toBeLessThan(now + SLICE_MS)
      expect(await streamLength(link)).toBe(1_000)
      // Nothing was written in the new slice: all of it was seen in the one before.
      const current = Math.floor(nextSlice / SLICE_MS)
      expect((await evidenceKeysIn(link)).filter((key) => key.includes(`:${current}:`))).toEqual([])
      await passed(link, nextSlice + SLICE_MS)
      expect(kindsOf(await admitAll())).toEqual(new Set(['accepted']))
    },
  )

  it.each([-86_400_000, -7_200_000, -1, 1, 3_600_000, 400 * 86_400_000])(
    'are named by Redis: a clock that is %i ms off changes nothing',
    async (skew) => {
      const link = await world.link()
      const admitter = world.admitter(() => Date.now() + skew)
      const admission = world.admission({ tool: 'sliced' })
      await momentInWindow(link, SLICE_MS, 500, SLICE_MS)
      expect((await admitter.admit(link, admission)).kind).toBe('accepted')
      expect((await admitter.admit(link, again(admission))).kind).toBe('duplicate')
      expect((await world.admitter().admit(link, again(admission))).kind).toBe('duplicate')
      if (Math.abs(skew) > SLICE_MS) {
        expect(Math.abs(admitter.redisNow() - (await redisTime(link)))).toBeLessThan(100)
      }
    },
  )

  it('a clock that jumps in between is corrected again', async () => {
    const link = await world.link()
    let skew = 0
    const admitter = world.admitter(() => Date.now() + skew)
    const admission = world.admission({ tool: 'slow' })
    const kinds: string[] = []
    for (skew of [0, 7_200_000, -7_200_000, 0])
      kinds.push((await admitter.admit(link, again(admission))).kind)
    expect(kinds).toEqual(['accepted', 'duplicate', 'duplicate', 'duplicate'])
    expect(await streamLength(link)).toBe(1)
  })

  it('gives up loudly when the caller has no usable clock at all', async () => {
    const link = await world.link()
    let calls = 0
    const admitter = world.admitter(() => ++calls * 86_400_000)
    await expect(admitter.admit(link, world.admission({ tool: 'slow' }))).rejects.toThrow('stale')
    expect(await streamLength(link)).toBe(0)
  })

  it('leave nothing behind: evidence expires by itself', async () => {
    const link = await world.link()
    for (const derived of [true, false]) await world.accept(link, { tool: 'fast', derived })
    for (const key of await evidenceKeysIn(link)) {
      const ttl = (await link.call('PTTL', key)) as number
      expect(ttl).toBeGreaterThan(FAST_MS)
      expect(ttl).toBeLessThanOrEqual(3 * FAST_MS)
    }
    await expect.poll(async () => evidenceKeysIn(link)).toEqual([])
  })
})

describe('limits', () => {
  const limit = (changes: Partial<RateLimit> = {}): RateLimit => ({
    type: 'ip',
    name: '192.0.2.1',
    limit: 20,
    periodMs: 60_000,
    ...changes,
  })

  it('are exact: of 30 requests at a limit of 20 exactly 20 pass, wherever the minute ends', async () => {
    const link = await world.link()
    const limits = [limit()]
    const admitter = world.admitter()
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, () => admitter.admit(link, world.admission({ tool: 'slow', limits }))),
    )
    expect(outcomes.filter(({ kind }) => kind === 'accepted')).toHaveLength(20)
    const limited = outcomes.filter((outcome) => outcome.kind === 'limited')
    expect(limited).toHaveLength(10)
    for (const outcome of limited) {
      expect(outcome.limit).toBe(limits[0])
      expect(outcome.retryAfterMs).toBeGreaterThan(0)
      expect(outcome.retryAfterMs).toBeLessThanOrEqual(60_000)
    }
    expect(await streamLength(link)).toBe(20)
  })

  it.each([5, 600])('let at most %i pass in any period, not only in those of the clock', async (most) => {
    const link = await world.link()
    const admitter = world.admitter()
    const periodMs = 300
    const limits = [limit({ limit: most, periodMs })]
    const end = (await redisTime(link)) + 5 * periodMs
    while ((await redisTime(link)) < end) {
      await Promise.all(
        Array.from({ length: most === 5 ? 3 : 60 }, () =>
          admitter.admit(link, world.admission({ tool: 'slow', limits })),
        ),
      )
    }
    const entries = (await link.call('XRANGE', keys.stream, '-', '+')) as [Buffer, Buffer[]][]
    const times = entries.map(([id]) => Number(String(id).split('-')[0]))
    expect(times.length).toBeGreaterThan(most * 3)
    let worst = 0
    for (const [index, time] of times.entries()) {
      const within = times.slice(index).findIndex((other) => other >= time + periodMs - APPEND_DELAY_MS)
      worst = Math.max(worst, within === -1 ? times.length - index : within)
    }
    expect(worst).toBeLessThanOrEqual(most)
  })

  it('say when the next request passes', async () => {
    const link = await world.link()
    const admitter = world.admitter()
    for (const most of [3, 300]) {
      const limits = [limit({ name: `m${most}`, limit: most, periodMs: 400 })]
      let refused: AdmissionOutcome | undefined
      while (refused === undefined) {
        const outcome = await admitter.admit(link, world.admission({ tool: 'slow', limits }))
        if (outcome.kind === 'limited') refused = outcome
      }
      const at = await redisTime(link)
      if (refused.kind !== 'limited') throw new Error('not limited')
      await passed(link, at + refused.retryAfterMs + 1)
      expect((await admitter.admit(link, world.admission({ tool: 'slow', limits }))).kind).toBe('accepted')
    }
  })

  it('count a refused request nowhere', async () => {
    const link = await world.link()
    const admitter = world.admitter()
    const global = limit({ type: 'global', name: 'all', limit: 5 })
    const narrow = limit({ name: 'a', limit: 2 })
    const admitFrom = (limits: RateLimit[]) => admitter.admit(link, world.admission({ tool: 'slow', limits }))
    for (let i = 0; i < 2; i++) expect((await admitFrom([global, narrow])).kind).toBe('accepted')
    for (let i = 0; i < 9; i++)
      expect(await admitFrom([global, narrow])).toMatchObject({ kind: 'limited', limit: narrow })
    for (let i = 0; i < 3; i++)
      expect((await admitFrom([global, limit({ name: 'b' })])).kind).toBe('accepted')
    expect(await admitFrom([global, limit({ name: 'b' })])).toMatchObject({ kind: 'limited', limit: global })
    expect(await streamLength(link)).toBe(5)
  })

  it('are not asked about duplicates, and these use nothing up', async () => {
    const link = await world.link()
    const admitter = world.admitter()
    const limits = [limit({ limit: 1 })]
    const admission = world.admission({ tool: 'slow', limits })
    expect((await admitter.admit(link, admission)).kind).toBe('accepted')
    expect((await admitter.admit(link, again(admission))).kind).toBe('duplicate')
    expect((await admitter.admit(link, again(admission, { repeat: true }))).kind).toBe('known')
    expect((await admitter.admit(link, world.admission({ tool: 'slow', limits }))).kind).toBe('limited')
  })

  it('refuse without a trace: an event that was limited is accepted later', async () => {
    const link = await world.link()
    const admitter = world.admitter()
    const limits = [limit({ limit: 0 })]
    const admission = world.admission({ tool: 'slow', limits })
    expect((await admitter.admit(link, admission)).kind).toBe('limited')
    expect(await link.call('DBSIZE')).toBe(0)
    expect((await admitter.admit(link, again(admission, { limits: [] }))).kind).toBe('accepted')
  })

  it('expire by themselves', async () => {
    const link = await world.link()
    const limits = [
      limit({ limit: 3, periodMs: 200 }),
      limit({ type: 'global', name: 'all', limit: 9_000, periodMs: 200 }),
    ]
    await world.accept(link, { tool: 'slow', limits })
    const limitKeys = async () => ((await link.call('KEYS', `${keys.limits}:*`)) as RedisReply[]).length
    expect(await limitKeys()).toBe(2)
    await expect.poll(limitKeys).toBe(0)
  })
})

describe('out of memory', () => {
  it.each([true, false])(
    'writes nothing at all: no entry, no evidence, no count (derived: %s)',
    async (derived) => {
      const link = await world.link()
      const limits: RateLimit[] = [{ type: 'ip', name: 'a', limit: 20, periodMs: 60_000 }]
      const admission = world.admission({ tool: 'slow', derived, limits })
      await link.call('CONFIG', 'SET', 'maxmemory', '1')
      await expect(world.admitter().admit(link, admission)).rejects.toMatchObject({
        code: 'REDIS_OUT_OF_MEMORY',
      })
      await link.call('CONFIG', 'SET', 'maxmemory', '0')
      expect(await link.call('DBSIZE')).toBe(0)
      expect((await world.admitter().admit(link, admission)).kind).toBe('accepted')
    },
  )

  it('still recognises what was accepted before', async () => {
    const link = await world.link()
    const { admission } = await world.accept(link, { tool: 'slow' })
    await link.call('CONFIG', 'SET', 'maxmemory', '1')
    expect((await world.admitter().admit(link, again(admission))).kind).toBe('duplicate')
    await link.call('CONFIG', 'SET', 'maxmemory', '0')
  })
})

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

describe('the fields of a record', () => {
  /** The link, and the names of the scripts that ran over it. */
  function recording(link: RedisLink): { link: RedisLink; names: string[] } {
    const names: string[] = []
    const run: RedisLink['run'] = (script, keysOf, args) => {
      names.push(script.name)
      return link.run(script, keysOf, args)
    }
    return { names, link: Object.create(link, { run: { value: run } }) }
  }
  const limits: RateLimit[] = [{ type: 'ip', name: 'a', limit: 20, periodMs: 60_000 }]
  const cases = [true, false].flatMap((derived) => [
    { derived, limits: [] },
    { derived, limits },
    { derived, limits: [], traceparent: TRACEPARENT },
  ])

  it.each(cases)(
    'are named by the script where they are the usual ones, also out of the spool: %j',
    async (options) => {
      const link = await world.link()
      const { link: recorded, names } = recording(link)
      const fresh = world.admission({ tool: 'slow', ...options })
      const spooled = world.admission({ tool: 'slow', ...options })
      const frozen = { ...spooled, fields: spooled.fields.map((field) => Buffer.from(field as string)) }
      expect((await world.admitter().admit(recorded, fresh)).kind).toBe('accepted')
      expect((await world.admitter().admit(recorded, frozen)).kind).toBe('accepted')
      expect(names).toEqual(['admit', 'admit'])
      const entries = (await link.call('XRANGE', keys.stream, '-', '+')) as [Buffer, Buffer[]][]
      expect(entries.map(([, fields]) => fields.map(String))).toEqual(
        [fresh, spooled].map(({ fields }) => fields.map(String)),
      )
    },
  )

  it.each(cases)('are kept as they are where they are others: %j', async (options) => {
    const link = await world.link()
    const { link: recorded, names } = recording(link)
    const admission = world.admission({ tool: 'slow', ...options })
    const others = [
      [...admission.fields, 'new', 'value'],
      [...admission.fields.slice(2), ...admission.fields.slice(0, 2)],
      ['one', 'field'],
    ]
    for (const fields of others) {
      const { id, locator } = world.admission({ tool: 'slow', ...options })
      const other = { ...admission, id, locator, fields }
      expect((await world.admitter().admit(recorded, other)).kind).toBe('accepted')
      expect((await world.admitter().admit(recorded, { ...other, repeat: true })).kind).toBe('known')
    }
    expect(new Set(names)).toEqual(new Set(['admit-any']))
    const entries = (await link.call('XRANGE', keys.stream, '-', '+')) as [Buffer, Buffer[]][]
    expect(entries.map(([, fields]) => fields.map(String))).toEqual(
      others.map((fields) => fields.map(String)),
    )
  })
})

describe('an append that Redis refuses', () => {
  it.each([true, false])(
    'leaves no mark behind that would refuse the next attempt (derived: %s)',
    async (derived) => {
      const link = await world.link()
      await link.call('SET', keys.stream, 'not a stream')
      const admission = world.admission({ tool: 'slow', derived, limits: [] })
      await expect(world.admitter().admit(link, admission)).rejects.toThrow('WRONGTYPE')
      expect(await link.call('DBSIZE')).toBe(1)
      await link.call('DEL', keys.stream)
      expect((await world.admitter().admit(link, again(admission))).kind).toBe('accepted')
    },
  )
})

describe('when max_size was changed within a window', () => {
  it('evidence of the other kind is no error; nothing is lost', async () => {
    const link = await world.link()
    const admitter = world.admitter()
    // Short and long decimals: the derived kind is the offset in the slice.
    for (const derived of [true, false]) {
      const { admission } = await world.accept(link, { tool: 'slow', derived })
      const other: Admission = {
        ...admission,
        derived: !derived,
        id: derived ? mintEventId(Date.now()) : deriveEventId(admission.locator),
      }
      expect((await admitter.admit(link, other)).kind).toBe('accepted')
      expect((await admitter.admit(link, other)).kind).toBe(derived ? 'known' : 'duplicate')
      const now = await redisTime(link)
      await touchEvidence(link, world.place('slow', admission.locator), now, now, mintedBytes(admission))
      await touchEvidence(link, world.place('slow', admission.locator), now, now, mintedBytes(other))
      expect((await admitter.admit(link, { ...other, repeat: true })).kind).toBe('known')
    }
  })
})
