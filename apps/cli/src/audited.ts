/**
 * What operators change stands in the audit trail, twice: what they are about to do, before anything is done, and what became
 * of it. So a command that is killed half-way has left its trace, and one that the trail cannot be told of does nothing.
 */
import type { AuditDetail, Auditor } from '@weir/core/audit/auditor'
import { messageOf } from '@weir/core/faults'
import { CommandFailure, type ExitCode, FAILED } from './exit.ts'
import type { Session } from './session.ts'

export interface Action {
  /** `dlq.purge` */
  readonly action: string
  readonly target: string
  readonly detail?: AuditDetail
}

/** How an action ended that did not throw. */
export interface Ended {
  readonly code: ExitCode
  /** `done`, `stopped`, … */
  readonly outcome: string
  readonly detail?: AuditDetail
}

/** Runs an action with an entry before it and one after it. Where auditing is off, runs it. */
export async function audited(
  { audit }: Pick<Session, 'audit'>,
  { action, target, detail = {} }: Action,
  run: () => Promise<Ended>,
): Promise<ExitCode> {
  let intended: Awaited<ReturnType<Auditor['record']>>
  try {
    intended = await audit.record({ action, target, outcome: 'intended', detail })
  } catch (error) {
    throw new CommandFailure(
      `the audit trail cannot be written, so nothing was done (${messageOf(error)}). Where it must be done all the same, run it with WEBHOOK_AUDIT_LOGGING=false.`,
      FAILED,
      { cause: error },
    )
  }
  const tell = (outcome: string, told: AuditDetail) =>
    audit.record({ action, target, outcome, detail: { intended: intended?.n ?? null, ...told } })
  let ended: Ended
  try {
    ended = await run()
  } catch (error) {
    await tell('failed', { error: messageOf(error) }).catch((untold: unknown) => {
      throw new CommandFailure(
        `${messageOf(error)}; nor could the audit trail be told that it failed (${messageOf(untold)}): it has only what was intended.`,
        error instanceof CommandFailure ? error.exitCode : FAILED,
        { cause: error },
      )
    })
    throw error
  }
  try {
    await tell(ended.outcome, ended.detail ?? {})
  } catch (error) {
    throw new CommandFailure(
      `the action ended (${ended.outcome}), but the audit trail could not be told so (${messageOf(error)}); it has only what was intended.`,
      FAILED,
      { cause: error },
    )
  }
  return ended.code
}
