/**
 * What consumers tell of themselves in Redis, for the operations API: written with every heartbeat, removed when they
 * leave. One that died may never have been in the group, or the group was lost: the others remove its report by age.
 */
import type { PartitionKeys } from '@weir/core/keys'
import type { RedisLink, RedisReply } from '@weir/core/redis/link'

export interface ConsumerReport {
  /** Redis ms. */
  readonly at: number
  readonly held: number
  readonly running: number
  /** prom-client's JSON. */
  readonly metrics: unknown
}

export async function writeReport(
  link: RedisLink,
  keys: PartitionKeys,
  name: string,
  report: ConsumerReport,
): Promise<void> {
  await link.call('HSET', keys.consumers, name, JSON.stringify(report))
}

export async function removeReport(link: RedisLink, keys: PartitionKeys, name: string): Promise<void> {
  await link.call('HDEL', keys.consumers, name)
}

/**
 * Removes reports older than `ageMs`, those from a time that is still to come (Redis' clock was set back), and what is no
 * report. A consumer that lives writes its own again.
 */
export async function removeOldReports(
  link: RedisLink,
  keys: PartitionKeys,
  redisMs: number,
  ageMs: number,
): Promise<void> {
  const reports = (await link.call('HGETALL', keys.consumers)) as RedisReply[]
  for (let i = 0; i + 1 < reports.length; i += 2) {
    if (Math.abs(redisMs - writtenAt(String(reports[i + 1]))) > ageMs)
      await removeReport(link, keys, String(reports[i]))
  }
}

/** Redis ms; long ago for what cannot be read. */
function writtenAt(text: string): number {
  try {
    const { at } = JSON.parse(text) as { at?: unknown }
    return typeof at === 'number' ? at : 0
  } catch {
    return 0
  }
}
