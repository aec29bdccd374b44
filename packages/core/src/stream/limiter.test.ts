import { describe, expect, it } from 'vitest'
import { NAMES, passed, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import { systemClock } from '../clock.ts'
import { partitionKeys } from '../keys.ts'
import type { RedisLink } from '../redis/link.ts'
import type { AdmissionOutcome } from './admit.ts'
import { createLimiter, type Limiter, type LimiterOptions } from './limiter.ts'
import type { RateLimit } from './limits.ts'

const world = useWorld()
const { keys } = world

/** On a busy machine an event's entry may be so much later than the moment at which it was let through, ms. */
const APPEND_DELAY_MS = 25

const limitOf = (changes: Partial<RateLimit> = {}): RateLimit => ({
  type: 'global',
  name: 'all',
  limit: 600,
  periodMs: 1_000,
  ...changes,
})

interface Gateway {
  readonly limiter: Limiter
  readonly told: Record<'granted' | 'refused' | 'failed', number>
  readonly errors: unknown[]
  /** What the gateway does with one event. */
  admit(limits: readonly RateLimit[], key?: string): Promise<AdmissionOutcome>
  /** Events whose limits all were leased. */
  leased: number
}

function gatewayOn(link: RedisLink, changes: Partial<LimiterOptions> = {}): Gateway {
  const told = { granted: 0, refused: 0, failed: 0 }
  const errors: unknown[] = []
  const limiter = createLimiter({
    placeOf: () => ({ link, keys }),
    now: () => performance.now(),
    wait: systemClock.wait,
    onLease: (result) => void told[result]++,
    onError: (error) => void errors.push(error),
    ...changes,
  })
  const admitter = world.admitter()
  const gateway: Gateway = {
    limiter,
    told,
    errors,
    leased: 0,
    async admit(limits, key) {
      const permits = await limiter.take(limits, keys)
      if (permits.kind === 'limited') return permits
      if (permits.counted.length === 0) gateway.leased++
      const admission = world.admission({ limits: permits.counted, ...(key === undefined ? {} : { key }) })
      const outcome = await admitter.admit(link, admission)
      if (outcome.kind !== 'accepted') limiter.giveBack(permits)
      return outcome
    },
  }
  return gateway
}

const accepted = (outcomes: readonly AdmissionOutcome[]) =>
  outcomes.filter(({ kind }) => kind === 'accepted').length

/** Times at which the stream's entries were appended, ms. */
async function appended(link: RedisLink): Promise<number[]> {
  const entries = (await link.call('XRANGE', keys.stream, '-', '+')) as [Buffer, unknown][]
  return entries.map(([id]) => Number(String(id).split('-')[0]))
}

/** The most that came within one period, wherever it begins. */
function most(times: readonly number[], periodMs: number): number {
  let worst = 0
  for (let first = 0, last = 0; last < times.length; last++) {
    while (times[last]! - times[first]! >= periodMs) first++
    worst = Math.max(worst, last - first + 1)
  }
  return worst
}

describe('one partition', () => {
  it('small limits, and large ones that are little used, are counted with the event', async () => {
    const link = await world.link()
    const { limiter } = gatewayOn(link)
    const limits = [limitOf(), limitOf({ type: 'ip', limit: 20 })]
    for (let i = 0; i < 5; i++) {
      expect(limiter.take(limits, keys)).toMatchObject({ kind: 'permits', counted: limits, spent: [] })
    }
    expect(await link.call('DBSIZE')).toBe(0)
  })

  it('in a burst, the events of a turn wait for a block that is asked for with all of them in mind', async () => {
    const link = await world.link()
    const gateway = gatewayOn(link, { wait: () => new Promise(() => undefined) })
    const large = { limit: 10_000, periodMs: 600_000 }
    const limits = [limitOf(large), limitOf({ ...large, type: 'tool' })]
    const burst = () => Promise.all(Array.from({ length: 40 }, () => gateway.admit(limits)))
    expect(accepted(await burst())).toBe(40)
    // The first eight do not show yet that it is one.
    expect(gateway.leased).toBe(32)
    for (let i = 0; i < 5; i++) await burst()
    expect(gateway.leased).toBe(32 + 5 * 40)
    expect(gateway.errors).toEqual([])
  })

  it('events wait for permits once, and for Redis that is silent only so long', async () => {
    const link = await world.link()
    const { promise, resolve } = Promise.withResolvers<void>()
    const silent = { ...link, run: () => new Promise<never>(() => undefined) }
    const gateway = gatewayOn(link, { placeOf: () => ({ link: silent, keys }), wait: () => promise })
    const outcomes = Array.from({ length: 20 }, () => gateway.admit([limitOf()]))
    expect(accepted(await Promise.all(outcomes.slice(0, 8)))).toBe(8)
    expect(await link.call('XLEN', keys.stream)).toBe(8)
    resolve()
    expect(accepted(await Promise.all(outcomes))).toBe(20)
    expect((await gateway.admit([limitOf()])).kind).toBe('accepted')
    expect(gateway.leased).toBe(0)
  })

  it('a small limit stays exact beside a leased one: exactly 20 of 300 pass, over two gateways', async () => {
    const link = await world.link()
    const gateways = [gatewayOn(link), gatewayOn(link)]
    const limits = [limitOf({ limit: 10_000 }), limitOf({ type: 'ip', limit: 20, periodMs: 60_000 })]
    const outcomes: AdmissionOutcome[] = []
    for (let i = 0; i < 15; i++) {
      const some = Array.from({ length: 20 }, (_, n) => gateways[n % 2]!.admit(limits))
      outcomes.push(...(await Promise.all(some)))
    }
    expect(accepted(outcomes)).toBe(20)
    expect(gateways[0]!.told.granted + gateways[1]!.told.granted).toBeGreaterThan(0)
    for (const outcome of outcomes) {
      if (outcome.kind === 'limited') expect(outcome.limit).toBe(limits[1])
    }
  })

  it('duplicates, and events that another limit refuses, use nothing up', async () => {
    const link = await world.link()
    const gateway = gatewayOn(link)
    const large = limitOf({ limit: 200, periodMs: 60_000 })
    const narrow = limitOf({ type: 'ip', limit: 1, periodMs: 60_000 })
    await gateway.admit([large, narrow], 'first')
    for (let i = 0; i < 20; i++) {
      // Duplicates of it, and new ones of the same address.
      const some = Array.from({ length: 20 }, (_, n) =>
        gateway.admit([large, narrow], n % 2 === 0 ? 'first' : `${i}-${n}`),
      )
      expect(accepted(await Promise.all(some))).toBe(0)
    }
    expect(gateway.leased).toBe(0)
    let more = 0
    for (let i = 0; i < 5; i++)
      more += accepted(await Promise.all(Array.from({ length: 50 }, () => gateway.admit([large]))))
    // One block at most is out, unspent.
    expect(more).toBeLessThanOrEqual(199)
    expect(more).toBeGreaterThanOrEqual(189)
    expect(gateway.errors).toEqual([])
  })

  it('two gateways together never let more pass than the limit, wherever a period begins', async () => {
    const links = await Promise.all([world.link(), world.link()])
    const link = links[0]!
    const limit = limitOf()
    const gateways = links.map((each) => gatewayOn(each))
    const end = (await redisTime(link)) + 3 * limit.periodMs
    let refused = 0
    // Twice as many as may pass, in bursts, on both.
    while ((await redisTime(link)) < end) {
      const outcomes = await Promise.all(
        gateways.flatMap((gateway) => Array.from({ length: 30 }, () => gateway.admit([limit]))),
      )
      refused += outcomes.length - accepted(outcomes)
      for (const outcome of outcomes) {
        if (outcome.kind !== 'limited') continue
        expect(outcome.retryAfterMs).toBeGreaterThan(0)
        expect(outcome.retryAfterMs).toBeLessThanOrEqual((limit.periodMs / 16) * 17)
      }
      const now = await redisTime(link)
      await passed(link, now + 10)
    }
    const times = await appended(link)
    expect(refused).toBeGreaterThan(100)
    expect(most(times, limit.periodMs - APPEND_DELAY_MS)).toBeLessThanOrEqual(limit.limit)
    // And it is used: 94 % of it in the long run, three periods here of which the first has it all at once.
    expect(times.length).toBeGreaterThan(limit.limit * 2.5)
    for (const { leased, told, errors } of gateways) {
      expect(leased).toBeGreaterThan(200)
      expect(told.granted).toBeGreaterThan(5)
      expect(errors).toEqual([])
    }
  })

  it('a lease that fails costs nothing but its saving: the events are counted one by one', async () => {
    const link = await world.link()
    const broken = { ...link, run: () => Promise.reject(new Error('no leases today')) }
    const gateway = gatewayOn(link, { placeOf: () => ({ link: broken, keys }) })
    const outcomes = await Promise.all(
      Array.from({ length: 700 }, () => gateway.admit([limitOf({ periodMs: 60_000 })])),
    )
    expect(accepted(outcomes)).toBe(600)
    expect(gateway.told.failed).toBeGreaterThan(0)
    expect(gateway.errors).toHaveLength(gateway.told.failed)
  })
})

describe('several partitions', () => {
  const far = partitionKeys({ ...NAMES, cluster: true }, 1)
  const farther = partitionKeys({ ...NAMES, cluster: true }, 2)
  const ip = limitOf({ type: 'ip', limit: 20, periodMs: 60_000 })
  const tenant = limitOf({ type: 'tenant', limit: 20, periodMs: 60_000 })

  /** Tenants are counted in one, addresses in another. */
  const spread = (link: RedisLink, of: RedisLink = link): Gateway =>
    gatewayOn(link, {
      placeOf: ({ type }) =>
        type === 'ip'
          ? { link: of, keys: far }
          : type === 'tenant'
            ? { link: of, keys: farther }
            : { link, keys },
    })

  it('a limit of another partition is asked there before the admission begins: exactly 20 of 30 pass', async () => {
    const link = await world.link()
    const gateways = [spread(link), spread(await world.link())]
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, (_, i) => gateways[i % 2]!.admit([limitOf(), tenant, ip])),
    )
    expect(accepted(outcomes)).toBe(20)
    expect(await appended(link)).toHaveLength(20)
    expect(await link.call('EXISTS', `${far.limits}:ip:all`)).toBe(1)
    expect(await link.call('EXISTS', `${farther.limits}:tenant:all`)).toBe(1)
    expect(await link.call('EXISTS', `${keys.limits}:ip:all`)).toBe(0)
  })

  it('what was taken elsewhere is given back when the event is not accepted', async () => {
    const link = await world.link()
    const gateway = spread(link)
    await gateway.admit([ip, tenant], 'first')
    for (let i = 0; i < 30; i++) expect((await gateway.admit([ip, tenant], 'first')).kind).toBe('duplicate')
    const narrow = limitOf({ type: 'tenant', name: 'b', limit: 1, periodMs: 60_000 })
    for (let i = 0; i < 6; i++) {
      expect((await gateway.admit([ip, narrow])).kind).toBe(i === 0 ? 'accepted' : 'limited')
    }
    const rest = await Promise.all(Array.from({ length: 30 }, () => gateway.admit([ip])))
    expect(accepted(rest)).toBe(18)
    expect(gateway.errors).toEqual([])
  })

  it('a partition that is away does not stop the event: this gateway counts alone, and asks again', async () => {
    const link = await world.link()
    const away = await world.link()
    const gateway = spread(link, away)
    await away.close()
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => gateway.admit([ip])))
    expect(accepted(outcomes)).toBe(20)
    expect(gateway.errors).toHaveLength(30)
    expect(gateway.errors[0]).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    expect((await spread(link).admit([ip])).kind).toBe('accepted')
  })

  it('large limits of another partition are leased there', async () => {
    const link = await world.link()
    const gateway = spread(link)
    const large = limitOf({ type: 'tenant', limit: 10_000 })
    for (let i = 0; i < 20; i++) await Promise.all(Array.from({ length: 20 }, () => gateway.admit([large])))
    expect(gateway.leased).toBeGreaterThan(300)
    expect(await appended(link)).toHaveLength(400)
  })
})

describe('without Redis', () => {
  it('a gateway counts alone', async () => {
    const link = await world.link()
    const { limiter } = gatewayOn(link)
    const limits = [limitOf(), limitOf({ type: 'ip', limit: 20 })]
    const answers = Array.from({ length: 30 }, () => limiter.alone(limits))
    expect(answers.filter((answer) => answer === undefined)).toHaveLength(20)
    expect(answers.at(-1)).toMatchObject({ kind: 'limited', limit: limits[1] })
  })
})
