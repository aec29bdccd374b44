/**
 * Notes of what may come in floods: one entry for each kind and interval, with a count, so that 50,000 refused requests make
 * a few entries.
 *
 *   quiet ──first one──▶ counting ──interval over──▶ noted ──next one within an interval──▶ counting, twice as long
 *     ▲                                                └──────an interval without one──────▶ quiet
 *     └──────────────────────────────────────────────────────────────────────────────────────┘
 *
 * The first one is noted soon, and a flood that goes on for days does not fill Redis. Kinds are bounded too: strangers make
 * them up, and what is one too many is counted with the others.
 */
import type { Clock } from '../clock.ts'
import { type AuditNote, type Auditor, NO_AUDIT } from './auditor.ts'

export interface NoteTally {
  /**
   * One more of this kind.
   * @param key the same for all that are of one kind
   * @param note what the entry will say, besides `count` and `seconds`; asked for the first one of an interval
   */
  count(key: string, note: () => AuditNote): void
  /** Notes what was counted. Before the auditor is closed; what is counted afterwards is noted at once. */
  stop(): void
}

export interface NoteTallyOptions {
  readonly auditor: Auditor
  /** The shortest interval, ms. */
  readonly intervalMs: number
  /** The longest one, ms; default: a minute. */
  readonly maxIntervalMs?: number
  /** Kinds that are told apart within an interval. */
  readonly maxKinds: number
  /** What the entry says of those that are too many. */
  readonly others: AuditNote
  readonly clock: Pick<Clock, 'monotonic' | 'wait'>
}

interface Kind {
  readonly note: AuditNote
  count: number
}

const MAX_INTERVAL_MS = 60_000
/** No kind is called so. */
const OTHERS = '\0others'

export function createNoteTally(options: NoteTallyOptions): NoteTally {
  const { auditor, intervalMs, maxIntervalMs = MAX_INTERVAL_MS, maxKinds, others, clock } = options
  if (auditor === NO_AUDIT) return { count: () => undefined, stop: () => undefined }
  let kinds = new Map<string, Kind>()
  let interval = intervalMs
  let began = 0
  let notedAt = Number.NEGATIVE_INFINITY
  const stopped = new AbortController()

  function kindOf(key: string, note: () => AuditNote): Kind {
    const known = kinds.get(key)
    if (known !== undefined) return known
    if (kinds.size === 0) begin()
    if (kinds.size >= maxKinds) return kinds.get(OTHERS) ?? add(OTHERS, others)
    return add(key, note())
  }

  function begin(): void {
    began = clock.monotonic()
    interval = began - notedAt < interval ? Math.min(maxIntervalMs, 2 * interval) : intervalMs
    void clock.wait(interval, stopped.signal).then(flush)
  }

  function add(key: string, note: AuditNote): Kind {
    const kind = { note, count: 0 }
    kinds.set(key, kind)
    return kind
  }

  function flush(): void {
    if (kinds.size === 0) return
    const over = kinds
    kinds = new Map()
    notedAt = clock.monotonic()
    const seconds = Math.round(notedAt - began) / 1000
    for (const { note, count } of over.values()) {
      auditor.note({ ...note, detail: { ...note.detail, count, seconds } })
    }
  }

  return {
    count(key, note) {
      kindOf(key, note).count += 1
      if (stopped.signal.aborted) flush()
    },
    stop() {
      stopped.abort()
      flush()
    },
  }
}
