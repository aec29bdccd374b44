/** Times as senders write them: ISO 8601 with its dialects, and numbers. */
import { peek } from '@weir/core/adapters/peek'

/** No tool sends events older than this; smaller numbers are something else (durations, ids). */
const EARLIEST = Date.UTC(2000, 0, 1)
/** How far the sender's clock may be ahead, ms. A later time is a plan (a due date, an end that is only expected). */
const AHEAD_MAX = 24 * 60 * 60 * 1000
/** Numbers below are seconds. As milliseconds they would be 1973, which is before the earliest, so nothing is ambiguous. */
const SECONDS_BELOW = 100_000_000_000

/**
 * `2019-05-15T15:20:33Z`; GitLab's `2016-08-12 15:23:28 UTC` and `… +0200`; Jira's zone without a colon; any fraction.
 * Without a zone it is taken for UTC, so that it does not depend on where Weir runs.
 */
const DATE_TIME =
  /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:[.,](\d{1,12}))? ?(?:(Z|z|UTC)|([+-]\d\d):?(\d\d))?$/
const NUMBER = /^\d{1,17}(?:\.\d{1,9})?$/

/** ms since the epoch; undefined for what is no time. */
export function readTime(value: unknown): number | undefined {
  const number = typeof value === 'string' && NUMBER.test(value) ? Number(value) : value
  if (typeof number === 'number') {
    return Number.isFinite(number) ? Math.floor(number < SECONDS_BELOW ? number * 1000 : number) : undefined
  }
  const match = typeof value === 'string' ? DATE_TIME.exec(value) : null
  if (match === null) return undefined
  const [, day, minutes, seconds = ':00', fraction = '0', , hours, offset] = match
  const zone = hours === undefined ? 'Z' : `${hours}:${offset}`
  const time = Date.parse(`${day}T${minutes}${seconds}.${fraction.slice(0, 3).padEnd(3, '0')}${zone}`)
  return Number.isNaN(time) ? undefined : time
}

/** The first of the values that can be the time of an event received then; undefined where none can. */
export function timeAmong(values: readonly unknown[], receivedAt: number): number | undefined {
  for (const value of values) {
    const time = readTime(value)
    if (time !== undefined && time >= EARLIEST && time <= receivedAt + AHEAD_MAX) return time
  }
  return undefined
}

/** The latest of the values that can be one. */
export function latestAmong(values: readonly unknown[], receivedAt: number): number | undefined {
  const times = values.map((value) => timeAmong([value], receivedAt)).filter((time) => time !== undefined)
  return times.length === 0 ? undefined : Math.max(...times)
}

/** The values of some members of an object, in that order: what a payload calls its times. */
export const members = (value: unknown, ...names: readonly string[]): readonly unknown[] =>
  names.map((name) => peek(value, name))
