/** What is read next, said from what was read before. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Access } from './access-log.ts'
import { type PredictOptions, predict } from './predict.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const NOW = 100 * DAY
const OPTIONS: PredictOptions = { max: 10, threshold: 0, lookbackMs: 15 * MINUTE, historyMs: 14 * DAY }

/** A context, read so many minutes before now. */
const read = (id: string, minutes: number): Access => ({ id, at: NOW - minutes * MINUTE })
const DAYS = [1, 2, 3, 4, 5, 6, 7, 8].map((day) => day * 24 * 60)
/** At another hour each day, so that the hour says nothing. */
const TIMES = DAYS.map((minutes, n) => minutes + 60 + n * 50)

describe('a sequence', () => {
  it('is what was read after another one, whenever that was read', () => {
    const past = TIMES.slice(0, 6).flatMap((minutes) => [
      read('alert', minutes),
      read('runbook', minutes - 5),
    ])
    const found = predict([...past, read('alert', 1)], NOW, OPTIONS)
    expect(found).toEqual([
      {
        id: 'runbook',
        confidence: 0.75,
        reasons: [{ kind: 'sequence', text: 'read after alert 6 of 6 times', share: 0.75, after: 'alert' }],
      },
    ])
  })

  it('does not go backwards, nor further than the lookback window', () => {
    const before = TIMES.flatMap((minutes) => [read('a', minutes), read('b', minutes + 5)])
    expect(predict([...before, read('a', 1)], NOW, OPTIONS)).toEqual([])
    const late = TIMES.flatMap((minutes) => [read('a', minutes), read('b', minutes - 16)])
    expect(predict([...late, read('a', 1)], NOW, OPTIONS)).toEqual([])
  })

  it('is the less certain the fewer times there were, and the more often it did not come', () => {
    const confidenceOf = (times: readonly number[], followed: number) => {
      const past = times.flatMap((minutes, n) => [
        read('a', minutes),
        ...(n < followed ? [read('b', minutes - 5)] : []),
      ])
      return predict([...past, read('a', 1)], NOW, OPTIONS)[0]?.confidence
    }
    expect(confidenceOf(TIMES.slice(0, 1), 1)).toBe(0.333)
    expect(confidenceOf(TIMES.slice(0, 5), 5)).toBe(0.714)
    expect(confidenceOf(TIMES, 8)).toBe(0.8)
    expect(confidenceOf(TIMES, 4)).toBe(0.4)
  })

  it('counts several readers of one time once', () => {
    const once = [
      read('a', 500),
      read('a', 499),
      read('a', 498),
      read('a', 497),
      read('b', 495),
      read('a', 1),
    ]
    expect(predict(once, NOW, OPTIONS)).toMatchObject([{ id: 'b', confidence: 0.333 }])
  })

  it('that should have come by now is not waited for', () => {
    const past = TIMES.flatMap((minutes) => [read('a', minutes), read('b', minutes - 5)])
    expect(predict([...past, read('a', 4)], NOW, OPTIONS)).toMatchObject([{ id: 'b' }])
    expect(predict([...past, read('a', 6)], NOW, OPTIONS)).toEqual([])
  })
})

describe('what is read together', () => {
  it('is known in either order', () => {
    const past = TIMES.flatMap((minutes, n) => [
      read('change', minutes),
      read('ticket', n % 2 === 0 ? minutes - 1 : minutes + 1),
    ])
    const [found] = predict([...past, read('change', 0)], NOW, OPTIONS)
    expect(found).toMatchObject({ id: 'ticket', confidence: 0.8 })
    expect(found?.reasons.map(({ kind, text }) => [kind, text])).toEqual([
      ['together', 'read together with change 8 of 8 times'],
      // Where it came before, it could not follow.
      ['sequence', 'read after change 4 of 8 times'],
    ])
  })
})

