/**
 * Does this master have the replicas that `durability: replica` counts on? What it finds is said in sentences that tell an
 * operator what to do.
 *
 *   fewer replicas than configured   nothing can be confirmed: events wait in the spool until they are back
 *   more of them                     goes on, but a failover may choose one that nobody waited for: said once
 *   min-replicas-to-write too low    goes on; said once
 */
import { isFault, messageOf } from '@weir/core/faults'
import { shortOf } from '@weir/core/redis/durable'
import type { RedisLink } from '@weir/core/redis/link'
import { infoField } from '@weir/core/redis/suitability'

/**
 * Throws the fault of `shortOf` when there are fewer, REDIS_UNSUITABLE when this user may not WAIT. Returns the sentences
 * that an operator should read.
 */
export async function checkReplicas(link: RedisLink, wanted: number): Promise<string[]> {
  const info = String(await link.call('INFO', 'replication'))
  const attached = Number(infoField(info, 'connected_slaves') ?? 0)
  const online = info.match(/^slave\d+:.*\bstate=online\b/gm)?.length ?? 0
  if (online < wanted) {
    throw shortOf(
      `the master has ${online} of ${wanted} replicas (webhook.redis.replicas), and durability: replica counts on all: ` +
        'events go to the spool and wait there. Bring the replicas back, lower webhook.redis.replicas to what there is, ' +
        'or set webhook.redis.durability: local',
    )
  }
  // Answers at once, whatever there is; refused, no event would ever be confirmed.
  await link.call('WAIT', 0, 0)
  const warnings: string[] = []
  if (attached > wanted) {
    warnings.push(
      `the master has ${attached} replicas, but only ${wanted} must confirm an event (webhook.redis.replicas): a failover ` +
        `may choose one that does not have it; set webhook.redis.replicas: ${attached}`,
    )
  }
  const minimum = await minReplicas(link)
  if (typeof minimum === 'string') {
    warnings.push(
      `whether min-replicas-to-write is at least ${wanted} could not be checked (${minimum}); see docs/redis.md`,
    )
  } else if (minimum < wanted) {
    warnings.push(
      `min-replicas-to-write is ${minimum}: a master that lost its replicas would let consumers go on, and the next master ` +
        `would hand the same events out again; set min-replicas-to-write ${wanted} on every server ` +
        '(redis.conf, or CONFIG SET and CONFIG REWRITE)',
    )
  }
  return warnings
}

/** The server's setting, or why it cannot be read: many users may not, and managed servers know no CONFIG. */
async function minReplicas(link: RedisLink): Promise<number | string> {
  try {
    const reply = await link.call('CONFIG', 'GET', 'min-replicas-to-write')
    return Number(String(Array.isArray(reply) ? reply[1] : 0))
  } catch (error) {
    if (isFault(error, 'REDIS_UNSUITABLE')) return messageOf(error)
    throw error
  }
}
