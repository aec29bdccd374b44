/**
 * How important a context is, 0 to 1, and why.
 *
 * score = the sum of weight × value over nine parts. Weights are fixed and sum to 1, values are 0 to 1 and rounded before
 * they are summed, so whoever reads the printed parts can add up the score; nothing else goes into it. Every value only
 * rises with what it measures, and time alone never raises the score.
 */
import type { Context } from './compose.ts'
import type { Severity } from './digest.ts'

export type ImportancePart =
  | 'kind'
  | 'severity'
  | 'default_branch'
  | 'state'
  | 'people'
  | 'mentions'
  | 'activity'
  | 'access'
  | 'recency'

export interface Importance {
  /** 0 to 1, three decimals. */
  readonly score: number
  readonly parts: readonly {
    readonly part: ImportancePart
    readonly weight: number
    /** 0 to 1, three decimals. */
    readonly value: number
    readonly why: string
  }[]
}

/**
 * Chosen against the default thresholds of `webhook.context_lifecycle`, at the ages when they are asked:
 *
 * - 0.8 keeps a context hot for longer. A critical alert that fires must reach it alone, from its first event until
 *   Alertmanager repeats it (4 h by default), and alerts name no people and no branch. So kind, severity, state and recency
 *   are 0.81 together. An error reaches it only when it also repeats and is read often.
 * - 0.5 keeps it warm for longer, asked a day after the last event. A pull request or ticket that is open and that several
 *   people work on must reach it without a severity, which most tools never say. One that is over cannot; one that a single
 *   person opened, or that was left alone for three days, needs readers for it.
 *
 * The other five rank contexts that are alike: 0.19 together, they weigh less than whether a thing is on or over.
 */
export const WEIGHTS: Readonly<Record<ImportancePart, number>> = {
  kind: 0.16,
  severity: 0.28,
  default_branch: 0.02,
  state: 0.22,
  people: 0.05,
  mentions: 0.02,
  activity: 0.05,
  access: 0.05,
  recency: 0.15,
}

/** Kinds as the adapters name them: first what somebody must act on now, then work, then what machines do. */
const KINDS: ReadonlyMap<string, number> = new Map([
  ...['alert', 'alert_group', 'incident'].map((kind) => [kind, 1] as const),
  ...['security_alert', 'security_advisory'].map((kind) => [kind, 0.9] as const),
  ...['pull_request', 'merge_request'].map((kind) => [kind, 0.8] as const),
  ...['issue', 'dispute'].map((kind) => [kind, 0.7] as const),
  ...['deployment', 'release', 'discussion', 'thread'].map((kind) => [kind, 0.5] as const),
  ...['pipeline', 'workflow_run', 'job', 'order', 'invoice'].map((kind) => [kind, 0.4] as const),
  // Collect what belongs to nothing smaller; each single event matters little.
  ...['repository', 'project', 'organization', 'group', 'workspace', 'channel', 'account', 'user'].map(
    (kind) => [kind, 0.2] as const,
  ),
])
/** Commits, refs, milestones, and kinds that nobody has met yet. */
const OTHER_KIND = 0.3

const SEVERITIES: Readonly<Record<Severity, number>> = { critical: 1, error: 0.7, warning: 0.4, info: 0.1 }
/** What is left of a severity once the thing is over: enough to find last week's outage above last week's notices. */
const SEVERITY_LEFT_WHEN_OVER = 0.2

/**
 * A failed run is an end too, but one that somebody has to look at. Words that mean an end of one thing and the life of
 * another are in neither: a release that is published is done, an advisory has just begun.
 */
const ON = new Set(
  (
    'open opened reopened new draft firing triggered acknowledged unacknowledged escalated to_do todo in_progress ' +
    'in_review requested pending queued waiting running failure failed startup_failure error errored timed_out ' +
    'action_required changes_requested'
  ).split(' '),
)
const OVER = new Set(
  (
    'resolved closed merged done complete completed success successful succeeded passed fixed dismissed ' +
    'auto_dismissed declined rejected superseded cancelled canceled skipped ' +
    'neutral stale inactive deleted archived withdrawn paid fulfilled'
  ).split(' '),
)
const STATE_ON = 1
/** A status that a team made up, in whatever language, or none: it may be either. */
const STATE_UNSURE = 0.5
const STATE_OVER = 0

/** So many people, mentioned people and accesses are worth half; twice as many, three quarters. */
const PEOPLE_HALF = 3
const MENTIONS_HALF = 4
const ACCESSES_HALF = 5
/** So many events are worth all; each doubling is worth the same, as one monitor's flood says little more than its first ten. */
const EVENTS_FULL = 100

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
/** Half as recent after three days: what happened on Friday still shows on Monday, last week's hardly does. */
export const RECENCY_HALF_LIFE_MS = 3 * DAY_MS
/** Longer than recency's: that somebody came to read tells that it is of use, which passes more slowly than news. */
export const ACCESS_HALF_LIFE_MS = 7 * DAY_MS

/** A value and the sentence that goes with it. */
type Judgement = readonly [value: number, why: string]

const saturating = (count: number, half: number): number => 1 - 2 ** -(Math.max(0, count) / half)
export const decayed = (ageMs: number, halfLifeMs: number): number => 2 ** -(Math.max(0, ageMs) / halfLifeMs)
export const toThousandths = (value: number): number => Math.round(value * 1_000) / 1_000
const counted = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`

export function ago(ms: number): string {
  if (ms < MINUTE_MS) return 'just now'
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)}m ago`
  if (ms < DAY_MS) return `${Math.floor(ms / HOUR_MS)}h ago`
  return `${Math.floor(ms / DAY_MS)}d ago`
}

