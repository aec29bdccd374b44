/**
 * Writes the audit trail, without getting in the way of what it tells of: a note is kept in memory and written with others
 * a moment later; what operators do is recorded, and they are told when it could not be.
 *
 *   idle ──note──▶ gathering ──100 ms, a record, or the end──▶ writing ──written──▶ idle, or gathering again
 *                                                                │ somebody was faster: made anew, at once
 *                                                                └ Redis is away or full ──▶ waiting ──▶ writing
 *
 * Entries leave the queue, in their order, when they are written. While nobody knows whether a batch was, exactly that one
 * is tried again: it follows on the same entry, and then it is the same, or on a later one, and then the first was refused.
 *
 * The queue is bounded. What does not fit is counted, and the count becomes an entry of its own. SIGKILL loses what is in
 * memory, never the chain: a batch is one atomic step.
 */
import type { Clock } from '../clock.ts'
import { Fault, isFault } from '../faults.ts'
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink } from '../redis/link.ts'
import {
  type AuditLine,
  type AuditPoint,
  type AuditState,
  appendAudit,
  auditLineAt,
  followOn,
  putAuditCheckpoint,
  readAuditState,
  trimAudit,
} from '../stream/audit-log.ts'

/** What cannot be found in an entry: secrets, headers, bodies. It is the caller's duty to leave them out. */
export type AuditDetail = Readonly<Record<string, string | number | boolean | null>>

export interface AuditNote {
  /** What was done: `dlq.purge`. */
  readonly action: string
  /** To what. */
  readonly target: string
  /** What became of it: `done`. */
  readonly outcome: string
  readonly detail?: AuditDetail
  /** Who did it; default: the auditor's own. */
  readonly actor?: string
}

export interface AuditFacts extends Required<AuditNote> {
  /** ms since the epoch */
  readonly at: number
}

/** How entries are chained and checkpoints signed: @weir/security, which core does not import, is handed in. */
export interface AuditChain {
  seal(facts: AuditFacts, after: AuditPoint): AuditLine
  /** The checkpoint of this point, one line; undefined = this process makes none. */
  readonly checkpoint: ((point: AuditPoint, at: number) => string) | undefined
}

export interface Auditor {
  /** Never waits, never fails. */
  note(note: AuditNote): void
  /**
   * Resolves with its place in the chain when it is written; undefined where there is no audit trail. Rejects with a Fault when
   * it could not be written: it may be yet, like a note, but nobody should rely on it.
   */
  record(note: AuditNote): Promise<AuditPoint | undefined>
  /** Begins to write, to make checkpoints and to remove what is older than the retention; the first record does so too. */
  start(): void
  /** Writes what there is, within its time. Harmless when repeated or never started. */
  close(): Promise<void>
  /** Notes that are not written yet, and how many were written and dropped since the start. */
  readonly counts: { readonly waiting: number; readonly written: number; readonly dropped: number }
}

/** For where there is no audit trail. */
export const NO_AUDIT: Auditor = {
  note: () => undefined,
  record: async () => undefined,
  start: () => undefined,
  close: async () => undefined,
  counts: { waiting: 0, written: 0, dropped: 0 },
}

/** What an operator should hear of it. */
export type AuditorEvent =
  /** Entries cannot be written and wait; once an outage. */
  | { readonly kind: 'away'; readonly error: unknown }
  | { readonly kind: 'back' }
  /** The queue was full; told when there was room to note it. */
  | { readonly kind: 'dropped'; readonly count: number }
  /** The end came before they could be written. */
  | { readonly kind: 'unwritten'; readonly count: number }
  /** Redis no longer has an entry that it had acknowledged: it lost some, or somebody meddled. */
  | { readonly kind: 'lost'; readonly point: AuditPoint }
  /** One was put; the log that this goes to may be where it is out of reach. */
  | { readonly kind: 'checkpoint'; readonly line: string }
  | { readonly kind: 'trimmed'; readonly removed: number; readonly floor: AuditPoint }
  /** Entry n is not the one that its checkpoint knows, so that nothing is removed. */
  | { readonly kind: 'trim-refused'; readonly n: number }
  | { readonly kind: 'upkeep-failed'; readonly error: unknown }

