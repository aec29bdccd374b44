/**
 * What the gateway tells the audit trail of requests that it did not believe: one entry for each second, tool, tenant, reason
 * and network, with a count. A flood makes an entry a second, and after some minutes one a minute, not one for each request.
 *
 * An entry says nothing that the sender wrote. Its network is a hash under a key of this process: the same network has the
 * same hash as long as the process runs, and nobody can calculate from it who that was.
 */
import { createHmac } from 'node:crypto'
import type { Auditor } from '@weir/core/audit/auditor'
import { createNoteTally } from '@weir/core/audit/note-tally'
import type { Clock } from '@weir/core/clock'

export interface RefusedRequest {
  readonly tool: string
  readonly tenant: string
  /** As in the label of webhook_auth_failures_total: `mismatch`, `missing`, `address`, … */
  readonly reason: string
  /** As of networkOf; '' = nobody knows. */
  readonly network: string
  /** `flagged`: it was accepted all the same, and marked. Default: `refused`. */
  readonly outcome?: 'refused' | 'flagged'
}

export interface RefusalNotes {
  /** One more; costs a look-up in a map. */
  refused(request: RefusedRequest): void
  /** Notes what was counted. Before the auditor is closed; harmless when repeated. */
  stop(): void
}

export interface RefusalNotesOptions {
  readonly intervalMs: number
  /** Kinds (tool, tenant, reason, network) that are told apart within an interval; the others are counted together. */
  readonly maxKinds: number
  readonly clock: Clock
  /** At least 16 random bytes. */
  readonly hashKey: Uint8Array
}

const ACTION = 'request.refuse'
const HASH_DIGITS = 16

export function createRefusalNotes(
  auditor: Auditor,
  { intervalMs, maxKinds, clock, hashKey }: RefusalNotesOptions,
): RefusalNotes {
  const others = {
    action: ACTION,
    target: 'others',
    outcome: 'refused',
    detail: { reason: 'others', network: '' },
  }
  const tally = createNoteTally({ auditor, intervalMs, maxKinds, others, clock })
  const hashOf = (network: string) =>
    network === '' ? '' : createHmac('sha256', hashKey).update(network).digest('hex').slice(0, HASH_DIGITS)
  return {
    refused({ tool, tenant, reason, network, outcome = 'refused' }) {
      // None of them has a blank.
      tally.count(`${tool} ${tenant} ${reason} ${outcome} ${network}`, () => ({
        action: ACTION,
        target: `${tool}/${tenant}`,
        outcome,
        detail: { reason, network: hashOf(network) },
      }))
    },
    stop: tally.stop,
  }
}
