/**
 * A small world around one real server: links that are closed after the test, events, and consumers that read as the
 * app does. For the tests of packages/core/src/stream and of this directory.
 */
import { afterEach, expect } from 'vitest'
import {
  deriveEventId,
  eventIdBytes,
  locatorOf,
  mintEventId,
  type WebhookEvent,
} from '../../packages/core/src/event.ts'
import { type KeyNames, type PartitionKeys, partitionKeys } from '../../packages/core/src/keys.ts'
import { decodeRecord, encodeRecord, type FieldList } from '../../packages/core/src/record.ts'
import { connectRedis, type RedisLink, type RedisReply } from '../../packages/core/src/redis/link.ts'
import {
  type Admission,
  type AdmissionOutcome,
  type Admitter,
  createAdmitter,
  type DedupeWindow,
} from '../../packages/core/src/stream/admit.ts'
import { type EvidencePlace, evidencePlace } from '../../packages/core/src/stream/evidence.ts'
import { ensureGroup } from '../../packages/core/src/stream/group.ts'
import { readLedger } from '../../packages/core/src/stream/ledger.ts'
import type { RateLimit } from '../../packages/core/src/stream/limits.ts'
import type { LongMemoryOptions } from '../../packages/core/src/stream/long-memory.ts'
import { entriesOf } from '../../packages/core/src/stream/reclaim.ts'
import type { HeldEntry } from '../../packages/core/src/stream/settle.ts'
import { type SharedRedis, type SharedRedisOptions, useRedis } from '../support/redis.ts'

export const NAMES: KeyNames = {
  stream: 'webhook-events',
  deadLetters: 'webhook-events-dlq',
  group: 'webhook-processors',
  cluster: false,
}

/** A link has this long to connect, ms. */
const CONNECT_TIMEOUT_MS = 5_000

export interface WorldOptions extends SharedRedisOptions {
  /** Default: one partition, as on a single server. */
  readonly keys?: PartitionKeys
  /** The window of each tool; default: 5 minutes, one occurrence. */
  readonly windows?: Readonly<Record<string, DedupeWindow>>
  readonly evidenceShards?: number
  readonly memory?: Partial<Omit<LongMemoryOptions, 'keys'>>
}

export interface EventOptions {
  readonly tool?: string
  readonly tenant?: string
  /** The sender's delivery id; default: a new one each time. */
  readonly key?: string
  /** Default: what the tool's window says (one occurrence: derived). */
  readonly derived?: boolean
  readonly body?: string
  /** Default: '', it is not traced. */
  readonly traceparent?: string
  readonly repeat?: boolean
  readonly limits?: readonly RateLimit[]
}

export interface World {
  readonly redis: SharedRedis
  readonly keys: PartitionKeys
  readonly memory: LongMemoryOptions
  /** A connected link, closed after the test. */
  link(): Promise<RedisLink>
  windowOf(tool: string): DedupeWindow
  place(tool: string, locator: Buffer): EvidencePlace
  admitter(now?: () => number): Admitter
  admission(options?: EventOptions): Admission
  /** Admits an event and expects it to be accepted. */
  accept(link: RedisLink, options?: EventOptions): Promise<Accepted>
  /** Creates the group at 0, if need be, and reads up to `count` new entries as this consumer. */
  read(link: RedisLink, consumer: string, count?: number): Promise<HeldEntry[]>
  /** Expects that every accepted event is in exactly one place; returns the ledger. */
  balanced(link: RedisLink): Promise<Awaited<ReturnType<typeof readLedger>>['ledger']>
}

export interface Accepted {
  readonly admission: Admission
  readonly streamId: string
}

/** Redis' own time, ms. */
export async function redisTime(link: RedisLink): Promise<number> {
  const [seconds, micros] = (await link.call('TIME')) as RedisReply[]
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
}

/** What the whole server holds, as one hash: equal before and after what must change nothing. */
export async function digest(link: RedisLink): Promise<string> {
  return String(await link.call('DEBUG', 'DIGEST'))
}

/** Runs `use` while Redis refuses all that needs memory. */
export async function outOfMemory<T>(link: RedisLink, use: () => Promise<T>): Promise<T> {
  await link.call('CONFIG', 'SET', 'maxmemory', 1)
  try {
    return await use()
  } finally {
    await link.call('CONFIG', 'SET', 'maxmemory', 0)
  }
}

/** Resolves when Redis' own clock shows this time; asks it again and again, as nobody else knows. */
export async function passed(link: RedisLink, ms: number): Promise<number> {
  for (;;) {
    const now = await redisTime(link)
    if (now >= ms) return now
  }
}

