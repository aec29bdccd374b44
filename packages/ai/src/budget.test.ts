import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { useLink } from '../../../tests/support/ai.ts'
import { canShiftClock, DAY_MS } from '../../../tests/support/clock.ts'
import { useServerClock } from '../../../tests/support/use-server-clock.ts'
import { createBudget, type Reservation } from './budget.ts'

const clock = useServerClock()
const world = useLink({ appendfsync: 'no', ...(canShiftClock ? { binary: clock.binary } : {}) })

const budgetOf = (dailyTokens?: number) =>
  createBudget({ link: world.link, prefix: '{webhook-events}:ai:', dailyTokens })

async function reserved(budget: ReturnType<typeof budgetOf>, tokens: number): Promise<Reservation> {
  const reservation = await budget.reserve('acme', tokens)
  if (reservation.kind === 'over-budget') throw new TypeError('over budget')
  return reservation
}

describe('the budget of a tenant', () => {
  it('is reserved before and corrected after', async () => {
    const budget = budgetOf(100)
    const reservation = await reserved(budget, 80)
    expect(await budget.reserve('acme', 21)).toMatchObject({ kind: 'over-budget' })
    await budget.settle(reservation, { tokens: 30, cost: 0.25 })
    expect(await budget.used('acme')).toEqual({ tokens: 30, cost: 0.25 })
    await reserved(budget, 70)
    expect(await budget.reserve('acme', 1)).toMatchObject({ kind: 'over-budget' })
  })

  it('is its own', async () => {
    const budget = budgetOf(100)
    await reserved(budget, 100)
    expect(await budget.reserve('globex', 100)).toMatchObject({ kind: 'reserved' })
  })

  it('is counted without a limit too', async () => {
    const budget = budgetOf()
    await budget.settle(await reserved(budget, 1_000_000), { tokens: 2_000_000, cost: 1e-7 })
    await budget.settle(await reserved(budget, 1), { tokens: 1, cost: 2e-7 })
    const { tokens, cost } = await budget.used('acme')
    expect(tokens).toBe(2_000_001)
    expect(cost).toBeCloseTo(3e-7, 12)
  })

  it('is never exceeded by more than what requests took beyond their estimates, however they overlap', async () => {
    const request = fc.record({
      estimate: fc.integer({ min: 1, max: 60 }),
      beyond: fc.integer({ min: -20, max: 20 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 30 }), async (requests) => {
        await world.link.call('FLUSHALL')
        const budgets = [budgetOf(200), budgetOf(200)]
        let excess = 0
        await Promise.all(
          requests.map(async ({ estimate, beyond }, at) => {
            const budget = budgets[at % 2]!
            const reservation = await budget.reserve('acme', estimate)
            if (reservation.kind === 'over-budget') return
            excess += Math.max(0, beyond)
            await budget.settle(reservation, { tokens: Math.max(0, estimate + beyond), cost: 0 })
          }),
        )
        expect((await budgets[0]!.used('acme')).tokens).toBeLessThanOrEqual(200 + excess)
      }),
      { numRuns: 30 },
    )
  })
})

describe.runIf(canShiftClock)('the day of a budget', () => {
  it('ends at midnight, UTC, by the clock of Redis', async () => {
    const budget = budgetOf(100)
    const reservation = await reserved(budget, 100)
    const over = await budget.reserve('acme', 1)
    if (over.kind !== 'over-budget') throw new TypeError('reserved')
    expect(over.resetsInMs).toBeGreaterThan(0)
    expect(over.resetsInMs).toBeLessThanOrEqual(DAY_MS)
    clock.set(over.resetsInMs + 1)
    expect(await budget.used('acme')).toEqual({ tokens: 0, cost: 0 })
    await reserved(budget, 60)
    // What was reserved yesterday says nothing of today.
    await budget.settle(reservation, { tokens: 0, cost: 1 })
    expect(await budget.used('acme')).toEqual({ tokens: 60, cost: 0 })
  })

  it('does not begin anew when the clock goes back', async () => {
    const budget = budgetOf(100)
    clock.set(DAY_MS)
    await reserved(budget, 100)
    clock.set(0)
    expect(await budget.reserve('acme', 1)).toMatchObject({ kind: 'over-budget' })
    expect((await budget.used('acme')).tokens).toBe(100)
  })

  it('is forgotten a day later', async () => {
    await reserved(budgetOf(100), 1)
    const left = Number(await world.link.call('PTTL', '{webhook-events}:ai:budget:acme'))
    expect(left).toBeGreaterThan(DAY_MS - 1_000)
    expect(left).toBeLessThanOrEqual(2 * DAY_MS)
  })
})
