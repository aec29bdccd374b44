/** What the operations API tells the audit trail of those who came without the operators' token. */
import type { Auditor } from '@weir/core/audit/auditor'
import { createNoteTally } from '@weir/core/audit/note-tally'
import type { Clock } from '@weir/core/clock'

export interface AccessNotes {
  /** @param token was none shown, or a wrong one? */
  refused(address: string, token: 'missing' | 'wrong'): void
  stop(): void
}

const INTERVAL_MS = 1_000
/** Addresses that are told apart within an interval. */
const MAX_KINDS = 10

export function createAccessNotes(auditor: Auditor, clock: Pick<Clock, 'monotonic' | 'wait'>): AccessNotes {
  const note = (address: string, token: string) => ({
    actor: address,
    action: 'operations.access',
    target: 'operations API',
    outcome: 'refused',
    // Under another name it would be taken for a token, and hidden.
    detail: { shown: token },
  })
  const others = note('others', 'any')
  const tally = createNoteTally({ auditor, intervalMs: INTERVAL_MS, maxKinds: MAX_KINDS, others, clock })
  return {
    refused: (address, token) => tally.count(`${address} ${token}`, () => note(address, token)),
    stop: tally.stop,
  }
}

/** Who has the token is an operator; more of him is not known than where he is. */
export function operatorAt(address: string): string {
  return `operator@${address}`
}