type Phase = 'on' | 'over' | 'unsure'

/** `In Progress`, `in-progress` and `IN_PROGRESS` are one state. */
function phaseOf(state: string | null): Phase {
  const word = (state ?? '')
    .trim()
    .toLowerCase()
    .replace(/[\s_-]+/g, '_')
  return ON.has(word) ? 'on' : OVER.has(word) ? 'over' : 'unsure'
}

function kindPart({ kind }: Context): Judgement {
  const [value, words] = [KINDS.get(kind), kind.replaceAll('_', ' ')]
  return value === undefined
    ? [OTHER_KIND, `kind is ${words}, rated as any other`]
    : [value, `kind is ${words}`]
}

function severityPart({ severity, state }: Context): Judgement {
  if (severity === null) return [0, 'no event says how severe it is']
  const phase = phaseOf(state)
  if (phase === 'over') return [SEVERITIES[severity] * SEVERITY_LEFT_WHEN_OVER, `${severity}, but ${state}`]
  return [SEVERITIES[severity], phase === 'on' ? `${severity}, and ${state}` : severity]
}

function defaultBranchPart({ timeline }: Context): Judgement {
  return timeline.some(({ digest }) => digest.defaultBranch)
    ? [1, 'it concerns the default branch']
    : [0, 'no event says that it concerns the default branch']
}

function statePart({ state }: Context): Judgement {
  if (state === null) return [STATE_UNSURE, 'no event says its state']
  switch (phaseOf(state)) {
    case 'on':
      return [STATE_ON, `it is ${state}`]
    case 'over':
      return [STATE_OVER, `it is ${state}, so it is over`]
    case 'unsure':
      return [STATE_UNSURE, `it is ${state}, which may be on or over`]
  }
}

/** GitHub's apps, and GitLab's users for access tokens: https://docs.gitlab.com/user/project/settings/project_access_tokens/ */
const BOT = /\[bot\]$|^(?:project|group)_\d+_bot/

/** Bots are told, and do not count: they act on everything alike. */
function peoplePart({ people }: Context): Judgement {
  const bots = people.filter(({ name }) => BOT.test(name)).length
  const persons = people.length - bots
  if (people.length === 0) return [0, 'no event says who took part']
  const andBots = bots === 0 ? '' : ` and ${counted(bots, 'bot', 'bots')}`
  return [saturating(persons, PEOPLE_HALF), `${counted(persons, 'person', 'people')}${andBots} took part`]
}

function mentionsPart({ mentioned }: Context): Judgement {
  if (mentioned.length === 0) return [0, 'nobody was mentioned']
  const why = `${counted(mentioned.length, 'person was', 'people were')} mentioned`
  return [saturating(mentioned.length, MENTIONS_HALF), why]
}

function activityPart({ events }: Context): Judgement {
  const value = Math.log2(1 + Math.max(0, events)) / Math.log2(1 + EVENTS_FULL)
  return [Math.min(1, value), counted(events, 'event', 'events')]
}

/** How often it was read, the less the longer ago the last time was. */
export function effectiveAccesses(
  { accesses, lastAccessAt }: Pick<Context, 'accesses' | 'lastAccessAt'>,
  now: number,
): number {
  return lastAccessAt === undefined ? 0 : accesses * decayed(now - lastAccessAt, ACCESS_HALF_LIFE_MS)
}

function accessPart({ accesses, lastAccessAt }: Context, now: number): Judgement {
  if (accesses <= 0) return [0, 'never read']
  const times = `read ${counted(accesses, 'time', 'times')}`
  if (lastAccessAt === undefined) return [0, `${times}, not known when`]
  const age = now - lastAccessAt
  const value = saturating(accesses, ACCESSES_HALF) * decayed(age, ACCESS_HALF_LIFE_MS)
  return [value, `${times}, last ${ago(age)}`]
}

/** Nothing happened after it was received: a sender whose clock is a year ahead would be recent for a year. */
function recencyPart({ timeline }: Context, now: number): Judgement {
  if (timeline.length === 0) return [0, 'no event yet']
  const last = timeline.reduce((at, entry) => Math.max(at, Math.min(entry.digest.at, entry.receivedAt)), 0)
  return [decayed(now - last, RECENCY_HALF_LIFE_MS), `last event ${ago(now - last)}`]
}

/** In the order in which they are printed: what it is, who cares, how fresh. */
const PARTS: Readonly<Record<ImportancePart, (context: Context, now: number) => Judgement>> = {
  kind: kindPart,
  severity: severityPart,
  default_branch: defaultBranchPart,
  state: statePart,
  people: peoplePart,
  mentions: mentionsPart,
  activity: activityPart,
  access: accessPart,
  recency: recencyPart,
}

/** @param now ms since the epoch */
export function importanceOf(context: Context, now: number): Importance {
  const parts = (Object.keys(PARTS) as ImportancePart[]).map((part) => {
    const [value, why] = PARTS[part](context, now)
    return { part, weight: WEIGHTS[part], value: toThousandths(value), why }
  })
  return { score: toThousandths(parts.reduce((sum, { weight, value }) => sum + weight * value, 0)), parts }
}
