/** The auditor that the configuration asks for. */
import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import { Fault, messageOf } from '../faults.ts'
import type { Partition } from '../partition.ts'
import { type AuditChain, type Auditor, type AuditorEvent, createAuditor, NO_AUDIT } from './auditor.ts'

export interface ConfiguredAuditorDeps {
  /** Partition 0; its link stays the caller's. */
  readonly partition: Partition
  /** Who does what is noted, where nobody else is named. */
  readonly actor: string
  /** @param pem the signing key, undefined without one; may throw when it is none */
  chainOf(pem: string | undefined): AuditChain
  /** For those who may do without the key; where it is not given, its fault is thrown. */
  onUnreadableKey?(fault: Fault): AuditChain
  readonly clock: Clock
  /** 0 to 1 */
  random(): number
  tell(event: AuditorEvent): void
}

/**
 * Not yet started; one that does nothing where `enable_audit_logging` is false. Throws Fault CONFIG_INVALID when the
 * signing key cannot be read, or is none.
 */
export function configuredAuditor(config: Config, deps: ConfiguredAuditorDeps): Auditor {
  const { security } = config.webhook
  if (!security.enable_audit_logging) return NO_AUDIT
  const { partition, actor, clock, random, tell } = deps
  return createAuditor({
    ...partition,
    chain: signingChain(config.webhook.security.audit_signing_key_file, deps),
    actor,
    checkpointEvery: security.audit_checkpoint_every,
    checkpointIntervalMs: security.audit_checkpoint_interval,
    retentionMs: security.audit_retention,
    clock,
    random,
    tell,
  })
}

function signingChain(file: string | null, deps: ConfiguredAuditorDeps): AuditChain {
  if (file === null) return deps.chainOf(undefined)
  try {
    return deps.chainOf(readFileSync(file, 'utf8'))
  } catch (cause) {
    const message = `webhook.security.audit_signing_key_file: ${messageOf(cause)}`
    const fault = new Fault('CONFIG_INVALID', message, { cause })
    if (deps.onUnreadableKey === undefined) throw fault
    return deps.onUnreadableKey(fault)
  }
}

/**
 * Tells a log. Checkpoints too: a log that is shipped elsewhere is a place to which an intruder's reach may end.
 * @param damaged for a metric: entries that are not in the trail, or a trail that does not lead to its checkpoint
 */
export function auditLog(
  log: Logger,
  damaged: (count: number) => void = () => undefined,
): (event: AuditorEvent) => void {
  return (told) => {
    const event = 'audit'
    switch (told.kind) {
      case 'away':
        return log.warn(
          { event, reason: messageOf(told.error) },
          'audit entries cannot be written; they wait',
        )
      case 'back':
        return log.info({ event }, 'audit entries are written again')
      case 'dropped':
      case 'unwritten':
        damaged(told.count)
        return log.error({ event, count: told.count }, `audit entries were lost: ${LOSSES[told.kind]}`)
      case 'lost':
        damaged(1)
        return log.error({ event, ...told.point }, 'Redis lost audit entries that it had acknowledged')
      case 'checkpoint':
        return log.info({ event, checkpoint: told.line }, 'audit checkpoint')
      case 'trimmed':
        return log.info(
          { event, removed: told.removed, ...told.floor },
          'audit entries were old enough to go',
        )
      case 'trim-refused':
        damaged(1)
        return log.error(
          { event, n: told.n },
          'the audit trail is broken, so nothing of it is removed: see webhook-cli audit verify',
        )
      case 'upkeep-failed':
        return log.warn({ event, reason: messageOf(told.error) }, 'no checkpoint could be made')
    }
  }
}

const LOSSES = {
  dropped: 'more than could wait',
  unwritten: 'the process ended before Redis took them',
} as const
