/**
 * The pipeline as operators see it and reach into it: one view that the operations API and webhook-cli share.
 * It needs Redis and nothing else: no gateway and no consumer has to run.
 *
 * Answers are the documents of view/documents.ts. Every method throws Fault REDIS_UNAVAILABLE when Redis does not
 * answer; reading changes nothing, and each change is one atomic step per event.
 */
import type { Adapter } from './adapters/adapter.ts'
import type { Clock } from './clock.ts'
import type { Dictionary, DictionarySet } from './dictionaries.ts'
import { type EventId, eventIdBytes } from './event.ts'
import { type HealthReport, readHealthReports } from './health/reports.ts'
import type { Opener, Sealing } from './keyring/keyring.ts'
import type { PartitionKeys } from './keys.ts'
import type { Packed, UnpackedBody } from './packing.ts'
import type { Partition } from './partition.ts'
import { type PartitionPlan, SINGLE_PLAN, searchOrder } from './plan.ts'
import { redisTime } from './redis/time.ts'
import { type BreakerState, readBreaker, resetBreaker } from './stream/breaker.ts'
import { evidencePlace } from './stream/evidence.ts'
import { createLettersByTool, type LettersByTool } from './stream/letters-by-tool.ts'
import { type EventPlace, locateEvent } from './stream/locate.ts'
import type { LongMemoryOptions } from './stream/long-memory.ts'
import { oldestParkedAge } from './stream/oldest-parked.ts'
import { wakeParked } from './stream/parked.ts'
import { createBodyOpener } from './view/body.ts'
import { createDeadLetters, type DeadLetters, oldestDeadLetterAge } from './view/dead-letters.ts'
import { createDictionaries, type Dictionaries } from './view/dictionaries.ts'
import type { BreakerDocument, EventDocument, StatusDocument, TailDocument } from './view/documents.ts'
import { timeText } from './view/documents.ts'
import { describePlan, readPartitions } from './view/partitions.ts'
import { type ReleaseResult, releasePending } from './view/release.ts'
import {
  ALIVE_MS,
  type ConsumerReport,
  firstOf,
  type LedgerFacts,
  readConsumers,
  readGateways,
  readLedgers,
  readReports,
  readServer,
  readServers,
  readStreams,
  type ServerFacts,
} from './view/status.ts'
import { type TailOptions, tailStream } from './view/tail.ts'
import {
  type PurgedParked,
  purgeTenantParked,
  readTenantEvents,
  type TenantEvents,
} from './view/tenant-events.ts'

export interface PipelineViewOptions {
  /** All partitions, in their order; at least one. More may be added while the view is in use. */
  readonly partitions: readonly Partition[]
  /** How events are spread over them; default: there is one. */
  readonly plan?: () => PartitionPlan | undefined
  /** The configured tools, with the length of their dedupe windows, ms. */
  readonly windows: ReadonlyMap<string, number>
  /** Window of a tool that is no longer configured, ms. */
  readonly defaultWindowMs: number
  readonly evidenceShards: number
  readonly memory: Omit<LongMemoryOptions, 'keys'>
  readonly dictionaries: DictionarySet
  /** The bundled starters, by tool. */
  readonly starters: ReadonlyMap<string, Dictionary>
  readonly adapters: ReadonlyMap<string, Adapter>
  /** Largest body, bytes. */
  readonly maxBodyBytes: number
  readonly clock: Clock
  /** For what is encrypted. */
  readonly opener?: Opener
  /** Undefined = what is learned of events is not encrypted. */
  readonly sealing?: Sealing | undefined
}

/** The bytes as sent; or `gone`: settled, and no longer held. */
export type RawEvent =
  | ({ readonly kind: 'bytes'; readonly document: EventDocument } & UnpackedBody)
  | { readonly kind: 'gone'; readonly document: EventDocument }

