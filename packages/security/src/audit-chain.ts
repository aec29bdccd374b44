/**
 * The audit trail as a chain: every entry holds the hash of the one before it, so that none can be changed, taken out, put
 * in or moved without the next one telling.
 *
 *   {"n":7,"at":…,"actor":…,"action":…,"target":…,"outcome":…,"detail":{…},"prev":"<hash of entry 6>","hash":"<of this>"}
 *
 * An entry is one line of JSON with its members in this order. Its hash is the SHA-256 of the line without its last member,
 * so anybody can check it with sha256sum. What counts are the bytes: a line that says the same in another way is changed.
 *
 * A chain alone proves nothing about its end: whoever cuts entries off it leaves a chain that is whole. That is what marks
 * are for, points of the chain that are known from elsewhere: signed checkpoints (audit-checkpoint.ts), or its recorded head.
 */
import { hash as digest } from 'node:crypto'

/** A place in the chain: up to entry `n`, whose hash this is. */
export interface ChainPoint {
  readonly n: number
  /** SHA-256, 64 hex digits. */
  readonly hash: string
}

export type AuditDetail = Readonly<Record<string, string | number | boolean | null>>

/** What an entry tells. */
export interface AuditFacts {
  /** ms since the epoch, by the clock of who tells it */
  readonly at: number
  /** Who did it. */
  readonly actor: string
  /** What was done, as `dlq.purge`. */
  readonly action: string
  /** To what. */
  readonly target: string
  /** What became of it, as `done`. */
  readonly outcome: string
  readonly detail: AuditDetail
}

export interface AuditEntry extends AuditFacts, ChainPoint {
  /** Hash of the entry before. */
  readonly prev: string
}

/** An entry as it is kept. */
export interface SealedEntry extends ChainPoint {
  readonly text: string
}

/** Before the first entry. */
export const GENESIS: ChainPoint = { n: 0, hash: '0'.repeat(64) }

/** Characters that a text may have; what is cut ends with …. */
const MAX_TEXT = 300
const MAX_MEMBERS = 20
const MAX_NAME = 40
const MEMBER = /^[a-z][a-z0-9_]{0,39}$/
const HASH = /^[0-9a-f]{64}$/

/**
 * The entry that follows on this point. Never throws: texts are cut to a limit, members of `detail` beyond the first 20 are
 * left out, names become lower-case letters, digits and _, and what looks like a secret is taken out.
 */
export function sealEntry(facts: AuditFacts, after: ChainPoint): SealedEntry {
  const n = after.n + 1
  const body = encode(n, bounded(facts), after.hash)
  const hash = digest('sha256', body)
  return { n, hash, text: withHash(body, hash) }
}

function encode(n: number, facts: AuditFacts, prev: string): string {
  const { at, actor, action, target, outcome, detail } = facts
  return JSON.stringify({ n, at, actor, action, target, outcome, detail, prev })
}

function withHash(body: string, hash: string): string {
  return `${body.slice(0, -1)},"hash":"${hash}"}`
}

function bounded({ at, actor, action, target, outcome, detail }: AuditFacts): AuditFacts {
  return {
    at: Math.trunc(at),
    actor: clean(actor),
    action: clean(action),
    target: clean(target),
    outcome: clean(outcome),
    detail: boundedDetail(detail),
  }
}

/** Names of what must not be told. Callers do not tell it; this is for the day when one does. */
const SECRET_MEMBER =
  /(?:^|_)(?:secrets?|tokens?|passwords?|passphrase|authorization|cookies?|signatures?|private_key|api_key)(?:_|$)/
