/**
 * What processes tell of themselves in Redis, so that the operations API can answer for the whole: the checks of their own
 * `/health/webhook` that nobody else can see (a spool, cold storage, a provider), every few seconds.
 *
 * Ages are told by Redis' clock, so that clocks that differ make nothing older or younger. Who leaves takes its report along; the
 * report of one that was killed is removed by the others when it is old.
 */
import type { Clock } from '../clock.ts'
import { isFault, messageOf } from '../faults.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import { redisTime } from '../redis/time.ts'
import { objectOf, pairsOf } from '../view/replies.ts'
import { CHECK_STATES, type Check, type CheckState } from './document.ts'

export interface HealthReport {
  readonly name: string
  readonly component: string
  /** Since it was written, ms. */
  readonly ageMs: number
  /** With the ages that they have now. */
  readonly checks: Readonly<Record<string, Check>>
}

/** Pause between two reports of a process, ms. */
const REPORT_INTERVAL_MS = 5_000
/** Pause before it looks again whether Redis is there, ms. */
const RECONNECTING_MS = 200
/** A process whose report is older is not there any more, ms. */
const REPORT_ALIVE_MS = 30_000
/** Reports are removed when they are older, ms. */
const REPORT_KEPT_MS = 600_000

/*
 * Writes the report of one, and removes those that are too old.
 *
 * KEYS  1 health
 * ARGV  1 name, 2 JSON, 3 age at which reports are removed, ms
 * Value of each: `<redis ms> <JSON>`
 */
const WRITE_REPORT = defineScript(
  'write-health-report',
  `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %s', now, ARGV[2]))
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local at = tonumber(string.match(all[i + 1], '^%d+'))
  if not at or math.abs(now - at) > tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], all[i]) end
end
return now
`,
)

export interface HealthReporter {
  start(): void
  /** Takes the report back. Never rejects; harmless when repeated or never started. */
  stop(): Promise<void>
}

export interface HealthReporterOptions {
  readonly link: RedisLink
  /** Where the reports lie (keys.ts, `health`). */
  readonly key: string
  /** That no other process has. */
  readonly name: string
  readonly component: string
  checks(): Readonly<Record<string, Check>>
  readonly clock: Pick<Clock, 'wait'>
  /** Told when reports begin to fail for another reason than that Redis is away. */
  onTrouble(reason: string): void
}

export function createHealthReporter(options: HealthReporterOptions): HealthReporter {
  const { link, key, name, component, clock } = options
  const stopped = new AbortController()
  let running: Promise<void> | undefined
  let ended: Promise<void> | undefined
  let told: string | undefined

  async function attempt(work: () => Promise<unknown>): Promise<void> {
    if (!link.connected) return
    try {
      await work()
      told = undefined
    } catch (error) {
      // That Redis is away is told by whoever needs it; a report less harms nobody.
      if (isFault(error, 'REDIS_UNAVAILABLE')) return
      const reason = messageOf(error)
      if (reason !== told) options.onTrouble(reason)
      told = reason
    }
  }

  async function run(): Promise<void> {
    while (!stopped.signal.aborted) {
      await attempt(() => {
        const text = JSON.stringify({ component, checks: options.checks() })
        return link.run(WRITE_REPORT, [key], [name, text, REPORT_KEPT_MS])
      })
      await clock.wait(link.connected ? REPORT_INTERVAL_MS : RECONNECTING_MS, stopped.signal)
    }
  }

  async function end(): Promise<void> {
    stopped.abort()
    if (running === undefined) return
    await running
    await attempt(() => link.call('HDEL', key, name))
  }

  return {
    start() {
      running ??= run()
    },
    stop: () => (ended ??= end()),
  }
}

/** Reports of the processes that live, in the order of their names; what is no report is left out. Throws Fault REDIS_UNAVAILABLE. */
export async function readHealthReports(link: RedisLink, key: string): Promise<HealthReport[]> {
  const now = await redisTime(link)
  const reports: HealthReport[] = []
  for (const [name, value] of pairsOf((await link.call('HGETALL', key)) as RedisReply)) {
    const report = reportOf(name, value, now)
    if (report !== undefined && report.ageMs <= REPORT_ALIVE_MS) reports.push(report)
  }
  return reports.sort((a, b) => (a.name < b.name ? -1 : 1))
}

function reportOf(name: string, value: string, now: number): HealthReport | undefined {
  const [, at, json = ''] = /^(\d{1,15}) (.*)$/s.exec(value) ?? []
  const found = objectOf(json)
  if (at === undefined || found === undefined || typeof found.component !== 'string') return undefined
  const ageMs = Math.max(0, now - Number(at))
  const checks: Record<string, Check> = {}
  for (const [check, facts] of Object.entries((found.checks ?? {}) as object)) {
    if (!isCheck(facts)) return undefined
    checks[check] = { ...facts, age_ms: facts.age_ms === null ? null : facts.age_ms + ageMs }
  }
  return { name, component: found.component, ageMs, checks }
}

function isCheck(found: unknown): found is Check {
  if (typeof found !== 'object' || found === null) return false
  const { state, age_ms: age } = found as Record<string, unknown>
  return CHECK_STATES.includes(state as CheckState) && (age === null || typeof age === 'number')
}
