import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createFloodGuard, type Flood, type FloodGuardOptions, floodProblem } from './flood-guard.ts'

const ATTACKER = '203.0.113.9'
const SENDER = '192.0.2.1'

function setUp(options: Partial<FloodGuardOptions> = {}) {
  let at = 0
  const told: Flood[] = []
  const guard = createFloodGuard({
    failures: 100,
    periodMs: 10_000,
    blockMs: 10_000,
    verifications: 10,
    knownVerifications: 1000,
    now: () => at,
    tell: (flood) => told.push(flood),
    ...options,
  })
  /** Sends badly signed requests; how many of them were verified. */
  const flood = (network: string, count: number, bytes = 1000): number => {
    let verified = 0
    for (let i = 0; i < count; i++) {
      if (!guard.begin(network)) continue
      verified++
      guard.failed(network, bytes)
    }
    return verified
  }
  /** Sends a well-signed request; whether it passed. */
  const good = (network: string): boolean => {
    if (!guard.begin(network)) return false
    guard.believed(network)
    return true
  }
  return {
    guard,
    told,
    flood,
    good,
    pass: (ms: number) => {
      at += ms
    },
  }
}

describe('an address that sends badly signed requests', () => {
  it('is verified up to the limit, and from then on at the ration', () => {
    const { flood, pass } = setUp()
    expect(flood(ATTACKER, 10_000)).toBe(101 + 10)
    pass(500)
    expect(flood(ATTACKER, 10_000)).toBe(5)
    pass(60)
    expect(flood(ATTACKER, 10_000)).toBe(0)
    pass(40)
    expect(flood(ATTACKER, 10_000)).toBe(1)
  })

  it('is not limited while it stays below the limit, however long that goes on', () => {
    const { guard, flood, pass } = setUp()
    for (let period = 0; period < 50; period++) {
      expect(flood(ATTACKER, 100)).toBe(100)
      pass(10_000)
    }
    expect(guard.guarded).toBe(0)
  })

  it('is forgotten when it was quiet for the time that it is blocked, which refused requests do not prolong', () => {
    const { guard, flood, pass } = setUp()
    flood(ATTACKER, 1000)
    expect(guard.guarded).toBe(1)
    for (let second = 0; second < 9; second++) {
      pass(1000)
      guard.begin(ATTACKER)
    }
    pass(999)
    expect(guard.guarded).toBe(1)
    pass(1)
    expect(guard.guarded).toBe(0)
    expect(flood(ATTACKER, 101)).toBe(101)
  })

  it('stays limited as long as what is verified of it is badly signed', () => {
    const { guard, flood, pass } = setUp()
    flood(ATTACKER, 1000)
    for (let second = 0; second < 60; second++) {
      pass(1000)
      expect(flood(ATTACKER, 1000)).toBe(10)
    }
    expect(guard.guarded).toBe(1)
  })

  it('pays for large bodies by their size', () => {
    const { flood, pass } = setUp()
    flood(ATTACKER, 1000)
    pass(1000)
    expect(flood(ATTACKER, 1000, 10 * 64 * 1024)).toBe(1)
    pass(150)
    expect(flood(ATTACKER, 1000)).toBe(0)
    pass(100)
    expect(flood(ATTACKER, 1000)).toBe(1)
  })

  it('is told of when it begins and when it is over, with counts, and not in between', () => {
    const { guard, told, flood, pass } = setUp()
    flood(ATTACKER, 1000)
    pass(1000)
    flood(ATTACKER, 1000)
    expect(told).toEqual([{ state: 'begins', network: ATTACKER, known: false, failed: 101, refused: 0 }])
    pass(10_000)
    guard.begin(ATTACKER)
    expect(told.slice(1)).toEqual([
      { state: 'over', network: ATTACKER, known: false, failed: 121, refused: 1879 },
    ])
  })

  it('is guarded for what is not believed by its headers alone too, which takes no ration', () => {
    const { guard, good } = setUp()
    for (let i = 0; i < 101; i++) guard.failed(ATTACKER, 0)
    expect(guard.guarded).toBe(1)
    for (let i = 0; i < 1000; i++) guard.failed(ATTACKER, 0)
    expect(good(ATTACKER)).toBe(true)
  })
})

