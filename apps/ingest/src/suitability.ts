/**
 * Can this Redis be trusted with events? It must be 7.0 or later (XAUTOCLAIM's deleted ids, the group's lag), and it
 * must not evict: with any policy but noeviction, Redis out of memory drops streams and evidence without a word.
 */
import { Fault } from '@weir/core/faults'
import type { RedisLink } from '@weir/core/redis/link'

const OLDEST_MAJOR = 7

export interface Suitability {
  /** As INFO says, e.g. `7.0.15`. */
  readonly version: string
  /** A sentence for the operator when the eviction policy endangers events. */
  readonly warning: string | undefined
}

/**
 * Asks INFO. Throws Fault REDIS_UNSUITABLE for a server that is too old, and in production also for one that
 * evicts; REDIS_UNAVAILABLE when it does not answer.
 */
export async function checkSuitability(link: RedisLink, production: boolean): Promise<Suitability> {
  const [server, memory] = await Promise.all([link.call('INFO', 'server'), link.call('INFO', 'memory')])
  const version = field(server, 'redis_version') ?? 'unknown'
  if (!(Number.parseInt(version, 10) >= OLDEST_MAJOR)) {
    throw new Fault(
      'REDIS_UNSUITABLE',
      `the Redis server has version ${version}; Weir needs Redis or Valkey ${OLDEST_MAJOR}.0 or later`,
    )
  }
  const policy = field(memory, 'maxmemory_policy') ?? 'unknown'
  if (policy === 'noeviction') return { version, warning: undefined }
  const warning = `Redis has maxmemory-policy ${policy}: out of memory it would evict streams and accepted events; set maxmemory-policy noeviction`
  if (production) throw new Fault('REDIS_UNSUITABLE', warning)
  return { version, warning }
}

function field(info: unknown, name: string): string | undefined {
  return new RegExp(`^${name}:(.*)$`, 'm').exec(String(info))?.[1]?.trim()
}