/** Waits for a moment at which a window of this length has at least `left` and at most `most` ms to go. */
export async function momentInWindow(
  link: RedisLink,
  windowMs: number,
  left: number,
  most: number,
): Promise<{ now: number; nextSlice: number }> {
  for (;;) {
    const now = await redisTime(link)
    const remaining = windowMs - (now % windowMs)
    if (remaining >= left && remaining <= most) return { now, nextSlice: now + remaining }
  }
}

const FIVE_MINUTES: DedupeWindow = { duration: 300_000, maxSize: 1 }

export function useWorld(options: WorldOptions = {}): World {
  const {
    windows = {},
    evidenceShards = 4,
    memory: memoryOptions = {},
    keys = partitionKeys(NAMES),
    ...redisOptions
  } = options
  const redis = useRedis({
    appendfsync: 'no',
    ...redisOptions,
    args: ['--enable-debug-command', 'yes', ...(redisOptions.args ?? [])],
  })
  const links: RedisLink[] = []
  let serial = 0

  afterEach(async () => {
    if (redis.server.running) await redis.server.kill('SIGCONT')
    await Promise.all(links.splice(0).map((link) => link.close()))
  })

  const windowOf = (tool: string) => windows[tool] ?? FIVE_MINUTES
  const world: World = {
    redis,
    keys,
    memory: {
      keys,
      horizonMs: 3 * 86_400_000,
      bloomBits: 8_192,
      bloomHashes: 7,
      settledShards: 4,
      ...memoryOptions,
    },
    async link() {
      const link = connectRedis({
        url: redis.url,
        commandTimeoutMs: 20_000,
        connectTimeoutMs: 5_000,
        reconnectMaxDelayMs: 100,
        name: 'heart',
      })
      links.push(link)
      await link.ready(AbortSignal.timeout(CONNECT_TIMEOUT_MS))
      return link
    },
    windowOf,
    place: (tool, locator) =>
      evidencePlace({ keys, tool, windowMs: windowOf(tool).duration, shards: evidenceShards }, locator),
    admitter: (now = Date.now) => createAdmitter({ keys, window: windowOf, evidenceShards, now }),
    admission(event = {}) {
      const tool = event.tool ?? 'github'
      const tenant = event.tenant ?? 'default'
      serial++
      const key = { kind: 'delivery-id', value: event.key ?? `delivery-${serial}` } as const
      const locator = locatorOf(tenant, tool, key)
      const derived = event.derived ?? windowOf(tool).maxSize === 1
      const id = derived ? deriveEventId(locator) : mintEventId(Date.now())
      return {
        id,
        tool,
        locator,
        derived,
        fields: fieldsOf({
          id,
          tenant,
          tool,
          locator,
          derived,
          traceparent: event.traceparent ?? '',
          body: event.body ?? '{}',
        }),
        repeat: event.repeat ?? false,
        limits: event.limits ?? [],
      }
    },
    async accept(link, event) {
      const admission = world.admission(event)
      const outcome: AdmissionOutcome = await world.admitter().admit(link, admission)
      if (outcome.kind !== 'accepted') throw new Error(`not accepted but ${outcome.kind}`)
      return { admission, streamId: outcome.streamId }
    },
    async read(link, consumer, count = 100) {
      await ensureGroup(link, keys)
      const reply = (await link.call(
        ...['XREADGROUP', 'GROUP', keys.group, consumer],
        ...['COUNT', String(count), 'STREAMS', keys.stream, '>'],
      )) as RedisReply[][] | null
      return entriesOf((reply?.[0]?.[1] ?? []) as RedisReply[]).map(({ streamId, fields }) => ({
        streamId,
        holding: { kind: 'pending', consumer } as const,
        record: decodeRecord(fields ?? []),
      }))
    },
    async balanced(link) {
      const { ledger } = await readLedger(link, keys)
      expect(ledger, JSON.stringify(ledger)).toMatchObject({ unaccounted: 0 })
      return ledger
    },
  }
  return world
}

function fieldsOf(event: {
  id: string
  tenant: string
  tool: string
  locator: Buffer
  derived: boolean
  traceparent: string
  body: string
}): FieldList {
  const complete: WebhookEvent = {
    ...event,
    type: 'push',
    receivedAt: Date.now(),
    headers: [],
    body: Buffer.alloc(0),
  }
  return encodeRecord(complete, {
    encoding: 'plain',
    dictionary: '',
    packed: Buffer.from(`[]\n${event.body}`),
  })
}

/** The 16 bytes of a minted id as scripts keep them in evidence; undefined for a derived one. */
export function mintedBytes(admission: Pick<Admission, 'id' | 'derived'>): Buffer | undefined {
  return admission.derived ? undefined : eventIdBytes(admission.id)
}
