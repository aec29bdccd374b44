/** How the pipeline stands: the ledger and what surrounds it. */
import type { PartitionKeys } from '../keys.ts'
import type { Partition } from '../partition.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { redisTime } from '../redis/time.ts'
import { type LedgerReading, readLedger, sumLedgers } from '../stream/ledger.ts'
import type {
  AuditDocument,
  ConsumerDocument,
  GatewayDocument,
  LossDocument,
  StatusDocument,
  StreamDocument,
  Verdict,
} from './documents.ts'
import { ifAllowed, numberIn, objectOf, pairsOf } from './replies.ts'

/** A consumer that gave no sign of life for so long is not counted among the living, ms. */
export const ALIVE_MS = 60_000

/** What a consumer publishes of itself, every few seconds. */
export interface ConsumerReport {
  readonly name: string
  /** Redis ms */
  readonly at: number
  readonly held: number | null
  readonly running: number | null
  /** prom-client's `getMetricsAsJSON()`; not looked at here. */
  readonly metrics: unknown
}

export interface LedgerFacts {
  readonly audit: AuditDocument
  readonly lag: StatusDocument['lag']
  readonly oldest: StatusDocument['oldest']
  /** False when a partition has a stream and no consumer group. */
  readonly group: boolean
  /** Each partition's own: they balance one by one. */
  readonly partitions: readonly {
    readonly partition: number
    readonly stream: string
    readonly lag: number | null
    readonly unaccounted: number | null
    readonly waiting: StatusDocument['lag']
    readonly oldest: StatusDocument['oldest']
  }[]
  /** How far the clock of a partition's Redis is behind its newest id at most, ms. */
  readonly clockBehindMs: number
}

/** All partitions' ledgers as one. */
export async function readLedgers(partitions: readonly Partition[]): Promise<LedgerFacts> {
  const readings = await Promise.all(partitions.map(({ link, keys }) => readLedger(link, keys)))
  return ledgerFacts(partitions, readings)
}

/** The same of ledgers that were read already, one for each partition, in their order. */
export function ledgerFacts(
  partitions: readonly Pick<Partition, 'keys'>[],
  readings: readonly LedgerReading[],
): LedgerFacts {
  const ledger = sumLedgers(readings.map((reading) => reading.ledger))
  const losses = readings.flatMap((reading, index): LossDocument[] => {
    const { lost, lastGeneratedId, witness } = reading
    const stream = partitions[index]?.keys.stream ?? ''
    return lost ? [{ stream, last_generated_id: lastGeneratedId, witness_id: witness }] : []
  })
  return {
    audit: { verdict: verdictOf(readings, losses.length > 0), ledger, losses },
    partitions: readings.map((reading, index) => {
      const { partition, stream } = (partitions[index] as Pick<Partition, 'keys'>).keys
      const waiting = lagOf(reading.ledger)
      const { unaccounted } = reading.ledger
      return { partition, stream, lag: waiting.messages, unaccounted, waiting, oldest: oldestOf([reading]) }
    }),
    lag: lagOf(ledger),
    oldest: oldestOf(readings),
    group: readings.every((reading) => reading.group),
    clockBehindMs: mostOf(readings, (reading) => reading.clockBehindMs),
  }
}

function lagOf({ unread, pending, parked }: LedgerReading['ledger']): StatusDocument['lag'] {
  return { messages: unread === null ? null : unread + pending + parked, unread, pending, parked }
}

function oldestOf(readings: readonly LedgerReading[]): StatusDocument['oldest'] {
  return {
    unread_ms: mostOf(readings, (reading) => reading.oldestUnreadMs),
    pending_ms: mostOf(readings, (reading) => reading.oldestPendingMs),
    overdue_ms: mostOf(readings, (reading) => reading.oldestParkedMs),
  }
}

function mostOf(readings: readonly LedgerReading[], age: (reading: LedgerReading) => number): number {
  return Math.max(0, ...readings.map(age))
}

/** Every partition must balance by itself: what is too much in one does not make up for what is missing in another. */
function verdictOf(readings: readonly LedgerReading[], lost: boolean): Verdict {
  if (lost) return 'loss'
  const differences = readings.map(({ ledger }) => ledger.unaccounted)
  if (differences.some((difference) => difference !== null && difference !== 0)) return 'unbalanced'
  return differences.includes(null) ? 'unknown' : 'balanced'
}

/** The consumers' own reports, newest first; one that cannot be read is left out. */
export async function readReports(partitions: readonly Partition[]): Promise<ConsumerReport[]> {
  const reports = new Map<string, ConsumerReport>()
  for (const { keys, link } of partitions) {
    for (const [name, text] of pairsOf(await link.call('HGETALL', keys.consumers))) {
      const object = objectOf(text)
      const at = object && numberIn(object, 'at')
      if (object === undefined || at === null || at === undefined) continue
      const known = reports.get(name)
      if (known !== undefined && known.at >= at) continue
      const { metrics } = object
      reports.set(name, {
        name,
        at,
        held: numberIn(object, 'held'),
        running: numberIn(object, 'running'),
        metrics,
      })
    }
  }
  return [...reports.values()].sort((a, b) => b.at - a.at)
}

