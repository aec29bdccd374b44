/**
 * Can this Redis be trusted with events? The same questions, and the same sentences, for every process. It must be 7.0 or
 * later (XAUTOCLAIM's deleted ids, the group's lag, ADR 0001), and it must not evict: with any policy but noeviction, Redis
 * out of memory drops streams and evidence without a word. Without an append-only file it forgets everything at its end.
 */
import { Fault } from '../faults.ts'
import type { RedisLink } from './link.ts'

const OLDEST_MAJOR = 7

export interface Suitability {
  /** As INFO says, e.g. `7.0.15`. */
  readonly version: string
  /** Sentences for the operator: what endangers events on this server, and what to set. */
  readonly warnings: readonly string[]
}

/**
 * Asks INFO. Throws Fault REDIS_UNSUITABLE for a server that is too old, or that refuses INFO, and in production also for
 * one that evicts; REDIS_UNAVAILABLE when it does not answer.
 */
export async function checkSuitability(link: RedisLink, production: boolean): Promise<Suitability> {
  // One by one: servers before 7.0 do not know several sections in one INFO.
  const [server, memory, persistence] = await Promise.all(
    ['server', 'memory', 'persistence'].map((section) => link.call('INFO', section)),
  )
  const version = checkVersion(server)
  const warnings: string[] = []
  const policy = infoField(memory, 'maxmemory_policy') ?? 'unknown'
  if (policy !== 'noeviction') {
    const sentence = `Redis has maxmemory-policy ${policy}: out of memory it would evict streams and accepted events; set maxmemory-policy noeviction`
    if (production) throw new Fault('REDIS_UNSUITABLE', sentence)
    warnings.push(sentence)
  }
  if (infoField(persistence, 'aof_enabled') === '0') {
    warnings.push(
      'Redis keeps no append-only file (appendonly no): when it stops, events that it had accepted are gone; set appendonly yes',
    )
  }
  return { version, warnings }
}

/**
 * Is it a version that Weir can work with? Throws Fault REDIS_UNSUITABLE for one that is too old.
 * @param server what `INFO server` answers
 * @returns e.g. `7.0.15`
 */
export function checkVersion(server: unknown): string {
  const version = infoField(server, 'redis_version') ?? 'unknown'
  if (!(Number.parseInt(version, 10) >= OLDEST_MAJOR)) {
    throw new Fault(
      'REDIS_UNSUITABLE',
      `the Redis server has version ${version}; Weir needs Redis or Valkey ${OLDEST_MAJOR}.0 or later`,
    )
  }
  return version
}

/** The value of a field in what INFO answers. */
export function infoField(info: unknown, name: string): string | undefined {
  return new RegExp(`^${name}:(.*)$`, 'm').exec(String(info))?.[1]?.trim()
}
