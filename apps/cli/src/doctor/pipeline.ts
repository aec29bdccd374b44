/** The stream, what waits in it, and the processes that work on it, as they report themselves. */
import type { Partition } from '@weir/core/partition'
import type { PipelineView } from '@weir/core/pipeline-view'
import type { StatusDocument } from '@weir/core/view/documents'
import { ageText, counted } from '../text.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** Differences up to a second are those of any two clocks. */
const CLOCK_BEHIND_MS = 1_000
/** A gateway that reported nothing for so long is gone, or cannot reach Redis, ms. */
const SILENT_MS = 60_000
/** From this on a backlog is told; the objective is less (docs of the SLOs). */
const BACKLOG = 1_000

export async function examinePipeline(
  partitions: readonly Partition[],
  view: PipelineView,
): Promise<Finding[]> {
  for (const { link, keys } of partitions) {
    for (const name of [keys.stream, keys.deadLetters]) {
      const type = String(await link.call('TYPE', name))
      if (type !== 'stream' && type !== 'none')
        return [
          fail(
            'stream',
            `the key ${name} is a ${type}: something else uses this Redis`,
            'give Weir a Redis (or a database number) of its own, or another webhook.redis.stream',
          ),
        ]
    }
  }
  const status = await view.status()
  return [
    streamOf(status),
    ...clockOf(status),
    ledgerOf(status),
    lagOf(status),
    ...consumersOf(status),
    ...gatewaysOf(status),
    ...breakersOf(status),
    ...lettersOf(status),
  ]
}

function streamOf({ group, streams }: StatusDocument): Finding {
  const entries = streams.reduce((sum, { length }) => sum + length, 0)
  const names = streams.map(({ name }) => name).join(', ')
  if (group) return ok('stream', `${names}: ${counted(entries, 'event')} in it, and its group is there`)
  const text = `${names}: no consumer group, so no consumer has ever run here`
  return warn('stream', text, 'start a consumer; it makes the group')
}

function clockOf({ clock_behind_ms: behind }: StatusDocument): Finding[] {
  if (behind <= CLOCK_BEHIND_MS) return []
  return [
    fail(
      'stream clock',
      `Redis' clock is ${ageText(behind)} behind the ids of its own stream: it was set back, and ages are estimates`,
      "correct the clock of Redis' machine, or wait until it has caught up (docs/redis.md)",
    ),
  ]
}

function ledgerOf({ verdict, ledger }: StatusDocument): Finding {
  const fix = 'webhook-cli audit ledger shows where; docs/runbooks says what then'
  if (verdict === 'balanced')
    return ok('ledger', `balanced: each of ${ledger.accepted} accepted events is in one place`)
  if (verdict === 'loss') return fail('ledger', 'Redis lost events that it had acknowledged', fix)
  if (verdict === 'unbalanced')
    return fail('ledger', `${ledger.unaccounted} accepted events are not accounted for`, fix)
  return warn(
    'ledger',
    'unknown: Redis cannot tell how many events are unread',
    'let nothing but Weir trim or delete in the stream; a consumer that starts counts anew',
  )
}

function lagOf({ lag, oldest }: StatusDocument): Finding {
  if (lag.messages === null)
    return warn('backlog', `unknown; at least ${lag.pending + lag.parked} events wait`, 'as for the ledger')
  const age = lag.messages === 0 ? '' : `, the oldest unread for ${ageText(oldest.unread_ms)}`
  const text = `${counted(lag.messages, 'event')} waiting${age}`
  return lag.messages < BACKLOG
    ? ok('backlog', text)
    : warn('backlog', text, 'webhook-cli lag shows where; start more consumers, or reset a breaker')
}

function consumersOf({ consumers, lag }: StatusDocument): Finding[] {
  const alive = consumers.filter((each) => each.alive)
  const holding = consumers.filter((each) => !each.alive && each.pending > 0)
  const findings: Finding[] = []
  for (const { name, pending, seen_ms: seen } of holding)
    findings.push(
      fail(
        'consumers',
        `${name} has been silent for ${seen === null ? 'ever' : ageText(seen)} and holds ${counted(pending, 'event')}`,
        'see whether it hangs; webhook-cli claim-pending gives its events to the others',
      ),
    )
  if (alive.length === 0) {
    const waits = (lag.messages ?? 1) > 0
    const text = 'none is alive: nothing is worked off'
    findings.push(
      (waits ? fail : warn)('consumers', text, 'start a consumer (apps/consumer), and read its log'),
    )
  } else findings.push(ok('consumers', `${alive.length} alive`))
  return findings
}

function gatewaysOf({ gateways }: StatusDocument): Finding[] {
  if (gateways.length === 0)
    return [warn('gateways', 'none has ever reported', 'start a gateway (apps/ingest), with the same Redis')]
  const findings: Finding[] = []
  for (const { name, spooled, seen_ms: seen } of gateways) {
    const silent = seen > SILENT_MS
    if (spooled > 0)
      findings.push(
        (silent ? fail : warn)(
          'gateways',
          `${name} has ${counted(spooled, 'event')} in its spool${silent ? `, and has been silent for ${ageText(seen)}` : ''}`,
          silent
            ? 'start it again on the same spool directory: only it can bring those events into the stream'
            : 'it drains when Redis takes events again; its /ready and its log say what is in the way',
        ),
      )
    else if (silent)
      findings.push(warn('gateways', `${name} has been silent for ${ageText(seen)}`, 'see whether it runs'))
  }
  return findings.length > 0
    ? findings
    : [ok('gateways', `${counted(gateways.length, 'gateway')}, spools empty`)]
}

function breakersOf({ breakers }: StatusDocument): Finding[] {
  const open = breakers.filter(({ state }) => state !== 'closed')
  if (open.length === 0) return [ok('breakers', 'all closed')]
  return open.map(({ tool, state, failures }) =>
    warn(
      'breakers',
      `${tool} is ${state} after ${counted(failures, 'failure')} in a row: its events wait`,
      `mend what its handlers call, then webhook-cli reset-circuit-breaker --tool ${tool}`,
    ),
  )
}

function lettersOf({ ledger: { dead } }: StatusDocument): Finding[] {
  if (dead === 0) return [ok('dead letters', 'none')]
  return [
    warn(
      'dead letters',
      `${counted(dead, 'event')} failed for good`,
      'webhook-cli dlq list shows why; dlq replay takes them up again',
    ),
  ]
}
