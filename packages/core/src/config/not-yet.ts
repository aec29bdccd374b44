/**
 * What this version accepts or refuses because the part that it belongs to does not exist yet. Whoever builds a
 * part deletes its rows here; nothing else knows of them.
 */

/** Settings that would be a lie while their part is missing, so starting is refused. */
export interface Refused {
  readonly path: string
  readonly when: (value: unknown) => boolean
  /** Subject and verb of the sentence. */
  readonly comes: string
  /** What to do until then. */
  readonly until: string
}

const isTrue = (value: unknown) => value === true
const MIGRATION = 'the migration from SQS'

export const REFUSED: readonly Refused[] = [
  {
    path: 'webhook.migration.backend',
    when: (value) => value !== 'redis',
    comes: `SQS comes with ${MIGRATION}`,
    until: 'leave it unset or set it to redis',
  },
  {
    path: 'webhook.migration.dual_write',
    when: isTrue,
    comes: `Writing to both queues comes with ${MIGRATION}`,
    until: 'leave it unset or set it to false',
  },
  {
    path: 'webhook.migration.sqs_queue_url',
    when: (value) => value !== null,
    comes: `SQS comes with ${MIGRATION}`,
    until: 'leave it unset',
  },
]

/** Settings (or sections of them) that do nothing: they are checked, and said. */
export interface Idle {
  readonly path: string
  readonly until: string
}

/** Settings of another runtime. These stay. */
export const WITHOUT_EFFECT: readonly Idle[] = [
  {
    path: 'webhook.redis.pool_size',
    until: 'accepted, no effect in this runtime (commands share one connection for each role)',
  },
  {
    path: 'webhook.redis.min_idle_conns',
    until: 'accepted, no effect in this runtime (connections are never idle in a pool)',
  },
  {
    path: 'webhook.redis.max_conn_age',
    until: 'accepted, no effect in this runtime (connections live until they fail)',
  },
]
