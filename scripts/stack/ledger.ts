/** The ledger as the operations API answers it (`GET /ledger`), and as one line. */
import { messageOf } from '@weir/core/faults'

const LEDGER_TIMEOUT_MS = 2_000

const SHOWN = [
  'accepted',
  'settled',
  'unread',
  'pending',
  'parked',
  'dead',
  'spooled',
  'unaccounted',
] as const
/** Shown only when they are not 0: most installations never see them. */
const RARE = ['superseded', 'purged'] as const

export type Counts = Readonly<Record<string, number | null>>

/** The numbers of a ledger answer; undefined when it is not one. Unknown (null) stays unknown. */
export function countsOf(answer: unknown): Counts | undefined {
  if (typeof answer !== 'object' || answer === null || !('accepted' in answer)) return undefined
  return Object.fromEntries(
    Object.entries(answer).filter(
      (entry): entry is [string, number | null] => typeof entry[1] === 'number' || entry[1] === null,
    ),
  )
}

/** `accepted 3 · settled 3 · unread 0 · …`; `?` for what is unknown. */
export function ledgerLine(counts: Counts): string {
  const rare = RARE.filter((name) => counts[name] !== undefined && counts[name] !== 0)
  return lineOf(counts, [...SHOWN, ...rare])
}

/** The same for a narrow terminal: without the places where nothing is. */
export function shortLedgerLine(counts: Counts): string {
  const always = ['accepted', 'settled', 'unaccounted']
  return lineOf(
    counts,
    [...SHOWN, ...RARE].filter((name) => always.includes(name) || (counts[name] ?? '?') !== 0),
  )
}

function lineOf(counts: Counts, names: readonly string[]): string {
  return names.map((name) => `${name} ${counts[name] ?? '?'}`).join(' · ')
}

/** Is every accepted event in a final place, and none unaccounted for? */
export function isAtRest(counts: Counts): boolean {
  return ['unread', 'pending', 'parked', 'spooled', 'unaccounted'].every((name) => counts[name] === 0)
}

export type LedgerAnswer =
  | { readonly kind: 'counts'; readonly counts: Counts }
  | { readonly kind: 'none'; readonly why: string }

/** Asks the operations API at this base URL. */
export async function readLedger(operations: string, token: string | null): Promise<LedgerAnswer> {
  try {
    const response = await fetch(`${operations}/ledger`, {
      headers: { authorization: `Bearer ${token ?? ''}` },
      signal: AbortSignal.timeout(LEDGER_TIMEOUT_MS),
    })
    const counts = response.status === 200 ? countsOf(await response.json()) : undefined
    if (counts) return { kind: 'counts', counts }
    return { kind: 'none', why: `the operations API answers ${response.status}` }
  } catch (error) {
    return { kind: 'none', why: `the operations API does not answer (${messageOf(error)})` }
  }
}