export interface AuditorOptions {
  /** To partition 0. */
  readonly link: RedisLink
  readonly keys: PartitionKeys
  readonly chain: AuditChain
  /** Who does what is noted, where nobody else is named. */
  readonly actor: string
  /** Entries after which a checkpoint is made. */
  readonly checkpointEvery: number
  /** Time after which one is made, if there was an entry, ms. */
  readonly checkpointIntervalMs: number
  /** Entries older than this are removed, up to a checkpoint, ms. */
  readonly retentionMs: number
  /** Notes kept while they cannot be written. */
  readonly maxWaiting?: number
  /** How long `close` tries, ms. */
  readonly closeMs?: number
  readonly clock: Clock
  /** 0 to 1 */
  random(): number
  tell(event: AuditorEvent): void
}

const MAX_WAITING = 10_000
const CLOSE_MS = 2_000
/** How long notes gather for one batch, ms. */
const GATHER_MS = 100
/** Entries written in one step. */
const BATCH = 100
/** How often a batch is made anew because others were faster, before that counts as a failure. */
const MAX_TRIES = 100
/** So many of these tries follow at once on each other: the answer to one names the head for the next. Then comes a pause. */
const AT_ONCE = 4
const MAX_JITTER_MS = 50
/** Pause after a failure, doubled with each one in a row, ms. */
const FIRST_PAUSE_MS = 250
const MAX_PAUSE_MS = 30_000
/** Retention is looked at this long after the start, and then every hour; a command is gone by then. */
const FIRST_TRIM_MS = 60_000
const TRIM_MS = 3_600_000
/** Pause between two looks at what is due: the shortest one, should it fail again and again, and that while nothing is known. */
const LEAST_MS = 1_000
const UNKNOWN_MS = 5_000

interface Waiting {
  readonly facts: AuditFacts
  /** Of a record that nobody has answered yet. */
  answer: { resolve(point: AuditPoint): void; reject(error: unknown): void } | undefined
}