describe('the hour', () => {
  it('says what was read at this time on earlier days', () => {
    const mornings = DAYS.map((minutes) => read('board', minutes - 3))
    expect(predict(mornings, NOW, OPTIONS)).toMatchObject([
      {
        id: 'board',
        reasons: [{ kind: 'hour', text: 'read at this time of the day on 7 of 7 days', after: undefined }],
      },
    ])
    expect(predict(mornings, NOW + HOUR, OPTIONS)).toEqual([])
  })

  it('says less of a day of the week on which it was not read', () => {
    const all = DAYS.map((minutes) => read('board', minutes - 3))
    const notOnThisDay = all.filter((_, n) => n !== 6)
    const [every] = predict(all, NOW, OPTIONS)
    const [others] = predict(notOnThisDay, NOW, OPTIONS)
    expect(every!.confidence).toBeGreaterThan(0.8)
    expect(others!.confidence).toBeLessThan(0.6)
  })
})

describe('every prediction', () => {
  const ids = fc.constantFrom('a', 'b', 'c', 'd', 'e')
  const access = fc.record({ id: ids, at: fc.integer({ min: NOW - 20 * DAY, max: NOW + HOUR }) })
  /** Times that are few, so that habits and ties come about. */
  const regular = fc.record({
    id: ids,
    at: fc
      .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: -3, max: 3 }))
      .map(([day, step]) => NOW - day * DAY + step * 2 * MINUTE),
  })
  const accesses = fc.array(fc.oneof(access, regular), { maxLength: 60 })
  const options = fc.record({
    max: fc.integer({ min: 0, max: 4 }),
    threshold: fc.double({ min: 0, max: 1, noNaN: true }),
    lookbackMs: fc.integer({ min: MINUTE, max: DAY }),
    historyMs: fc.integer({ min: DAY, max: 20 * DAY }),
  })

  it('is as likely as was asked for, and says why; there are no more than that, the likeliest first', () => {
    fc.assert(
      fc.property(accesses, options, (some, rules) => {
        const found = predict(some, NOW, rules)
        expect(found.length).toBeLessThanOrEqual(rules.max)
        expect(new Set(found.map(({ id }) => id)).size).toBe(found.length)
        for (const { confidence, reasons } of found) {
          expect(confidence).toBeGreaterThanOrEqual(rules.threshold)
          for (const { share } of reasons) {
            expect(share).toBeGreaterThan(0)
            expect(share).toBeLessThanOrEqual(confidence)
          }
          expect(confidence).toBeLessThanOrEqual(1)
          expect(reasons[0]?.share).toBe(confidence)
        }
        const confidences = found.map(({ confidence }) => confidence)
        expect(confidences).toEqual(confidences.toSorted((a, b) => b - a))
      }),
    )
  })

  it('is never of what was just read', () => {
    fc.assert(
      fc.property(accesses, options, (some, rules) => {
        const lately: ReadonlySet<string> = new Set(
          some.filter(({ at }) => at <= NOW && at >= NOW - rules.lookbackMs).map(({ id }) => id),
        )
        for (const { id } of predict(some, NOW, rules)) expect(lately.has(id)).toBe(false)
      }),
    )
  })

  it('is the same whatever the order of the accesses, also of those at one moment', () => {
    const shuffled = accesses.chain((some) =>
      fc.tuple(fc.constant(some), fc.shuffledSubarray(some, { minLength: some.length })),
    )
    fc.assert(
      fc.property(shuffled, options, ([some, other], rules) => {
        expect(predict(other, NOW, rules)).toEqual(predict(some, NOW, rules))
      }),
    )
  })

  it('comes from the history alone: neither from what is older nor from what is yet to come', () => {
    fc.assert(
      fc.property(accesses, options, (some, rules) => {
        const within = some.filter(({ at }) => at > NOW - rules.historyMs && at <= NOW)
        expect(predict(within, NOW, rules)).toEqual(predict(some, NOW, rules))
      }),
    )
  })
})
