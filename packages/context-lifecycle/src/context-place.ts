import type { RedisLink } from '@weir/core/redis/link'
import type { ContextKeys } from './context-keys.ts'

/** Where contexts lie: one shard. */
export interface ContextPlace {
  readonly link: RedisLink
  readonly keys: ContextKeys
}
