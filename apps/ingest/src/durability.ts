/**
 * What `webhook.redis.durability: replica` adds to the ways in: nothing that Redis says of an event counts before all
 * replicas have what it is based on.
 *
 *   accepted, known, duplicate, settled before ──▶ WAIT ──all──▶ counts
 *                                                   └─ fewer, too late, another connection ──▶ unknown, as a time-out is:
 *                                                      again under the same id within the budget, then the spool
 *
 * A duplicate is no exception: its 200 ends the sender's attempts just as the first one's 202 did. Nor is an event of the
 * long memory: it was processed, but only this master may know that yet. A record leaves the spool, and a re-offered event
 * the gateway's memory, on the same terms, because they go the same way.
 *
 * Short of replicas, the pulse is not up: events go to the spool at once, and the pulse asks on until all are back.
 */
import type { Clock } from '@weir/core/clock'
import type { Config } from '@weir/core/config/schema'
import type { PartitionKeys } from '@weir/core/keys'
import { createReplicaWait, isShort, type ReplicaWait } from '@weir/core/redis/durable'
import type { RedisLink } from '@weir/core/redis/link'
import type { Admitter } from '@weir/core/stream/admit'
import type { Logger } from 'pino'
import type { GatewayMetrics } from './metrics.ts'
import type { Recall } from './recall.ts'
import { checkReplicas } from './replicas.ts'

/** For one place: its link and the keys that are there. */
export interface Durability {
  admitter(admitter: Admitter): Admitter
  recall(recall: Recall): Recall
  /** A small write that counts. */
  probe(write: () => Promise<void>): () => Promise<void>
  /** Is the server fit for it? Throws Fault REDIS_UNAVAILABLE (`isShort`) or REDIS_UNSUITABLE. */
  vet(): Promise<void>
}

export interface DurabilityOptions {
  readonly config: Config
  readonly link: RedisLink
  readonly keys: PartitionKeys
  readonly clock: Clock
  readonly metrics: GatewayMetrics
  readonly log: Logger
}

const LOCAL: Durability = {
  admitter: (admitter) => admitter,
  recall: (recall) => recall,
  probe: (write) => write,
  vet: async () => undefined,
}

export function createDurability(options: DurabilityOptions): Durability {
  const { link, keys, clock, metrics, log } = options
  const { durability, replicas, replica_timeout: timeoutMs } = options.config.webhook.redis
  if (durability === 'local') return LOCAL
  const wait = createReplicaWait({
    link,
    replicas,
    timeoutMs,
    barrier: keys.barrier,
    clock,
    onWaited(result, ms) {
      metrics.replicaWait(result, ms)
      if (result === 'short') metrics.count('webhook_replica_short_total')
    },
  })
  let told = ''

  async function vet(): Promise<void> {
    const warnings = await checkReplicas(link, replicas)
    const text = warnings.join('; ')
    if (text !== told && text !== '') log.warn({ event: 'redis', warnings }, 'durability on replicas')
    told = text
  }

  return {
    admitter: (admitter) => durableAdmitter(admitter, wait),
    recall: (recall) => durableRecall(recall, wait),
    probe: (write) => async () => {
      await write()
      try {
        await wait.confirm('wrote')
      } catch (error) {
        // A replica that is away says more than one that is late.
        if (isShort(error)) await vet()
        throw error
      }
    },
    vet,
  }
}

function durableAdmitter(admitter: Admitter, wait: ReplicaWait): Admitter {
  return {
    ...admitter,
    async admit(link, admission) {
      const outcome = await admitter.admit(link, admission)
      if (outcome.kind !== 'limited') await wait.confirm(outcome.kind === 'accepted' ? 'wrote' : 'read')
      return outcome
    },
    async admitUnder(link, admission, standing) {
      const outcome = await admitter.admitUnder(link, admission, standing)
      if (outcome.kind === 'accepted') await wait.confirm('wrote')
      else if (outcome.kind === 'known' || outcome.kind === 'duplicate') await wait.confirm('read')
      return outcome
    },
    async look(link, admission, standing) {
      const sighting = await admitter.look(link, admission, standing)
      // What is found here may be all that the answer is based on.
      const found = sighting.kind === 'known' || (sighting.kind === 'seen' && sighting.occurrences > 0)
      if (found) await wait.confirm('read')
      return sighting
    },
  }
}

function durableRecall(recall: Recall, wait: ReplicaWait): Recall {
  return {
    ...recall,
    async confirm(locator) {
      const answer = await recall.confirm(locator)
      if (answer !== 'settled') return answer
      // Not certain, it goes the way of an event of which nothing is known: to the admission, and if need be to the spool.
      return wait.confirm('read').then(
        () => 'settled' as const,
        () => 'unknown' as const,
      )
    },
  }
}