export interface PipelineView {
  /** Round trip to Redis. */
  ping(): Promise<void>
  ledger(): Promise<LedgerFacts>
  status(): Promise<StatusDocument>
  /** Reports of the consumers that are alive. */
  reports(): Promise<readonly ConsumerReport[]>
  /** What gateways and curators that are alive report of what only they see. */
  healthReports(): Promise<readonly HealthReport[]>
  /** Ages that take more looking than those of `ledger`, ms; 0 where nothing waits. See stream/oldest-parked.ts. */
  oldest(): Promise<{ readonly parkedMs: number; readonly deadLetterMs: number }>
  /**
   * Dead letters by tool, also of tools that have none; `unknown`: they name none, or one that is not configured. undefined while
   * they are counted, which takes reading each once, and all anew when one was removed (stream/letters-by-tool.ts).
   */
  lettersByTool(): Promise<ReadonlyMap<string, number> | undefined>
  /** The servers that hold the partitions, each once. */
  servers(): Promise<readonly ServerFacts[]>
  /** undefined when nobody knows the event (or it was forgotten). Throws `RangeError` for what is not an event id. */
  find(id: EventId): Promise<EventDocument | undefined>
  /** What `find` says of an event that was settled; its record lies elsewhere, or nowhere any more. */
  settled(id: EventId, record: Packed | undefined): Promise<EventDocument>
  /** As `find`; also throws what isUnreadable (packing.ts) tells when the bytes are there and cannot be read. */
  raw(id: EventId): Promise<RawEvent | undefined>
  /** The bytes of a record that lies elsewhere. Throws what isUnreadable (packing.ts) tells. */
  open(record: Packed): Promise<UnpackedBody>
  /** The bytes that a dead letter carries, by letter id or event id; undefined when there is no readable one. */
  rawLetter(id: string): Promise<UnpackedBody | undefined>
  readonly deadLetters: DeadLetters
  readonly dictionaries: Dictionaries
  /** What the streams hold of a tenant; where the signal stops it, what was counted until then. */
  tenantEvents(tenant: string, signal?: AbortSignal): Promise<TenantEvents>
  /** Gives up the parked events of a tenant, except those that a consumer has in hand; the ledger counts them as purged. */
  purgeParked(tenant: string, signal?: AbortSignal): Promise<PurgedParked>
  breakers(): Promise<readonly BreakerDocument[]>
  /** Closes a tool's breaker and makes the events that wait for breakers due now. */
  resetBreaker(tool: string): Promise<{ readonly wasClosed: boolean; readonly woken: number }>
  /** Gives back entries that their consumers have been silent about for so long; see view/release.ts. */
  claimPending(idleMs: number, mode: { readonly dryRun: boolean }): Promise<ReleaseResult>
  /** Events as they come. Occupies the links: use a view that nobody else waits on. */
  tail(options: TailOptions): AsyncGenerator<TailDocument>
}

interface Located {
  readonly partition: Partition
  readonly place: EventPlace
}

/** Time for reading dead letters that are not counted by tool yet, ms: 2 % of what passes between two scrapes. */
const COUNTING_MS = 300

/** How often an event that moves while it is looked for is looked for again. */
const LOOKS = 5

