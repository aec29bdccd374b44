/** Is this server one that keeps what it is given? */
import type { Config } from '@weir/core/config/schema'
import type { RedisLink } from '@weir/core/redis/link'
import { infoField } from '@weir/core/redis/suitability'
import { pairsOf } from '@weir/core/view/replies'
import { ageText, sizeText } from '../text.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

export interface ServerDeps {
  readonly config: Config
  readonly link: RedisLink
  /** Wall clock of this machine, ms. */
  readonly now: () => number
  /** Added to the name of each check where there are several servers. */
  readonly label: string
}

/** The oldest major version: XAUTOCLAIM's deleted ids and the group's lag (ADR 0001). */
const OLDEST_MAJOR = 7
/** Shares of maxmemory from which on there is little, and next to no room. */
const MEMORY_WARN = 0.8
const MEMORY_FAIL = 0.95
/** How far two clocks may differ: stamps of signatures are compared with 5 minutes of tolerance. */
const CLOCK_WARN_MS = 1_000
const CLOCK_FAIL_MS = 60_000

/** False: too old to be asked anything else. */
export async function examineVersion({
  link,
  label,
}: ServerDeps): Promise<{ finding: Finding; usable: boolean }> {
  const check = `redis version${label}`
  const info = await link.call('INFO', 'server')
  const version = infoField(info, 'redis_version') ?? 'unknown'
  const valkey = infoField(info, 'valkey_version')
  if (Number.parseInt(version, 10) >= OLDEST_MAJOR)
    return {
      finding: ok(check, valkey === undefined ? `Redis ${version}` : `Valkey ${valkey}`),
      usable: true,
    }
  const finding = fail(
    check,
    `${version}: Weir needs Redis or Valkey ${OLDEST_MAJOR}.0 or later`,
    'install a newer server and move the data to it (docs/redis.md)',
  )
  return { finding, usable: false }
}

export async function examineServer(deps: ServerDeps): Promise<Finding[]> {
  const { config, link, label } = deps
  const [memory, persistence, replication] = await Promise.all(
    ['memory', 'persistence', 'replication'].map((section) => link.call('INFO', section)),
  )
  return [
    ...evictionOf(String(memory), label),
    ...memoryOf(String(memory), label),
    ...(await persistenceOf(config, link, String(persistence), label)),
    ...(await replicationOf(config, link, String(replication), label)),
    await clockOf(deps),
  ]
}

function evictionOf(memory: string, label: string): Finding[] {
  const check = `redis eviction${label}`
  const policy = infoField(memory, 'maxmemory_policy') ?? 'unknown'
  if (policy === 'noeviction') return [ok(check, 'noeviction')]
  return [
    fail(
      check,
      `maxmemory-policy is ${policy}: out of memory Redis drops streams and accepted events without a word`,
      'CONFIG SET maxmemory-policy noeviction, and the same in redis.conf',
    ),
  ]
}

function memoryOf(memory: string, label: string): Finding[] {
  const check = `redis memory${label}`
  const used = Number(infoField(memory, 'used_memory'))
  const most = Number(infoField(memory, 'maxmemory'))
  if (most === 0)
    return [
      warn(
        check,
        `${sizeText(used)} used, and no limit: the system ends Redis when the machine is out of memory`,
        'CONFIG SET maxmemory to about three quarters of the machine, and the same in redis.conf',
      ),
    ]
  const text = `${sizeText(used)} of ${sizeText(most)} used (${Math.floor((100 * used) / most)} %)`
  const fix = 'raise maxmemory, or find what waits: webhook-cli status, dlq list, dict train'
  if (used >= MEMORY_FAIL * most) return [fail(check, `${text}: at the end new events go to the spools`, fix)]
  return [used >= MEMORY_WARN * most ? warn(check, text, fix) : ok(check, text)]
}

