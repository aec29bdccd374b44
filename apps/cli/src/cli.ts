/** webhook-cli: what operators do about the pipeline, straight against Redis; no app needs to run. */
import { isFault, messageOf } from '@weir/core/faults'
import { Command, CommanderError } from 'commander'
import type { Context } from './command.ts'
import { auditExportCommand } from './commands/audit-export.ts'
import { auditLedgerCommand } from './commands/audit-ledger.ts'
import { auditVerifyCommand } from './commands/audit-verify.ts'
import { breakersCommand } from './commands/breakers.ts'
import { claimPendingCommand } from './commands/claim-pending.ts'
import { configCheckCommand } from './commands/config-check.ts'
import { configShowCommand } from './commands/config-show.ts'
import { contextListCommand } from './commands/context-list.ts'
import { contextPredictionsCommand } from './commands/context-predictions.ts'
import { contextRestoreCommand } from './commands/context-restore.ts'
import { contextSearchCommand } from './commands/context-search.ts'
import { contextShowCommand } from './commands/context-show.ts'
import { dictDropCommand } from './commands/dict-drop.ts'
import { dictListCommand } from './commands/dict-list.ts'
import { dictTrainCommand } from './commands/dict-train.ts'
import { dlqListCommand } from './commands/dlq-list.ts'
import { dlqPurgeCommand } from './commands/dlq-purge.ts'
import { dlqReplayCommand } from './commands/dlq-replay.ts'
import { dlqShowCommand } from './commands/dlq-show.ts'
import { eventsGetCommand } from './commands/events-get.ts'
import { forceTransitionCommand } from './commands/force-transition.ts'
import { keysDestroyCommand } from './commands/keys-destroy.ts'
import { keysForgetCommand } from './commands/keys-forget.ts'
import { keysRotateCommand } from './commands/keys-rotate.ts'
import { keysStatusCommand } from './commands/keys-status.ts'
import { partitionsSetCommand, partitionsShowCommand } from './commands/partitions.ts'
import { resetCircuitBreakerCommand } from './commands/reset-circuit-breaker.ts'
import { retentionRunCommand } from './commands/retention-run.ts'
import { sendCommand } from './commands/send.ts'
import { statusCommand } from './commands/status.ts'
import { tailCommand } from './commands/tail.ts'
import { tenantEraseCommand } from './commands/tenant-erase.ts'
import { CommandFailure, type ExitCode, FAILED, OK } from './exit.ts'
import type { Io } from './io.ts'
import { addGlobalOptions } from './options.ts'

export function createProgram(context: Context): Command {
  const { io } = context
  const group = (name: string, summary: string, ...commands: Command[]): Command => {
    const parent = new Command(name)
      .summary(summary)
      .description(summary)
      .helpOption('-h, --help', 'show this help')
    for (const command of commands) parent.addCommand(command)
    return parent.helpCommand(false)
  }
  const program = addGlobalOptions(new Command('webhook-cli'))
    .description("The operators' commands of Weir. They talk to Redis directly; no app needs to run.")
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .addCommand(statusCommand(context))
    .addCommand(
      group(
        'audit',
        'prove that nothing is missing, and that nobody changed what was recorded',
        auditLedgerCommand(context),
        auditVerifyCommand(context),
        auditExportCommand(context),
      ),
    )
    .addCommand(tailCommand(context))
    .addCommand(group('events', 'single events', eventsGetCommand(context)))
    .addCommand(
      group(
        'context',
        'what happened around a pull request, a ticket, an alert',
        contextListCommand(context),
        contextShowCommand(context),
        contextSearchCommand(context),
        contextPredictionsCommand(context),
        contextRestoreCommand(context),
      ),
    )
    .addCommand(forceTransitionCommand(context))
    .addCommand(group('retention', 'how long things are remembered', retentionRunCommand(context)))
    .addCommand(
      group(
        'dlq',
        'dead letters: events that failed for good',
        dlqListCommand(context),
        dlqShowCommand(context),
        dlqReplayCommand(context),
        dlqPurgeCommand(context),
      ),
    )
    .addCommand(
      group(
        'dict',
        'compression dictionaries',
        dictListCommand(context),
        dictTrainCommand(context),
        dictDropCommand(context),
      ),
    )
    .addCommand(
      group(
        'keys',
        'encryption keys of the tenants',
        keysStatusCommand(context),
        keysRotateCommand(context),
        keysForgetCommand(context),
        keysDestroyCommand(context),
      ),
    )
    .addCommand(group('tenant', 'all that there is of one tenant', tenantEraseCommand(context)))
    .addCommand(
      group(
        'partitions',
        'how events are spread over the masters of a Cluster',
        partitionsShowCommand(context),
        partitionsSetCommand(context),
      ),
    )
    .addCommand(claimPendingCommand(context))
    .addCommand(breakersCommand(context))
    .addCommand(resetCircuitBreakerCommand(context))
    .addCommand(sendCommand(context))
    .addCommand(group('config', 'the configuration', configCheckCommand(context), configShowCommand(context)))
    .addHelpText('after', '\nExit codes: 0 done, 1 the answer is a no, 2 wrong usage or nobody answers.')
  prepare(program, io)
  return program
}

/** Commander must neither exit nor write by itself. */
function prepare(command: Command, io: Io): void {
  command.exitOverride().configureOutput({
    writeOut: io.out,
    writeErr: io.err,
    getOutHelpWidth: () => io.columns ?? 100,
    getErrHelpWidth: () => io.columns ?? 100,
    getOutHasColors: () => io.colour,
    getErrHasColors: () => false,
  })
  for (const child of command.commands) prepare(child, io)
}

/** Runs one command line (without node and script) and resolves with its exit code. Never rejects. */
export async function runCli(argv: readonly string[], io: Io): Promise<ExitCode> {
  let code: ExitCode = OK
  const program = createProgram({
    io,
    finish(result) {
      code = result
    },
  })
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return code
  } catch (error) {
    return complain(error, io)
  }
}

function complain(error: unknown, io: Io): ExitCode {
  if (error instanceof CommanderError) {
    // Commander has written its message. Help that was asked for is no failure; help for want of a command is.
    return error.exitCode === 0 ? OK : FAILED
  }
  if (error instanceof CommandFailure) {
    io.err(`error: ${error.message}\n`)
    return error.exitCode
  }
  if (isFault(error)) {
    io.err(`error: ${error.message} (${error.code})\n`)
    return FAILED
  }
  io.err(`error: ${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}\n`)
  return FAILED
}