/** Everybody who is in the group or reported. */
export async function readConsumers(partitions: readonly Partition[]): Promise<ConsumerDocument[]> {
  const now = await redisTime(firstOf(partitions).link)
  const pending = new Map<string, { pending: number; idle: number }>()
  for (const { keys, link } of partitions) {
    for (const info of await membersOf(link, keys)) {
      const name = info.get('name') ?? ''
      const known = pending.get(name)
      pending.set(name, {
        pending: Number(info.get('pending')) + (known?.pending ?? 0),
        idle: Math.min(Number(info.get('idle')), known?.idle ?? Number.POSITIVE_INFINITY),
      })
    }
  }
  const reports = new Map((await readReports(partitions)).map((report) => [report.name, report]))
  const names = [...new Set([...pending.keys(), ...reports.keys()])].sort()
  return names.map((name): ConsumerDocument => {
    const report = reports.get(name)
    const member = pending.get(name)
    const seen = report === undefined ? null : Math.max(0, now - report.at)
    return {
      name,
      alive: seen !== null && seen < ALIVE_MS,
      seen_ms: seen,
      pending: member?.pending ?? 0,
      idle_ms: member?.idle ?? null,
      held: report?.held ?? null,
      running: report?.running ?? null,
    }
  })
}

/** XINFO CONSUMERS; nobody where there is no group yet. */
async function membersOf(link: RedisLink, keys: PartitionKeys): Promise<Map<string, string>[]> {
  if ((await link.call('EXISTS', keys.stream)) === 0) return []
  const groups = (await link.call('XINFO', 'GROUPS', keys.stream)) as RedisReply[]
  if (!groups.some((group) => pairsOf(group).get('name') === keys.group)) return []
  const members = (await link.call('XINFO', 'CONSUMERS', keys.stream, keys.group)) as RedisReply[]
  return members.map(pairsOf)
}

export async function readGateways(partitions: readonly Partition[]): Promise<GatewayDocument[]> {
  const now = await redisTime(firstOf(partitions).link)
  const gateways = new Map<string, GatewayDocument>()
  for (const { keys, link } of partitions) {
    for (const [name, text] of pairsOf(await link.call('HGETALL', keys.gateways))) {
      const object = objectOf(text) ?? {}
      const seen = Math.max(0, now - (numberIn(object, 'at') ?? 0))
      const spooled = (numberIn(object, 'spooled') ?? 0) + (gateways.get(name)?.spooled ?? 0)
      gateways.set(name, { name, spooled, seen_ms: Math.min(seen, gateways.get(name)?.seen_ms ?? seen) })
    }
  }
  return [...gateways.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** There is always one; its server's clock is the one that ages are told by. */
export function firstOf(partitions: readonly Partition[]): Partition {
  return partitions[0] as Partition
}

/** Nodes that MEMORY USAGE looks at for its estimate. */
const MEMORY_SAMPLES = 5

export async function readStreams(partitions: readonly Partition[]): Promise<StreamDocument[]> {
  return Promise.all(
    partitions.map(async ({ keys: { stream: name }, link }): Promise<StreamDocument> => {
      if ((await link.call('EXISTS', name)) === 0) {
        return { name, length: 0, memory_bytes: 0, last_generated_id: '0-0' }
      }
      const info = pairsOf(await link.call('XINFO', 'STREAM', name))
      const memory = await ifAllowed(link.call('MEMORY', 'USAGE', name, 'SAMPLES', MEMORY_SAMPLES))
      return {
        name,
        length: Number(info.get('length')),
        memory_bytes: memory === null ? null : Number(memory),
        last_generated_id: info.get('last-generated-id') ?? '0-0',
      }
    }),
  )
}

/** How full a server is. */
export interface ServerFacts {
  /** host:port of the master that answered. */
  readonly server: string
  /** null where Redis' user may not ask. */
  readonly usedMemoryBytes: number | null
  /** 0 = no limit. */
  readonly maxMemoryBytes: number | null
}

/** Each server once, however many partitions it holds. */
export async function readServers(partitions: readonly Partition[]): Promise<ServerFacts[]> {
  const links = new Map(partitions.map(({ link }) => [link.peer, link]))
  return Promise.all(
    [...links].map(async ([server, link]): Promise<ServerFacts> => {
      const { used_memory_bytes: usedMemoryBytes, max_memory_bytes: maxMemoryBytes } = await readServer(link)
      return { server, usedMemoryBytes, maxMemoryBytes }
    }),
  )
}

export async function readServer(link: RedisLink): Promise<StatusDocument['redis']> {
  const text = await ifAllowed(link.call('INFO'))
  const info = new Map(
    String(text ?? '')
      .split('\r\n')
      .filter((line) => line.includes(':'))
      .map((line): [string, string] => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  )
  const number = (name: string) => (info.has(name) ? Number(info.get(name)) : null)
  const append = number('aof_enabled')
  return {
    version: info.get('valkey_version') ?? info.get('redis_version') ?? null,
    used_memory_bytes: number('used_memory'),
    max_memory_bytes: number('maxmemory'),
    eviction_policy: info.get('maxmemory_policy') ?? null,
    append_only: append === null ? null : append === 1,
  }
}
