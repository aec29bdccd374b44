/** Plain words for what was done, out of event names and states. */

/** Last words of names that tell what to do instead of what was done. */
const PAST: ReadonlyMap<string, string> = new Map(
  Object.entries({
    add: 'added',
    approve: 'approved',
    archive: 'archived',
    award: 'awarded',
    cancel: 'cancelled',
    canceled: 'cancelled',
    close: 'closed',
    connect: 'connected',
    create: 'created',
    delete: 'deleted',
    disable: 'disabled',
    disconnect: 'disconnected',
    dismiss: 'dismissed',
    edit: 'edited',
    enable: 'enabled',
    merge: 'merged',
    open: 'opened',
    publish: 'published',
    redact: 'redacted',
    remove: 'removed',
    rename: 'renamed',
    reopen: 'reopened',
    resolve: 'resolved',
    revoke: 'revoked',
    start: 'started',
    stop: 'stopped',
    update: 'updated',
  }),
)

/**
 * `pull_request.opened` → `opened`, `invoice.payment_failed` → `payment failed`, `orders.create` → `created`,
 * `push` → `push`: every event has something that can be shown.
 */
export function wordsOf(name: string): string {
  const parts = name.split(/[.:/]/).filter((part) => part !== '')
  const last = parts.at(-1) ?? ''
  const words = last.split(/[_\s-]+/).filter((word) => word !== '')
  if (words.length === 0 || (parts.length === 1 && last === 'unknown')) return 'sent an event'
  // A name of one word alone is a thing (`push`, `fork`), not what was done to it.
  if (parts.length > 1 || words.length > 1) {
    const end = words.length - 1
    words[end] = PAST.get(words[end] ?? '') ?? words[end] ?? ''
  }
  return words.join(' ')
}

/** How a check, run, job, status or deployment stands, in one vocabulary for all tools; other words stay as they are. */
const OUTCOMES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    canceled: 'cancelled',
    failed: 'failure',
    errored: 'error',
    inprogress: 'in_progress',
    running: 'in_progress',
    stopped: 'cancelled',
    successful: 'success',
  }),
)

export function outcomeOf(word: string | undefined): string | undefined {
  const plain = word?.toLowerCase()
  return plain === undefined ? undefined : (OUTCOMES.get(plain) ?? plain)
}

const SAID: ReadonlyMap<string, string> = new Map(
  Object.entries({
    action_required: 'needs action',
    cancelled: 'was cancelled',
    error: 'failed',
    failure: 'failed',
    in_progress: 'started',
    inactive: 'became inactive',
    neutral: 'ended neutral',
    pending: 'is pending',
    queued: 'was queued',
    skipped: 'was skipped',
    stale: 'went stale',
    startup_failure: 'failed to start',
    success: 'succeeded',
    timed_out: 'timed out',
    waiting: 'is waiting',
  }),
)

/** `run` and `failure` → `run failed`. */
export const ended = (what: string, outcome: string | undefined): string =>
  outcome === undefined ? what : `${what} ${SAID.get(outcome) ?? outcome.replaceAll('_', ' ')}`

const FAILURES: ReadonlySet<string> = new Set(['failure', 'error', 'timed_out', 'startup_failure'])

/** A failed run is an error, whatever else it is. */
export const severityOfOutcome = (outcome: string | undefined): 'error' | undefined =>
  outcome !== undefined && FAILURES.has(outcome) ? 'error' : undefined