export function createAuditor(options: AuditorOptions): Auditor {
  const { link, keys, chain, actor, clock, random, tell } = options
  const { maxWaiting = MAX_WAITING, closeMs = CLOSE_MS } = options
  const queue: Waiting[] = []
  let written = 0
  let dropped = 0
  /** Of those, how many are in no entry yet. */
  let untold = 0
  let state: AuditState | undefined
  /** A batch that was sent and not answered. */
  let unsure: readonly [AuditLine, ...AuditLine[]] | undefined
  /** The last entry that Redis acknowledged, and the connection on which it was seen last. */
  let acknowledged: { readonly line: AuditLine; readonly epoch: number } | undefined
  let failures = 0
  let nextTrimAt = Number.POSITIVE_INFINITY

  let running: Promise<void> | undefined
  let closed: Promise<void> | undefined
  let closing = false
  const givenUp = new AbortController()
  let pause: { readonly until: 'anything' | 'urgent'; end(): void } | undefined

  function enqueue(note: AuditNote, answer?: Waiting['answer']): void {
    const { action, target, outcome, detail = {} } = note
    queue.push({
      facts: { at: clock.now(), actor: note.actor ?? actor, action, target, outcome, detail },
      answer,
    })
    if (answer !== undefined || pause?.until === 'anything') pause?.end()
  }

  /** Waits so long, or until there is something to do (`anything`), or something that cannot wait (`urgent`). */
  async function rest(ms: number, until: 'anything' | 'urgent'): Promise<void> {
    const woken = new AbortController()
    pause = { until, end: () => woken.abort() }
    await clock.wait(ms, AbortSignal.any([woken.signal, givenUp.signal]))
    pause = undefined
  }

  async function run(): Promise<void> {
    nextTrimAt = clock.monotonic() + FIRST_TRIM_MS
    while (!givenUp.signal.aborted) {
      if (queue.length === 0) {
        if (closing) return
        await upkeep()
        if (queue.length === 0 && !closing) await rest(untilUpkeep(), 'anything')
        continue
      }
      const urgent = closing || queue.length >= BATCH || queue.some(({ answer }) => answer !== undefined)
      if (!urgent) await rest(GATHER_MS, 'urgent')
      try {
        await write()
        if (failures > 0) tell({ kind: 'back' })
        failures = 0
      } catch (error) {
        failures += 1
        if (failures === 1) tell({ kind: 'away', error })
        for (const each of queue) {
          each.answer?.reject(error)
          each.answer = undefined
        }
        // Who leaves does not wait for memory to come free.
        if (closing && !isFault(error, 'REDIS_UNAVAILABLE')) return
        const most = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 10))
        await rest(closing ? FIRST_PAUSE_MS : most / 2 + (random() * most) / 2, 'urgent')
      }
    }
  }

  /** Writes one batch. Throws when it could not be written, or nobody knows. */
  async function write(): Promise<void> {
    const batch = queue.slice(0, unsure?.length ?? BATCH)
    if (acknowledged !== undefined && acknowledged.epoch !== link.epoch) await lookForLoss(acknowledged.line)
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      if (unsure !== undefined && (await isThere(unsure[0]))) {
        // What came after it is not known.
        state = undefined
        return done(batch, unsure)
      }
      state ??= await readAuditState(link, keys)
      const lines = chained(batch, followOn(state))
      const appended = await append(followOn(state), lines)
      if (appended) {
        done(batch, lines)
        await checkpoint().catch((error: unknown) => tell({ kind: 'upkeep-failed', error }))
        return
      }
      // The unanswered one may have got there first. If it followed on an earlier entry, it never will.
      if (unsure?.[0].text !== lines[0].text) unsure = undefined
      if (tries % AT_ONCE !== AT_ONCE - 1) continue
      await clock.wait(random() * MAX_JITTER_MS, givenUp.signal)
      state = undefined // a head that is as old as the pause is surely not the head any more
    }
    throw new Fault('REDIS_UNAVAILABLE', 'so many write to the audit trail that this one did not get through')
  }

  async function append(after: AuditPoint, lines: readonly [AuditLine, ...AuditLine[]]): Promise<boolean> {
    state = undefined
    try {
      const outcome = await appendAudit(link, keys, after, lines, clock.now())
      state = outcome.state
      return outcome.kind === 'appended'
    } catch (error) {
      // Every other fault says that nothing was written.
      if (isFault(error, 'REDIS_UNAVAILABLE')) unsure = lines
      throw error
    }
  }

  function chained(batch: readonly Waiting[], after: AuditPoint): [AuditLine, ...AuditLine[]] {
    let point = after
    const lines = batch.map(({ facts }) => {
      const line = chain.seal(facts, point)
      point = line
      return line
    })
    return lines as [AuditLine, ...AuditLine[]]
  }

  async function isThere({ n, text }: AuditLine): Promise<boolean> {
    return (await auditLineAt(link, keys, n)) === text
  }

  function done(batch: readonly Waiting[], lines: readonly AuditLine[]): void {
    unsure = undefined
    queue.splice(0, batch.length)
    written += batch.length
    for (const [at, { answer }] of batch.entries()) {
      const { n, hash } = lines[at] as AuditLine
      answer?.resolve({ n, hash })
    }
    acknowledged = { line: lines.at(-1) as AuditLine, epoch: link.epoch }
    if (untold === 0) return
    const count = untold
    untold = 0
    tell({ kind: 'dropped', count })
    enqueue({ action: 'audit.dropped', target: 'audit', outcome: 'lost', detail: { count } })
  }

  /** After a reconnect: does Redis still have the last entry that it acknowledged? */
  async function lookForLoss(line: AuditLine): Promise<void> {
    const { epoch } = link
    const { n, hash } = line
    state = await readAuditState(link, keys)
    if (n > state.floor.n && !(await isThere(line))) {
      acknowledged = undefined
      tell({ kind: 'lost', point: { n, hash } })
      enqueue({ action: 'audit.lost', target: `entry ${n}`, outcome: 'found', detail: { n, hash } })
    } else acknowledged = { line, epoch }
  }

  /** Makes a checkpoint of the head, if one is due. */
  async function checkpoint(): Promise<void> {
    if (chain.checkpoint === undefined || state === undefined || checkpointIn(state) > 0) return
    const at = clock.now()
    const { head } = state
    const line = chain.checkpoint(head, at)
    const outcome = await putAuditCheckpoint(link, keys, state.checkpoint.n, { n: head.n, at, text: line })
    state = { ...state, checkpoint: outcome.checkpoint }
    if (outcome.kind === 'put') tell({ kind: 'checkpoint', line })
  }

  /** ms until a checkpoint is due; 0 = it is. */
  function checkpointIn({ head, last, checkpoint: { n, at } }: AuditState): number {
    // A head that somebody has set is nothing to vouch for.
    if (head.n <= n || head.n !== last) return Number.POSITIVE_INFINITY
    if (head.n - n >= options.checkpointEvery) return 0
    return Math.max(0, at + options.checkpointIntervalMs - clock.now())
  }

  function untilUpkeep(): number {
    if (state === undefined) return UNKNOWN_MS
    const untilCheckpoint = chain.checkpoint === undefined ? TRIM_MS : checkpointIn(state)
    return Math.max(LEAST_MS, Math.min(untilCheckpoint, nextTrimAt - clock.monotonic()))
  }

  /** Between batches. What fails is tried again later. */
  async function upkeep(): Promise<void> {
    try {
      state ??= await readAuditState(link, keys)
      await checkpoint()
      if (clock.monotonic() >= nextTrimAt) await trim()
    } catch (error) {
      // That Redis is away shows elsewhere.
      if (!isFault(error, 'REDIS_UNAVAILABLE')) tell({ kind: 'upkeep-failed', error })
    }
  }

  async function trim(): Promise<void> {
    nextTrimAt = clock.monotonic() + TRIM_MS
    const outcome = await trimAudit(link, keys, clock.now() - options.retentionMs)
    if (outcome.kind === 'kept') return
    tell(outcome.kind === 'trimmed' ? outcome : { kind: 'trim-refused', n: outcome.n })
    if (outcome.kind === 'refused') return
    const { removed, floor } = outcome
    const target = `entries to ${floor.n}`
    enqueue({ action: 'audit.trim', target, outcome: 'done', detail: { removed } })
  }

  async function end(): Promise<void> {
    closing = true
    pause?.end()
    if (running === undefined && queue.length === 0) return
    running ??= run()
    const finished = new AbortController()
    await Promise.race([running, clock.wait(closeMs, finished.signal)])
    finished.abort()
    givenUp.abort()
    const left = queue.length + untold
    for (const { answer } of queue) {
      answer?.reject(
        new Fault('REDIS_UNAVAILABLE', 'the audit trail was closed before this entry was written'),
      )
    }
    queue.length = 0
    if (left > 0) tell({ kind: 'unwritten', count: left })
  }

  return {
    note(note) {
      if (!closing && queue.length < maxWaiting) return enqueue(note)
      dropped += 1
      untold += 1
    },
    record(note) {
      return new Promise((resolve, reject) => {
        if (closing) return reject(new Fault('REDIS_UNAVAILABLE', 'the audit trail is closed'))
        enqueue(note, { resolve, reject })
        running ??= run()
      })
    },
    start() {
      if (!closing) running ??= run()
    },
    close: () => (closed ??= end()),
    get counts() {
      return { waiting: queue.length, written, dropped }
    },
  }
}