export function openPipelineView(options: PipelineViewOptions): PipelineView {
  const { partitions, windows, defaultWindowMs, evidenceShards: shards } = options
  const body = createBodyOpener(options)
  const evidence = (keys: PartitionKeys, tool: string, locator: Buffer) =>
    evidencePlace({ keys, tool, windowMs: windows.get(tool) ?? defaultWindowMs, shards }, locator)
  const memory = (keys: PartitionKeys): LongMemoryOptions => ({ ...options.memory, keys })
  const planNow = (): PartitionPlan =>
    options.plan?.() ?? { ...SINGLE_PLAN, partitions: partitions.length, highest: partitions.length }
  const deadLetters = createDeadLetters({ partitions, plan: planNow, memory, evidence, clock: options.clock })

  const letterCounts = new Map<string, LettersByTool>()
  const letterCount = ({ link, keys }: Partition): LettersByTool => {
    let count = letterCounts.get(keys.deadLetters)
    if (count === undefined) {
      count = createLettersByTool({ link, keys, now: options.clock.monotonic })
      letterCounts.set(keys.deadLetters, count)
    }
    return count
  }

  const locateIn = async ({ keys, link }: Partition, id: EventId): Promise<EventPlace | undefined> => {
    const places = (locator: Buffer) => [...windows.keys()].map((tool) => evidence(keys, tool, locator))
    for (let look = 1; ; look += 1) {
      const place = await locateEvent(link, { keys, memory: memory(keys), evidence: places }, id)
      if (place !== undefined && place.place !== 'settled') return place
      // Places are looked at one after the other; an event that moved behind our back seems settled, or unknown.
      const moved =
        (await link.call('HEXISTS', keys.parkedIds, id)) === 1 ||
        (await link.call('HEXISTS', keys.deadIds, id)) === 1
      if (!moved || look === LOOKS) return place
    }
  }
  const locate = async (id: EventId): Promise<Located | undefined> => {
    const bytes = eventIdBytes(id) // refuses what is not an id, before anything is asked
    // A derived id is its own locator and tells its partition; any other may be in each of them.
    for (const index of searchOrder(planNow(), bytes)) {
      const partition = partitions[index]
      const place = partition && (await locateIn(partition, id))
      if (partition !== undefined && place !== undefined) return { partition, place }
    }
    return undefined
  }
  const describe = async (id: EventId, { partition, place }: Located): Promise<EventDocument> => {
    const facts = place.record === undefined ? undefined : await body.look(partition, place.record)
    return { ...describePlace(id, place), ...describeBody(facts) }
  }
  const breakers = async (): Promise<BreakerDocument[]> =>
    Promise.all(
      [...windows.keys()].map(async (tool) => {
        const states = await Promise.all(partitions.map(({ link, keys }) => readBreaker(link, keys, tool)))
        return breakerDocument(tool, worst(states))
      }),
    )

  return {
    async ping() {
      await Promise.all(partitions.map(({ link }) => link.call('PING')))
    },
    ledger: () => readLedgers(partitions),
    async status() {
      const { audit, lag, oldest, group, clockBehindMs } = await readLedgers(partitions)
      return {
        ...audit,
        lag,
        oldest,
        clock_behind_ms: clockBehindMs,
        group,
        consumers: await readConsumers(partitions),
        gateways: await readGateways(partitions),
        breakers: await breakers(),
        streams: await readStreams(partitions),
        plan:
          options.plan === undefined || planNow().epoch === 0
            ? null
            : await describePlan(planNow(), firstOf(partitions).link),
        partitions: await readPartitions(partitions, planNow().epoch === 0 ? undefined : planNow()),
        redis: await readServer(firstOf(partitions).link),
      }
    },
    async reports() {
      const now = await redisTime(firstOf(partitions).link)
      return (await readReports(partitions)).filter((report) => now - report.at < ALIVE_MS)
    },
    healthReports: () => readHealthReports(firstOf(partitions).link, firstOf(partitions).keys.health),
    async oldest() {
      const most = async (age: (partition: Partition) => Promise<number>) =>
        Math.max(0, ...(await Promise.all(partitions.map(age))))
      const [parkedMs, deadLetterMs] = await Promise.all([
        most(({ link, keys }) => oldestParkedAge(link, keys)),
        most(({ link, keys }) => oldestDeadLetterAge(link, keys)),
      ])
      return { parkedMs, deadLetterMs }
    },
    async lettersByTool() {
      const counts = await Promise.all(partitions.map((each) => letterCount(each).read(COUNTING_MS)))
      const sums = new Map([...windows.keys(), 'unknown'].map((tool) => [tool, 0]))
      for (const tools of counts) {
        if (tools === undefined) return undefined
        for (const [tool, count] of tools) {
          const name = windows.has(tool) ? tool : 'unknown'
          sums.set(name, (sums.get(name) ?? 0) + count)
        }
      }
      return sums
    },
    servers: () => readServers(partitions),
    async find(id) {
      const located = await locate(id)
      return located && describe(id, located)
    },
    async settled(id, record) {
      const place = describePlace(id, { place: 'settled', streamId: undefined, record: undefined })
      if (record === undefined) return { ...place, ...describeBody(undefined) }
      const { tool, tenant, type, receivedAt } = record
      const facts = await body.look(firstOf(partitions), record)
      return { ...place, tool, tenant, type, received_at: timeText(receivedAt), ...describeBody(facts) }
    },
    async raw(id) {
      const located = await locate(id)
      if (located === undefined) return undefined
      const document = await describe(id, located)
      const { partition, place } = located
      if (place.record === undefined) return { kind: 'gone', document }
      return { kind: 'bytes', document, ...(await body.open(partition, place.record)) }
    },
    open: (record) => body.open(firstOf(partitions), record),
    async rawLetter(id) {
      const found = await deadLetters.find(id)
      const record = found?.letter.record
      return found && record && body.open(found.partition, record)
    },
    deadLetters,
    dictionaries: createDictionaries({
      partitions,
      body,
      starters: options.starters,
      sealing: options.sealing,
    }),
    tenantEvents: (tenant, signal) => readTenantEvents(partitions, tenant, signal),
    purgeParked: (tenant, signal) => purgeTenantParked(partitions, tenant, evidence, signal),
    breakers,
    async resetBreaker(tool) {
      const reset = await Promise.all(partitions.map(({ link, keys }) => resetBreaker(link, keys, tool)))
      const wasClosed = !reset.includes(true)
      const woken = await Promise.all(partitions.map(({ link, keys }) => wakeParked(link, keys, 'breaker')))
      return { wasClosed, woken: woken.reduce((sum, count) => sum + count, 0) }
    },
    async claimPending(idleMs, mode) {
      const byConsumer = new Map<string, number>()
      const sum = { found: 0, released: 0, gone: 0 }
      for (const { keys, link } of partitions) {
        const result = await releasePending(link, keys, idleMs, mode)
        sum.found += result.found
        sum.released += result.released
        sum.gone += result.gone
        for (const [name, count] of result.byConsumer)
          byConsumer.set(name, count + (byConsumer.get(name) ?? 0))
      }
      return { ...sum, byConsumer }
    },
    tail: (tailOptions) => tailStream(partitions, body, tailOptions),
  }
}