async function persistenceOf(
  { webhook }: Config,
  link: RedisLink,
  persistence: string,
  label: string,
): Promise<Finding[]> {
  const check = `redis persistence${label}`
  const field = (name: string) => infoField(persistence, name)
  const findings: Finding[] = []
  if (field('loading') === '1')
    return [
      fail(
        check,
        'Redis is still loading its data',
        'wait until it has; INFO persistence shows how far it is',
      ),
    ]
  const broken = ['aof_last_write_status', 'aof_last_bgrewrite_status', 'rdb_last_bgsave_status'].filter(
    (name) => (field(name) ?? 'ok') !== 'ok',
  )
  for (const name of broken)
    findings.push(
      fail(
        check,
        `the last write to disk failed (${name} is ${field(name)})`,
        "make room on Redis' disk; its log says what failed",
      ),
    )
  if (field('aof_enabled') === '0') {
    findings.push(
      fail(
        check,
        'appendonly is no: when Redis stops, events that it had accepted are gone',
        'CONFIG SET appendonly yes, and the same in redis.conf',
      ),
    )
    return findings
  }
  const fsync = (await configValues(link, 'appendfsync'))?.get('appendfsync')
  if (fsync === undefined)
    findings.push(warn(check, 'appendonly is yes; appendfsync cannot be seen', 'allow this user +config|get'))
  else if (fsync === 'no')
    findings.push(
      fail(
        check,
        'appendfsync is no: a crash of the machine loses what the system had not written yet',
        'CONFIG SET appendfsync always',
      ),
    )
  else if (fsync === 'everysec' && webhook.redis.durability === 'local')
    findings.push(
      warn(
        check,
        'appendfsync is everysec: a crash of the machine can lose the last second of accepted events, and more where the disk is slow',
        'CONFIG SET appendfsync always, or replicas with REDIS_DURABILITY=replica',
      ),
    )
  else findings.push(ok(check, `appendonly yes, appendfsync ${fsync}`))
  return findings
}

async function replicationOf(
  { webhook: { redis } }: Config,
  link: RedisLink,
  replication: string,
  label: string,
): Promise<Finding[]> {
  const check = `redis replicas${label}`
  if (infoField(replication, 'role') !== 'master')
    return [
      fail(
        check,
        'this server is a replica, which takes no writes',
        'connect to the master, or to its Sentinels (REDIS_SENTINEL_ENABLED)',
      ),
    ]
  const there = Number(infoField(replication, 'connected_slaves'))
  const several = redis.sentinel_enabled || redis.cluster_enabled
  if (redis.durability === 'local') {
    if (!several && there === 0) return [ok(check, 'none, and none are asked for (durability local)')]
    return [
      warn(
        check,
        `${there} connected, and events count as accepted without them (durability local): a failover loses what they had not got yet`,
        `REDIS_DURABILITY=replica and REDIS_REPLICAS=${Math.max(there, 1)}, where no accepted event may be lost by a failover`,
      ),
    ]
  }
  if (there < redis.replicas)
    return [
      fail(
        check,
        `${there} connected of ${redis.replicas} (REDIS_REPLICAS): new events go to the spools`,
        'bring the missing ones back, or lower REDIS_REPLICAS to what there is',
      ),
    ]
  if (there > redis.replicas)
    return [
      warn(
        check,
        `${there} connected, and only ${redis.replicas} are waited for: a failover may choose one that nobody waited for`,
        `REDIS_REPLICAS=${there}`,
      ),
    ]
  const least = (await configValues(link, 'min-replicas-to-write'))?.get('min-replicas-to-write')
  if (least !== undefined && Number(least) < redis.replicas)
    return [
      warn(
        check,
        `all ${there} connected, but min-replicas-to-write is ${least}: a master that was cut off goes on taking writes`,
        `CONFIG SET min-replicas-to-write ${redis.replicas} on every server, and the same in redis.conf`,
      ),
    ]
  return [ok(check, `all ${there} connected, and waited for`)]
}

async function clockOf({ link, now, label }: ServerDeps): Promise<Finding> {
  const check = `redis clock${label}`
  const before = now()
  const [seconds, micros] = (await link.call('TIME')) as [unknown, unknown]
  const after = now()
  const theirs = Number(String(seconds)) * 1000 + Number(String(micros)) / 1000
  // The answer may be of any moment in between.
  const ahead = theirs < before ? theirs - before : theirs > after ? theirs - after : 0
  const off = Math.abs(ahead)
  if (off < CLOCK_WARN_MS)
    return ok(check, `within ${ageText(Math.max(1, off + after - before))} of this machine's`)
  const text = `${ageText(off)} ${ahead > 0 ? 'ahead of' : 'behind'} this machine's`
  const fix = 'run NTP (chrony, systemd-timesyncd) on both machines'
  return off < CLOCK_FAIL_MS ? warn(check, text, fix) : fail(check, text, fix)
}

/** undefined where this user may not ask. */
async function configValues(link: RedisLink, name: string): Promise<ReadonlyMap<string, string> | undefined> {
  const { ifAllowed } = await import('@weir/core/view/replies')
  const reply = await ifAllowed(link.call('CONFIG', 'GET', name))
  return reply === null ? undefined : pairsOf(reply)
}