describe('a well-signed request', () => {
  it('from another address is not affected', () => {
    const { flood, good } = setUp()
    flood(ATTACKER, 10_000)
    for (let i = 0; i < 10_000; i++) expect(good(SENDER)).toBe(true)
  })

  it('costs no ration: a guarded address may send any number of them', () => {
    const { flood, good } = setUp({ failures: 5 })
    flood(ATTACKER, 6)
    for (let i = 0; i < 10_000; i++) expect(good(ATTACKER)).toBe(true)
  })

  it('lifts its address to the larger ration, whether it came before the flood or in it', () => {
    const before = setUp()
    before.good(ATTACKER)
    expect(before.flood(ATTACKER, 10_000)).toBe(101 + 1000)
    const within = setUp()
    within.flood(ATTACKER, 10_000)
    within.pass(100)
    expect(within.good(ATTACKER)).toBe(true)
    within.pass(1000)
    expect(within.flood(ATTACKER, 10_000)).toBe(1000)
  })

  it('passes within a second or two, even from an address in debt', () => {
    const { flood, good, pass } = setUp()
    flood(ATTACKER, 1000)
    pass(1000)
    flood(ATTACKER, 1, 1e9)
    expect(good(ATTACKER)).toBe(false)
    pass(1101)
    expect(good(ATTACKER)).toBe(true)
  })

  it('speaks for its address for a day, and no longer than two', () => {
    const { guard, flood, good, pass } = setUp()
    const verified = () => flood(SENDER, 10_000) - 101
    const HOUR = 3_600_000
    good(SENDER)
    pass(24 * HOUR)
    expect(verified()).toBe(1000)
    pass(HOUR)
    expect(verified()).toBe(1000)
    pass(25 * HOUR)
    guard.failed(ATTACKER, 0)
    expect(verified()).toBe(10)
  })
})

describe('the guard', () => {
  it('can be switched off', () => {
    const { guard, flood } = setUp({ failures: 0 })
    expect(flood(ATTACKER, 1000)).toBe(1000)
    expect(guard.size).toBe(0)
  })

  it('guards nobody whose address is not known any more', () => {
    const { guard, flood } = setUp()
    expect(flood('', 1000)).toBe(1000)
    expect(guard.size).toBe(0)
  })

  it('is left by him who floods only for the price of as many other addresses as it has room for', () => {
    const { guard, flood } = setUp({ maxAddresses: 1000 })
    flood(ATTACKER, 1000)
    for (let i = 0; i < 999; i++) flood(`10.0.${i >> 8}.${i & 255}`, 1)
    expect(guard.begin(ATTACKER)).toBe(false)
    flood('10.1.0.0', 1)
    expect(guard.begin(ATTACKER)).toBe(true)
  })

  /** What happens: time passes, or a request of one of a few addresses comes. */
  const step = fc.oneof(
    fc.record({ ms: fc.integer({ min: 0, max: 3000 }) }),
    fc.record({
      from: fc.integer({ min: 0, max: 60 }),
      count: fc.integer({ min: 1, max: 40 }),
      bytes: fc.constantFrom(0, 100, 10_000, 10_000_000),
      signed: fc.boolean(),
    }),
  )

  it('holds no more addresses than it may, and never refuses one that has signed well', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const { guard, flood, good, pass } = setUp({ failures: 10, maxAddresses: 20 })
        for (const each of steps) {
          if ('ms' in each) pass(each.ms)
          else if (each.signed) {
            // Addresses of their own: nobody floods from these.
            for (let i = 0; i < each.count; i++) expect(good(`good-${each.from}`)).toBe(true)
          } else flood(`bad-${each.from}`, each.count, each.bytes)
          expect(guard.size).toBeLessThanOrEqual(3 * 20)
          expect(guard.guarded).toBeLessThanOrEqual(20)
        }
      }),
    )
  })

  it('lets no address fail more often than its limit in a period and its ration a second', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const { flood, pass } = setUp({ failures: 10 })
        let verified = 0
        let time = 0
        for (const each of steps) {
          if ('ms' in each) {
            time += each.ms
            pass(each.ms)
          } else verified += flood(ATTACKER, each.count, each.bytes)
        }
        const periods = Math.floor(time / 10_000) + 1
        expect(verified).toBeLessThanOrEqual(11 * periods + 10 + (10 * time) / 1000)
      }),
    )
  })

  it('lets every address pass a well-signed request two seconds after it was refused', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const { guard, flood, good, pass } = setUp({ failures: 10 })
        for (const each of steps) {
          if ('ms' in each) pass(each.ms)
          else flood(ATTACKER, each.count, each.bytes)
        }
        if (guard.begin(ATTACKER)) return
        pass(2000)
        expect(good(ATTACKER)).toBe(true)
      }),
    )
  })
})

describe('the refusal', () => {
  it('says when to come again, with the status that makes this sender do it', () => {
    const { code, status, headers, detail } = floodProblem(10_000, 503)
    expect({ code, status, headers }).toEqual({
      code: 'SIGNATURE_FLOOD',
      status: 503,
      headers: ['Retry-After', '10'],
    })
    expect(detail).toContain('right secret')
  })
})
