/**
 * The circuit breaker of a tool, shared by all consumers of a partition through Redis.
 *
 *   closed ──(failure_threshold failures in a row)──▶ open ──(open_duration passes)──▶ half-open
 *   half-open: one event is let through as the probe (leased, so that a dead prober does not block it)
 *     probe succeeds → closed          probe fails → open again
 *
 * Open and half-open: that tool's events wait, without using up attempts. A success while closed sets the count of
 * failures in a row back to 0. All times are Redis time.
 */
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'

export interface BreakerSettings {
  /** Failures in a row that open it. */
  readonly failureThreshold: number
  /** ms */
  readonly openDurationMs: number
  /** How long a probe may take before another is let through, ms; longer than the handler time-out. */
  readonly probeLeaseMs: number
}

export interface BreakerState {
  readonly state: 'closed' | 'open' | 'half-open'
  /** Failures in a row. */
  readonly failures: number
  /** ms until a probe may run; 0 when closed or already possible. */
  readonly waitMs: number
  /** Redis ms since when it has been open; 0 when closed. */
  readonly since: number
}

/** What the gauge of any breaker shows: webhook_circuit_breaker_state, and those of cold storage and of AI. */
export const BREAKER_GAUGE = { closed: 0, open: 1, 'half-open': 2 } as const

const DECIDE = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local b = redis.call('HMGET', KEYS[1], 'failures', 'since', 'until', 'probe')
local failures, since, untilMs, probe = tonumber(b[1] or 0), tonumber(b[2] or 0), tonumber(b[3] or 0), tonumber(b[4] or 0)
local function view()
  if since == 0 then return {0, failures, 0, 0} end
  if now < untilMs then return {1, failures, untilMs - now, since} end
  return {2, failures, math.max(0, probe - now), since}
end
`

/*
 * KEYS  1 breaker     ARGV  none
 * Reply {state 0 closed 1 open 2 half-open, failures, wait ms, since}
 */
const READ_BREAKER = defineScript('read-breaker', `${DECIDE}\nreturn view()`)

/*
 * KEYS  1 breaker     ARGV  1 probe lease ms
 * Reply as above; state 2 with wait 0 means: the caller holds the probe
 */
const ACQUIRE_PROBE = defineScript(
  'acquire-probe',
  `${DECIDE}
local v = view()
if v[1] == 2 and v[3] == 0 then redis.call('HSET', KEYS[1], 'probe', now + ARGV[1]) end
return v
`,
)

/*
 * KEYS  1 breaker     ARGV  none
 * Reply 1 freed | 0 it is closed
 */
const RELEASE_PROBE = defineScript(
  'release-probe',
  `
if redis.call('HEXISTS', KEYS[1], 'until') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'probe', 0)
return 1
`,
)

/*
 * KEYS  1 breaker     ARGV  1 failures to add (0 = a success), 2 threshold, 3 open ms, 4 '1' when it is the probe's outcome
 * Reply as above, after the change, then 1 when this call opened or closed it
 */
const REPORT_BREAKER = defineScript(
  'report-breaker',
  `${DECIDE}
local added, changed = tonumber(ARGV[1]), 0
-- A probe's outcome counts while half-open only: one that comes later says nothing about now.
local probing = ARGV[4] == '1' and since ~= 0 and now >= untilMs
if added == 0 then
  if since == 0 or probing then
    if since ~= 0 then changed = 1 end
    redis.call('DEL', KEYS[1])
    failures, since = 0, 0
  end
else
  failures = failures + added
  redis.call('HSET', KEYS[1], 'failures', failures)
  if probing or (since == 0 and failures >= tonumber(ARGV[2])) then
    if since == 0 then since = now changed = 1 end
    untilMs, probe = now + ARGV[3], 0
    redis.call('HSET', KEYS[1], 'since', since, 'until', untilMs, 'probe', 0)
  end
end
local v = view()
v[5] = changed
return v
`,
)

export async function readBreaker(link: RedisLink, keys: PartitionKeys, tool: string): Promise<BreakerState> {
  return stateOf((await link.run(READ_BREAKER, [keys.breaker(tool)], [])) as RedisReply[])
}

/** Like {@link readBreaker}; when half-open and the probe is free, the caller gets it (`waitMs` 0). */
export async function acquireProbe(
  link: RedisLink,
  keys: PartitionKeys,
  tool: string,
  settings: BreakerSettings,
): Promise<BreakerState> {
  const reply = await link.run(ACQUIRE_PROBE, [keys.breaker(tool)], [settings.probeLeaseMs])
  return stateOf(reply as RedisReply[])
}

/** Gives the probe back unused: its event ended without saying anything of the tool (malformed, superseded, stopped). */
export async function releaseProbe(link: RedisLink, keys: PartitionKeys, tool: string): Promise<void> {
  await link.run(RELEASE_PROBE, [keys.breaker(tool)], [])
}

/**
 * Reports outcomes of a tool's events.
 * @param failures failures in a row since the last report; 0 reports a success
 * @param probe true for the outcome of the half-open probe
 */
export async function reportBreaker(
  link: RedisLink,
  keys: PartitionKeys,
  tool: string,
  settings: BreakerSettings,
  failures: number,
  probe: boolean,
): Promise<BreakerState & { readonly changed: boolean }> {
  const reply = (await link.run(
    REPORT_BREAKER,
    [keys.breaker(tool)],
    [failures, settings.failureThreshold, settings.openDurationMs, probe ? '1' : '0'],
  )) as RedisReply[]
  return { ...stateOf(reply), changed: reply[4] === 1 }
}

/** Closes a tool's breaker. True when it was not closed before. */
export async function resetBreaker(link: RedisLink, keys: PartitionKeys, tool: string): Promise<boolean> {
  const before = await readBreaker(link, keys, tool)
  await link.call('DEL', keys.breaker(tool))
  return before.state !== 'closed'
}

function stateOf(reply: RedisReply[]): BreakerState {
  const [state, failures, waitMs, since] = reply as number[]
  return {
    state: state === 0 ? 'closed' : state === 1 ? 'open' : 'half-open',
    failures: failures!,
    waitMs: waitMs!,
    since: since!,
  }
}
