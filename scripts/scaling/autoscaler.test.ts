import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AutoscalerSettings, courseOf, simulate } from './autoscaler.ts'
import { needsOf } from './needs.ts'
import { hpaSettings, kedaSettings } from './settings.ts'
import { burst, day } from './traces.ts'

const SETTINGS: AutoscalerSettings = {
  minReplicas: 3,
  maxReplicas: 20,
  lagEach: 300,
  scaleUp: { stabilizationWindowSeconds: 0, policies: [{ type: 'Percent', value: 100, periodSeconds: 30 }] },
  scaleDown: { stabilizationWindowSeconds: 300, policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }] },
}
const TIMES = { startSeconds: 20, syncSeconds: 15, scrapeSeconds: 15 }
const HOUR = 3_600
/** Events a second, by minutes: ten consumers become nine, and fifteen seconds later twenty. */
const DOWN_THEN_UP = [
  ...[
    592, 442, 1064, 1984, 3059, 488, 429, 668, 278, 111, 285, 439, 359, 688, 403, 1270, 1479, 1535, 506, 3072,
  ],
  ...[2249, 425, 941, 72, 53, 222, 276, 5848, 462, 510],
]

describe('the autoscaler', () => {
  it('loses no event, keeps to its limits, and to its policies', () => {
    const load = fc.array(fc.integer({ min: 0, max: 6_000 }), { minLength: 30, maxLength: 30 })
    fc.assert(
      fc.property(load, (minutes) => {
        const arrivals = (second: number) => minutes[Math.floor(second / 60)]!
        const history = simulate({ settings: SETTINGS, arrivals, seconds: 1_800, perConsumer: 200, ...TIMES })
        let arrived = 0
        let settled = 0
        for (const [at, second] of history.entries()) {
          arrived += second.arrived
          settled += second.settled
          expect(second.lag).toBe(arrived - settled)
          expect(second.replicas).toBeGreaterThanOrEqual(3)
          expect(second.replicas).toBeLessThanOrEqual(20)
          expect(second.working).toBeLessThanOrEqual(second.replicas)
          const before = history[Math.max(0, at - 1)]!.replicas
          // What a policy allows counts from the beginning of its period, also after a step the other way.
          const halfAMinuteBefore = history[Math.max(0, at - 30)]!.replicas
          if (second.replicas > before) expect(second.replicas).toBeLessThanOrEqual(2 * halfAMinuteBefore)
          const aMinuteBefore = history[Math.max(0, at - 60)]!.replicas
          if (second.replicas < before) expect(second.replicas).toBeGreaterThanOrEqual(aMinuteBefore - 1)
        }
      }),
      { numRuns: 50, examples: [[DOWN_THEN_UP]] },
    )
  })

  it('stays where it is while the fewest keep up', () => {
    const history = simulate({
      settings: SETTINGS,
      arrivals: () => 500,
      seconds: HOUR,
      perConsumer: 200,
      ...TIMES,
    })
    expect(courseOf(history, 0)).toMatchObject({ highestLag: 0, changes: 0, replicaHours: 3 })
  })

  it('doubles every half minute until enough keep up, and comes down one by one five minutes after', () => {
    const arrivals = (second: number) => (second < 120 ? 3_000 : 100)
    const history = simulate({ settings: SETTINGS, arrivals, seconds: HOUR, perConsumer: 200, ...TIMES })
    expect([15, 16, 45, 46, 75, 76].map((at) => history[at]!.replicas)).toEqual([3, 6, 6, 12, 12, 20])
    const end = history.findIndex(({ lag }, at) => at > 100 && lag === 0)
    const first = history.findIndex(({ replicas }, at) => at > 100 && replicas < 20)
    expect(first - end).toBeGreaterThanOrEqual(300)
    expect(history.at(-1)!.replicas).toBe(3)
  })

  it('with the lag alone goes up and down for ever where the fewest do not keep up; with busy workers it settles', () => {
    const of = (settings: AutoscalerSettings) =>
      courseOf(
        simulate({ settings, arrivals: () => 1_500, seconds: 4 * HOUR, perConsumer: 200, ...TIMES }).slice(
          HOUR,
        ),
        1_000,
      )
    expect(of(SETTINGS).changes).toBeGreaterThan(20)
    expect(of({ ...SETTINGS, busyEach: 0.7 })).toMatchObject({ changes: 0, secondsAbove: 0 })
  })

  it('is shipped with the same settings by HPA and KEDA, which do better on a day and in a burst than those here', () => {
    const shipped = hpaSettings()
    expect(kedaSettings()).toEqual(shipped)
    for (const [arrivals, seconds] of [
      [day(2_000), 24 * HOUR],
      [burst(200, 15), HOUR],
    ] as const) {
      const of = (settings: AutoscalerSettings) =>
        courseOf(simulate({ settings, arrivals, seconds, perConsumer: 200, ...TIMES }), 1_000)
      expect(of(shipped).secondsAbove).toBeLessThan(0.7 * of(SETTINGS).secondsAbove)
    }
    const usual = simulate({
      settings: shipped,
      arrivals: day(2_000),
      seconds: 24 * HOUR,
      perConsumer: 200,
      ...TIMES,
    })
    expect(courseOf(usual, 0).highestLag).toBe(0)
  })
})

describe('the traces', () => {
  it('have their peaks where they say', () => {
    const at = day(2_000)
    expect(at(10 * HOUR)).toBe(2_000)
    expect(Math.max(...Array.from({ length: 24 * 60 }, (_, minute) => at(minute * 60)))).toBe(2_000)
    expect([0, 599, 610, 1_199, 1_200].map(burst(200, 15))).toEqual([200, 200, 3_000, 3_000, 200])
  })
})

describe('what a rate needs', () => {
  it('grows with the rate, and is more with contexts', () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 1_000_000 }), fc.boolean(), (rate, contexts) => {
        const [once, twice] = [needsOf(rate, contexts), needsOf(2 * rate, contexts)]
        expect(twice.memory / once.memory).toBeCloseTo(2)
        expect(twice.masters).toBeGreaterThanOrEqual(once.masters)
        expect(needsOf(rate, true).memory).toBeGreaterThan(needsOf(rate, false).memory)
      }),
    )
  })

  it('is what the sum by hand says', () => {
    const { gatewayCores, mastersForCpu, memory, objectPuts } = needsOf(10_000, false)
    expect(gatewayCores).toBeCloseTo((10_000 * 175e-6) / 0.6)
    expect(mastersForCpu).toBe(Math.ceil((10_000 * 97e-6) / 0.5))
    expect(memory).toBeCloseTo(10_000 * 1.25 * (3_600 * 990 + 3 * 86_400 * 12))
    expect(objectPuts).toBe(0)
  })
})
