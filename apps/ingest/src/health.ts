/** What `/health/webhook` of a gateway tells: whether it can keep what comes, in Redis or in its spool, and what it sees of the rest. */
import { isFault, messageOf } from '@weir/core/faults'
import { type Check, type Checks, type HealthDocument, healthDocument } from '@weir/core/health/document'
import { lagCheck, ledgerCheck, unknownCheck } from '@weir/core/health/pipeline-checks'
import { readLedger } from '@weir/core/stream/ledger'
import { ledgerFacts } from '@weir/core/view/status'
import type { Lane } from './lane.ts'
import type { Lanes } from './lanes.ts'

export interface GatewayHealthOptions {
  readonly lanes: Pick<Lanes, 'all' | 'plan'>
  /** What lies in it must be drained, also where it takes nothing any more. */
  readonly spool: SpoolState | undefined
  /** Whether events may go there (webhook.ingest.spool.enabled). */
  readonly spooling: boolean
  /** Wall clock, ms. */
  now(): number
}

interface SpoolState {
  readonly records: number
  readonly bytes: number
  readonly oldestAt: number | undefined
  readonly accepting: boolean
}

export async function gatewayHealth(options: GatewayHealthOptions): Promise<HealthDocument> {
  const spool = spoolCheck(options)
  const redis = redisCheck(options.lanes)
  const stream = redis.state === 'ok' ? await streamChecks(options.lanes.all) : nothingKnown(redis)
  // While the spool takes events, a gateway without Redis does its work.
  return healthDocument({ redis, spool, ...stream }, spool.accepting === true ? [] : ['redis'])
}

function redisCheck({ all, plan }: GatewayHealthOptions['lanes']): Check {
  const away = all.filter(({ pulse }) => !pulse.up)
  const facts = {
    redis_state: (away[0] ?? (all[0] as Lane)).pulse.state,
    ...(all.length > 1 && { partitions_away: away.map(({ keys }) => keys.partition) }),
  }
  if (away.length > 0) return { state: 'failing', age_ms: 0, detail: 'Redis takes no events', ...facts }
  if (plan === undefined)
    return { state: 'failing', age_ms: 0, detail: 'the plan of partitions is not known yet', ...facts }
  return { state: 'ok', age_ms: 0, ...facts }
}

/** The operations API shows it too, of all gateways. */
export function spoolCheck({ spool, spooling, now }: Omit<GatewayHealthOptions, 'lanes'>): Check {
  if (spool === undefined) return { state: 'off', age_ms: null, accepting: false }
  const { records, bytes, oldestAt } = spool
  const accepting = spooling && spool.accepting
  const full = spooling && !spool.accepting
  return {
    state: full ? 'failing' : records > 0 ? 'degraded' : spooling ? 'ok' : 'off',
    age_ms: 0,
    ...((full || records > 0) && {
      detail: full ? 'it takes no events: full, too old, or a disk that fails' : 'events wait for Redis',
    }),
    accepting,
    records,
    bytes,
    oldest_age_ms: oldestAt === undefined ? 0 : Math.max(0, now() - oldestAt),
  }
}

async function streamChecks(all: readonly Lane[]): Promise<Checks> {
  try {
    const readings = await Promise.all(all.map((lane) => ledgerOf(lane)))
    const facts = ledgerFacts(all, readings)
    return { lag: lagCheck(facts), ledger: ledgerCheck(facts) }
  } catch (error) {
    return nothingKnown({ detail: messageOf(error) })
  }
}

function nothingKnown({ detail = 'Redis takes no events' }: Pick<Check, 'detail'>): Checks {
  return { lag: unknownCheck(detail), ledger: unknownCheck(detail) }
}

async function ledgerOf({ link, keys, pulse }: Lane) {
  try {
    return await readLedger(link, keys)
  } catch (error) {
    if (isFault(error, 'REDIS_UNAVAILABLE')) pulse.suspect()
    throw error
  }
}