/** User and password in a URL, as messages of connections have them. */
const CREDENTIALS = /([a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi
const HIDDEN = '***'

function boundedDetail(detail: AuditDetail): AuditDetail {
  const members: [string, AuditDetail[string]][] = []
  for (const [given, value] of Object.entries(detail).slice(0, MAX_MEMBERS)) {
    const name = MEMBER.test(given) ? given : memberName(given)
    if (typeof value === 'number') members.push([name, Number.isFinite(value) ? value : null])
    else if (typeof value !== 'string') members.push([name, value])
    else members.push([name, SECRET_MEMBER.test(name) ? HIDDEN : clean(value)])
  }
  return Object.fromEntries(members)
}

/** Never a number: JSON.parse would move such a member to the front. */
function memberName(text: string): string {
  return `x_${text.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_')}`.slice(0, MAX_NAME)
}

function clean(text: string): string {
  // Cut before it is searched, as a text may be megabytes long, and twice as long as it will be, so that the @ is still there.
  const start = text.length > 2 * MAX_TEXT ? text.slice(0, 2 * MAX_TEXT) : text
  const shown = start.replace(CREDENTIALS, `$1${HIDDEN}@`)
  const short = shown.length > MAX_TEXT ? `${shown.slice(0, MAX_TEXT - 1)}…` : shown
  return short.toWellFormed()
}

/** The entry that a line is; undefined when it is none. Whether it is what was written once, only the chain can tell. */
export function readEntry(text: string): AuditEntry | undefined {
  let entry: Partial<AuditEntry> | null
  try {
    entry = JSON.parse(text) as Partial<AuditEntry> | null
  } catch {
    return undefined // no JSON, and so no entry
  }
  if (typeof entry !== 'object' || entry === null) return undefined
  const { n, at, detail, prev, hash } = entry
  const texts = [entry.actor, entry.action, entry.target, entry.outcome]
  const sound =
    Number.isSafeInteger(n) &&
    (n as number) > 0 &&
    Number.isSafeInteger(at) &&
    texts.every((each) => typeof each === 'string') &&
    isDetail(detail) &&
    [prev, hash].every((each) => typeof each === 'string' && HASH.test(each))
  return sound ? (entry as AuditEntry) : undefined
}

function isDetail(detail: unknown): boolean {
  return (
    typeof detail === 'object' &&
    detail !== null &&
    !Array.isArray(detail) &&
    Object.values(detail).every((value) => value === null || typeof value !== 'object')
  )
}

/** What is wrong with a link of the chain. */
export type BreakKind =
  /** The line is no entry, or its hash is not the one that it says. */
  | 'changed'
  | 'missing'
  /** It stands where another entry belongs. */
  | 'out-of-order'
  /** It is whole, but follows on another entry than the one before it. */
  | 'not-linked'
  /** It is whole and linked, but not the one that a mark knows. */
  | 'rewritten'
  /** A mark knows entries behind the last one. */
  | 'cut-off'

/** The first link that does not hold. */
export interface BrokenLink {
  readonly n: number
  readonly kind: BreakKind
  /** A sentence for people. */
  readonly why: string
}

/** A point that the chain must go through, and who says so. */
export interface ChainMark extends ChainPoint {
  readonly says: string
}

export interface ChainVerifier {
  /** The last entry that holds. */
  readonly head: ChainPoint
  /** The next line. False when the rest needs no looking at. */
  take(line: string): boolean
  /** After the last line: the first broken link, or undefined when all is well. */
  end(): BrokenLink | undefined
}

/**
 * Verifies a run of entries, line by line.
 * @param anchor the point that the first line must follow on
 * @param marks points that the chain must go through; those before the anchor are of no use
 */
export function createChainVerifier(anchor: ChainPoint, marks: readonly ChainMark[]): ChainVerifier {
  const known = new Map<number, ChainMark[]>()
  for (const mark of marks) known.set(mark.n, [...(known.get(mark.n) ?? []), mark])
  let head = anchor
  let broken: BrokenLink | undefined
  /** The entry that should have come, and the number of the one that came; it may come later still. */
  let awaited: { readonly n: number; readonly found: number } | undefined

  const judgeMarks = (point: ChainPoint): void => {
    const other = known.get(point.n)?.find(({ hash }) => hash !== point.hash)
    if (other === undefined) return
    broken = {
      n: point.n,
      kind: 'rewritten',
      why: `entry ${point.n} is not the one that ${other.says} knows: it, or entries before it, were written anew`,
    }
  }

  const judge = (line: string): void => {
    const n = head.n + 1
    const entry = readEntry(line)
    if (entry === undefined) {
      broken = { n, kind: 'changed', why: `what stands in the place of entry ${n} is no entry` }
    } else if (!isItself(entry, line)) {
      broken = { n, kind: 'changed', why: `entry ${n} was changed: its hash is not the one that it says` }
    } else if (entry.n > n) {
      awaited = { n, found: entry.n }
    } else if (entry.n < n) {
      const why = `entry ${entry.n} stands behind entry ${head.n}`
      broken = { n: entry.n, kind: 'out-of-order', why }
    } else if (entry.prev !== head.hash) {
      const before = head.n === 0 ? 'the beginning' : `entry ${head.n}`
      const why = `entry ${n} does not follow on ${before}: one of the two is not what was written`
      broken = { n, kind: 'not-linked', why }
    } else {
      head = { n, hash: entry.hash }
      judgeMarks(head)
    }
  }

  judgeMarks(anchor)
  return {
    get head() {
      return head
    },
    take(line) {
      if (broken !== undefined) return false
      if (awaited === undefined) {
        judge(line)
      } else if (readEntry(line)?.n === awaited.n) {
        const { n, found } = awaited
        const why = `entry ${found} stands where entry ${n} belongs, which comes later`
        broken = { n, kind: 'out-of-order', why }
      }
      return broken === undefined
    },
    end() {
      if (broken !== undefined) return broken
      if (awaited !== undefined) {
        const { n, found } = awaited
        const which = found === n + 1 ? `entry ${n} is` : `entries ${n} to ${found - 1} are`
        return { n, kind: 'missing', why: `${which} missing` }
      }
      const beyond = marks.filter(({ n }) => n > head.n).sort((a, b) => b.n - a.n)[0]
      if (beyond === undefined) return undefined
      const why = `the chain ends with entry ${head.n}, but ${beyond.says} knows entry ${beyond.n}: its end was cut off`
      return { n: head.n + 1, kind: 'cut-off', why }
    },
  }
}

/** Does the line hash to what it says, and is it written as sealEntry writes? */
function isItself(entry: AuditEntry, line: string): boolean {
  const body = encode(entry.n, entry, entry.prev)
  return line === withHash(body, entry.hash) && digest('sha256', body) === entry.hash
}
