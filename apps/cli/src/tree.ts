/**
 * Every command by its name, with what help says of it in one line, and where the rest of it is. Only the module of the
 * command that runs is loaded: with all of them `--help` took 0.57 s where a bare Node took 0.10 s.
 */
import type { Body } from './command.ts'

export interface Leaf {
  readonly name: string
  readonly summary: string
  load(): Promise<Body>
}

export interface Group {
  readonly name: string
  readonly summary: string
  readonly children: readonly Leaf[]
}

const leaf = (name: string, summary: string, load: Leaf['load']): Leaf => ({ name, summary, load })
const group = (name: string, summary: string, ...children: readonly Leaf[]): Group => ({
  name,
  summary,
  children,
})

export const TREE: readonly (Leaf | Group)[] = [
  leaf(
    'status',
    'show ledger, lag, consumers, gateways, breakers, stream and Redis',
    async () => (await import('./commands/status.ts')).statusCommand,
  ),
  leaf(
    'lag',
    'show how many events wait, where, and for how long',
    async () => (await import('./commands/lag.ts')).lagCommand,
  ),
  leaf(
    'doctor',
    'connect to everything, and say what is wrong and what to do',
    async () => (await import('./commands/doctor.ts')).doctorCommand,
  ),
  leaf(
    'tail',
    'show events as they come; looking changes nothing',
    async () => (await import('./commands/tail.ts')).tailCommand,
  ),
  group(
    'events',
    'single events',
    leaf(
      'get',
      'show where an event is now',
      async () => (await import('./commands/events-get.ts')).eventsGetCommand,
    ),
    leaf(
      'find',
      'find events by what is known of them, wherever they are',
      async () => (await import('./commands/events-find.ts')).eventsFindCommand,
    ),
  ),
  group(
    'dlq',
    'dead letters: events that failed for good',
    leaf(
      'list',
      'list dead letters, oldest first',
      async () => (await import('./commands/dlq-list.ts')).dlqListCommand,
    ),
    leaf(
      'show',
      'show one dead letter and what it carries',
      async () => (await import('./commands/dlq-show.ts')).dlqShowCommand,
    ),
    leaf(
      'replay',
      'take dead letters up again, with all their attempts before them',
      async () => (await import('./commands/dlq-replay.ts')).dlqReplayCommand,
    ),
    leaf(
      'purge',
      'give dead letters up for good; their bytes are deleted and the ledger counts them as purged',
      async () => (await import('./commands/dlq-purge.ts')).dlqPurgeCommand,
    ),
  ),
  leaf(
    'claim-pending',
    'give back entries that their consumers have been silent about, so that any consumer takes them up at once',
    async () => (await import('./commands/claim-pending.ts')).claimPendingCommand,
  ),
  leaf(
    'breakers',
    "show every tool's circuit breaker",
    async () => (await import('./commands/breakers.ts')).breakersCommand,
  ),
  leaf(
    'reset-circuit-breaker',
    "close a tool's breaker and try its waiting events now",
    async () => (await import('./commands/reset-circuit-breaker.ts')).resetCircuitBreakerCommand,
  ),
  group(
    'limits',
    'rate limits',
    leaf(
      'show',
      'show the limits, and who has used how much of them now',
      async () => (await import('./commands/limits-show.ts')).limitsShowCommand,
    ),
    leaf(
      'reset',
      'forget what was counted against a limit',
      async () => (await import('./commands/limits-reset.ts')).limitsResetCommand,
    ),
  ),
  leaf(
    'send',
    'sign an event as its sender would, and post it to a gateway',
    async () => (await import('./commands/send.ts')).sendCommand,
  ),
  group(
    'context',
    'what happened around a pull request, a ticket, an alert',
    leaf(
      'list',
      'list the contexts to which something happened last',
      async () => (await import('./commands/context-list.ts')).contextListCommand,
    ),
    leaf(
      'show',
      'show what happened around a subject',
      async () => (await import('./commands/context-show.ts')).contextShowCommand,
    ),
    leaf(
      'search',
      'find contexts by what happened in them',
      async () => (await import('./commands/context-search.ts')).contextSearchCommand,
    ),
    leaf(
      'predictions',
      'show which contexts will be read next, and why',
      async () => (await import('./commands/context-predictions.ts')).contextPredictionsCommand,
    ),
    leaf(
      'restore',
      'rebuild what cold storage holds, in a Redis that has lost it',
      async () => (await import('./commands/context-restore.ts')).contextRestoreCommand,
    ),
  ),
  leaf(
    'force-transition',
    'move contexts to a tier, whatever they would do by themselves',
    async () => (await import('./commands/force-transition.ts')).forceTransitionCommand,
  ),
  group(
    'retention',
    'how long things are remembered',
    leaf(
      'run',
      'remove contexts, with their events, to which nothing has happened for so long',
      async () => (await import('./commands/retention-run.ts')).retentionRunCommand,
    ),
  ),
  group(
    'tenant',
    'all that there is of one tenant',
    leaf(
      'erase',
      'remove or shred everything of a tenant, in all tiers, and print evidence of it',
      async () => (await import('./commands/tenant-erase.ts')).tenantEraseCommand,
    ),
  ),
  group(
    'keys',
    'encryption keys of the tenants',
    leaf(
      'status',
      'show the keyring: the keys of each tenant, and the master keys that they are derived from',
      async () => (await import('./commands/keys-status.ts')).keysStatusCommand,
    ),
    leaf(
      'rotate',
      'give tenants a new key for what comes from now on; what is encrypted already stays readable',
      async () => (await import('./commands/keys-rotate.ts')).keysRotateCommand,
    ),
    leaf(
      'forget',
      'destroy keys that nothing is encrypted with any more, so that an old master key can be given up',
      async () => (await import('./commands/keys-forget.ts')).keysForgetCommand,
    ),
    leaf(
      'destroy',
      'destroy all keys of a tenant: nobody can read any more, ever, what was encrypted for it',
      async () => (await import('./commands/keys-destroy.ts')).keysDestroyCommand,
    ),
  ),
  group(
    'audit',
    'prove that nothing is missing, and that nobody changed what was recorded',
    leaf(
      'ledger',
      'check that every accepted event is in exactly one place',
      async () => (await import('./commands/audit-ledger.ts')).auditLedgerCommand,
    ),
    leaf(
      'verify',
      'check the chain of the audit trail, and name the first link that does not hold',
      async () => (await import('./commands/audit-verify.ts')).auditVerifyCommand,
    ),
    leaf(
      'export',
      'write the audit trail as lines of JSON, as `audit verify --file` reads them',
      async () => (await import('./commands/audit-export.ts')).auditExportCommand,
    ),
  ),
  group(
    'dict',
    'compression dictionaries',
    leaf(
      'list',
      'list compression dictionaries: starters, learned ones, and those that only waiting events need',
      async () => (await import('./commands/dict-list.ts')).dictListCommand,
    ),
    leaf(
      'train',
      "make a compression dictionary from a tenant's own events, measure it on others, and use it from now on",
      async () => (await import('./commands/dict-train.ts')).dictTrainCommand,
    ),
    leaf(
      'drop',
      'pack new events of a tenant and tool with the starter again; what is packed already stays readable',
      async () => (await import('./commands/dict-drop.ts')).dictDropCommand,
    ),
  ),
  group(
    'partitions',
    'how events are spread over the masters of a Cluster',
    leaf(
      'show',
      'show the plan of partitions, each partition with its master, and what waits in it',
      async () => (await import('./commands/partitions.ts')).partitionsShowCommand,
    ),
    leaf(
      'set',
      'change the number of partitions, while everything runs',
      async () => (await import('./commands/partitions.ts')).partitionsSetCommand,
    ),
  ),
  group(
    'config',
    'the configuration',
    leaf(
      'check',
      'check the configuration as the apps would load it',
      async () => (await import('./commands/config-check.ts')).configCheckCommand,
    ),
    leaf(
      'show',
      'show every setting, where it comes from, and no secrets',
      async () => (await import('./commands/config-show.ts')).configShowCommand,
    ),
  ),
  leaf(
    'completion',
    'write a script that completes these commands in a shell',
    async () => (await import('./commands/completion.ts')).completionCommand,
  ),
]
