/**
 * A trace of accesses to contexts for bench/prewarm.ts: SIMULATED people, as there are no recorded ones. One seed always makes the same
 * trace. Two offices, eight hours apart, work from Monday to Friday:
 *
 *   incidents   an alert group of one of the services fires, eight a day, some services more than others. Two to four people come, one
 *               after the other within half an hour. Each opens the alert, then mostly (85 %) the pull request of the service's runbook,
 *               then often (60 %) the ticket of the incident, which is new each time
 *   reviews     a pull request is opened and read by three people over a day or two; who reads it often (70 %) opens its ticket, a
 *               third of the time before it
 *   mornings    in each office eight people look each workday at about the same quarter of an hour (their own, 7 minutes either way)
 *               at the same three to six contexts: builds of the branch, releases, the board
 *   handover    on-call changes at 10:00 and 18:00 UTC, every day, within five minutes: the schedule's context, and the alerts of the last half day
 *   noise       as many single accesses as all these together, to any of 3,000 contexts, a few of them much more often than most
 *
 * Sizes are those of contexts of a few events to a few hundred: 4 KB to 400 KB of content, log-uniform.
 */
import { contextIdOf } from '@weir/context-lifecycle/context-id'
import type { Access } from '@weir/context-lifecycle/prewarm/access-log'

export interface Trace {
  /** In the order of time. */
  readonly accesses: readonly Access[]
  /** Of a context's content. */
  sizeOf(id: string): number
  readonly endsAt: number
}

export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS
const WORKDAYS = 5
const WEEK = 7
const OFFICES = [8 * HOUR_MS, 16 * HOUR_MS] as const
const SERVICES = 14
const NOISE_CONTEXTS = 3_000

/** 0 to 1, the same sequence for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Begins on a Monday at midnight, `startsAt`, ms. */
export function simulatedTrace(seed: number, days: number, startsAt: number): Trace {
  const random = randomOf(seed)
  const accesses: Access[] = []
  const between = (low: number, high: number) => low + random() * (high - low)
  const chance = (share: number) => random() < share
  /** A few far more often than most. */
  const skewed = (count: number) => Math.floor(count * random() ** 3)
  const idOf = (subject: string) => contextIdOf('acme', 'any', subject)
  const read = (subject: string, at: number) =>
    void accesses.push({ id: idOf(subject), at: Math.floor(startsAt + at) })
  const works = (day: number) => day % WEEK < WORKDAYS

  const mornings = OFFICES.flatMap((opens) =>
    Array.from({ length: 8 }, (_, person) => ({
      at: opens + between(0, 90 * MINUTE_MS),
      subjects: Array.from(
        { length: Math.floor(between(3, 7)) },
        (_, n) => `morning/${opens}/${person}/${n}`,
      ),
    })),
  )
  let fired: { readonly subject: string; readonly at: number }[] = []
  let number = 0
  for (let day = 0; day < days; day++) {
    const today = day * DAY_MS
    for (let n = 0; n < (works(day) ? 8 : 3); n++) {
      const service = skewed(SERVICES)
      const alert = `alert/${service}/${skewed(3)}`
      const ticket = `ticket/incident/${day}/${n}`
      const began = today + between(0, DAY_MS)
      fired.push({ subject: alert, at: began })
      const people = Math.floor(between(2, 5))
      for (let person = 0; person < people; person++) {
        let at = began + between(0, 30 * MINUTE_MS)
        read(alert, at)
        if (chance(0.85)) {
          at += between(20_000, 6 * MINUTE_MS)
          read(`runbook/${service}`, at)
        }
        if (chance(0.6)) read(ticket, at + between(20_000, 6 * MINUTE_MS))
      }
    }
    for (const opens of works(day) ? OFFICES : []) {
      for (let n = 0; n < 15; n++) {
        const [change, ticket] = [`pr/${++number}`, `ticket/${number}`]
        for (let reader = 0; reader < 3; reader++) {
          const at = today + opens + between(0, 9 * HOUR_MS) + (chance(0.3) ? DAY_MS : 0)
          read(change, at)
          if (chance(0.7)) read(ticket, at + (chance(1 / 3) ? -1 : 1) * between(10_000, 3 * MINUTE_MS))
        }
      }
    }
    for (const { at, subjects } of works(day) ? mornings : []) {
      let next = today + at + between(-7, 7) * MINUTE_MS
      // Away once in ten days.
      for (const subject of chance(0.9) ? subjects : []) {
        next += between(5_000, 60_000)
        read(subject, next)
      }
    }
    for (const hour of [10, 18]) {
      let at = today + hour * HOUR_MS + between(0, 5) * MINUTE_MS
      read('on-call', at)
      const began = at
      fired = fired.filter((alert) => alert.at > began - DAY_MS / 2)
      const subjects = new Set(fired.filter((alert) => alert.at < began).map(({ subject }) => subject))
      for (const subject of subjects) {
        at += between(10_000, 40_000)
        read(subject, at)
      }
    }
  }
  const habits = accesses.length
  for (let n = 0; n < habits; n++) read(`noise/${skewed(NOISE_CONTEXTS)}`, between(0, days * DAY_MS))
  const sizes = new Map<string, number>()
  for (const { id } of accesses) if (!sizes.has(id)) sizes.set(id, Math.floor(4_000 * 100 ** random()))
  return {
    accesses: accesses.sort((a, b) => a.at - b.at),
    sizeOf: (id) => sizes.get(id) ?? 0,
    endsAt: startsAt + days * DAY_MS,
  }
}