const GRAVITY = { closed: 0, 'half-open': 1, open: 2 } as const

/** Each partition has breakers of its own; what is said of a tool is the gravest of them. */
function worst(states: readonly BreakerState[]): BreakerState {
  return states.reduce((a, b) => {
    const graver = GRAVITY[b.state] - GRAVITY[a.state] || b.failures - a.failures
    return graver > 0 ? b : a
  })
}

function breakerDocument(tool: string, { state, failures, since, waitMs }: BreakerState): BreakerDocument {
  return { tool, state, failures, open_since: timeText(since), wait_ms: waitMs }
}

type PlaceFields = Omit<EventDocument, keyof ReturnType<typeof describeBody>>

function describePlace(event_id: EventId, found: EventPlace): PlaceFields {
  const { record } = found
  const fields: PlaceFields = {
    event_id,
    place: found.place,
    stream_id: found.streamId ?? null,
    tool: record?.tool ?? null,
    tenant: record?.tenant ?? null,
    type: record?.type ?? null,
    received_at: record === undefined ? null : timeText(record.receivedAt),
    attempts: null,
    deliveries: null,
    consumer: null,
    idle_ms: null,
    due_at: null,
    reason: null,
    error: null,
    first_failed_at: null,
    dead_at: null,
    letter_id: null,
  }
  switch (found.place) {
    case 'unread':
      return { ...fields, attempts: 0, deliveries: 0 }
    case 'pending': {
      const { consumer, deliveries, idleMs } = found
      return { ...fields, attempts: found.record.attempts, consumer, deliveries, idle_ms: idleMs }
    }
    case 'parked': {
      const { attempts, deliveries, reason, error, since } = found.state
      return {
        ...fields,
        attempts,
        deliveries,
        reason,
        error: error === '' ? null : error,
        due_at: timeText(found.dueAt),
        first_failed_at: attempts > 0 ? timeText(since) : null,
      }
    }
    case 'dead': {
      const { reason, error, firstFailedAt, deadAt, letterId } = found.letter
      return {
        ...fields,
        attempts: found.record.attempts,
        reason,
        error,
        first_failed_at: timeText(firstFailedAt),
        dead_at: timeText(deadAt),
        letter_id: letterId,
      }
    }
    case 'settled':
      return fields
  }
}

function describeBody(facts: Awaited<ReturnType<ReturnType<typeof createBodyOpener>['look']>> | undefined) {
  return {
    event: facts?.event ?? null,
    subject: facts?.subject ?? null,
    bytes_available: facts !== undefined && facts.problem === null,
    bytes_problem: facts?.problem ?? null,
    size: facts?.size ?? null,
    content_type: facts?.contentType ?? null,
  }
}
