import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CLOCK_TOLERANCE_MS } from './clock-repair.ts'
import { createClockWatch } from './clock-watch.ts'

const SETTLE_MS = 60_000
const DAY_MS = 86_400_000

/** Two clocks; questions take `tripMs`, and Redis reads its clock somewhere on the way. */
function world() {
  let mine = 1_000
  let redis = 1_700_000_000_000
  const watch = createClockWatch(() => mine, SETTLE_MS)
  const pass = (ms: number) => {
    mine += ms
    redis += ms
  }
  return {
    watch,
    pass,
    jump(ms: number) {
      redis += ms
    },
    ask(tripMs = 1, share = 0.5) {
      const asked = mine
      pass(tripMs * share)
      const told = redis
      pass(tripMs * (1 - share))
      return watch.saw(told, asked, mine)
    },
  }
}

describe("watching Redis' clock", () => {
  it('trusts it at first, and as long as it runs like ours', () => {
    const { watch, ask, pass } = world()
    expect(watch.steady).toBe(true)
    for (let i = 0; i < 10; i++) {
      expect(ask()).toBe(0)
      pass(5_000)
    }
    expect(watch.steady).toBe(true)
  })

  it.each([3 * DAY_MS, -3 * DAY_MS, 2_000])(
    'notices a jump of %i ms, and settles after a while',
    (jumpMs) => {
      const { watch, ask, pass, jump } = world()
      ask()
      pass(5_000)
      jump(jumpMs)
      expect(Math.abs(ask() - jumpMs)).toBeLessThanOrEqual(2)
      expect(watch.steady).toBe(false)
      pass(SETTLE_MS - 2_000)
      expect(ask()).toBe(0)
      expect(watch.steady).toBe(false)
      pass(2_000)
      expect(watch.steady).toBe(true)
    },
  )

  it('begins anew with every jump', () => {
    const { watch, ask, pass, jump } = world()
    ask()
    jump(DAY_MS)
    ask()
    pass(SETTLE_MS / 2)
    jump(-DAY_MS)
    ask()
    pass(SETTLE_MS / 2 + 1_000)
    expect(watch.steady).toBe(false)
  })

  it('does not take slow answers for a jump, however slow and uneven they are', () => {
    const trips = fc.array(
      fc.record({ trip: fc.nat(60_000), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    )
    fc.assert(
      fc.property(trips, (asked) => {
        const { watch, ask } = world()
        for (const { trip, share } of asked) expect(Math.abs(ask(trip, share))).toBe(0)
        expect(watch.steady).toBe(true)
      }),
    )
  })

  it('does not mind a clock that drifts or is slewed', () => {
    const { watch, ask, pass, jump } = world()
    for (let i = 0; i < 1_000; i++) {
      ask()
      pass(5_000)
      jump(CLOCK_TOLERANCE_MS / 4)
    }
    expect(watch.steady).toBe(true)
  })
})
