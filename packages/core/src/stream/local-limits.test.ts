import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RateLimit } from './limits.ts'
import { createLocalLimits } from './local-limits.ts'

const limitOf = (changes: Partial<RateLimit> = {}): RateLimit => ({
  type: 'ip',
  name: 'a',
  limit: 20,
  periodMs: 60_000,
  ...changes,
})

function limitsAt(start = 5_000) {
  const clock = { now: start }
  return { clock, limits: createLocalLimits(() => clock.now) }
}

describe('limits that a gateway counts alone', () => {
  it('let 20 of 30 pass at a limit of 20, and say when to come again', () => {
    const { clock, limits } = limitsAt()
    const answers = Array.from({ length: 30 }, () => limits.take([limitOf()]))
    expect(answers.filter((answer) => answer === undefined)).toHaveLength(20)
    const refused = answers.at(-1)!
    expect(refused).toMatchObject({ kind: 'limited', limit: limitOf() })
    clock.now += refused.retryAfterMs - 0.001
    expect(limits.take([limitOf()])).toBeDefined()
    clock.now += 0.001
    expect(limits.take([limitOf()])).toBeUndefined()
  })

  it('never let more than the limit pass in any period', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 20, maxLength: 200 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), steps, (most, moves) => {
        const { clock, limits } = limitsAt(1e6)
        const limit = limitOf({ limit: most, periodMs: 1_000 })
        const passed: number[] = []
        for (const move of moves) {
          clock.now += move
          if (limits.take([limit]) === undefined) passed.push(clock.now)
        }
        for (const [i, time] of passed.entries()) {
          const within = passed.slice(i).filter((other) => other < time + limit.periodMs)
          expect(within.length).toBeLessThanOrEqual(most)
        }
        // Nothing is held against anybody for longer than a sixteenth over the period.
        clock.now += (1_000 / 16) * 17
        expect(limits.take([limit])).toBeUndefined()
      }),
    )
  })

  it('count an event against all of its limits or against none', () => {
    const { limits } = limitsAt()
    const wide = limitOf({ type: 'global', limit: 5 })
    const narrow = limitOf({ limit: 2 })
    for (let i = 0; i < 2; i++) expect(limits.take([wide, narrow])).toBeUndefined()
    for (let i = 0; i < 9; i++) expect(limits.take([wide, narrow])?.limit).toBe(narrow)
    for (let i = 0; i < 3; i++) expect(limits.take([wide])).toBeUndefined()
    expect(limits.take([wide])?.limit).toBe(wide)
    expect(limits.take([limitOf({ name: 'zero', limit: 0 })])?.retryAfterMs).toBe(60_000)
  })

  it('remember a bounded number of names; further ones pass until there is room again', () => {
    const { clock, limits } = limitsAt()
    const once = (name: string) => limits.take([limitOf({ name, limit: 1, periodMs: 1_600 })])
    for (let i = 0; i < 10_000; i++) expect(once(`${i}`)).toBeUndefined()
    expect(once('0')).toBeDefined()
    for (let i = 0; i < 3; i++) expect(once('new')).toBeUndefined()
    clock.now += 1_700
    expect(once('new')).toBeUndefined()
    expect(once('new')).toBeDefined()
  })
})
