/**
 * A pipeline with events in it, made by the functions that the apps use, at the configuration's defaults: for tests
 * of what operators see.
 *
 *   const pipeline = usePipeline(redis)
 *   const { id } = await pipeline.accept({ tool: 'github', type: 'push', json: { … } })
 *   const [entry] = await pipeline.read('consumer-1')
 *   await pipeline.bury(entry, { reason: 'handler', error: 'boom' })
 */
import { afterEach, expect } from 'vitest'
import { ADAPTERS } from '../../packages/core/src/adapters/table.ts'
import { systemClock } from '../../packages/core/src/clock.ts'
import { loadConfig } from '../../packages/core/src/config/load.ts'
import { dedupeWindows, keysOf, longMemory } from '../../packages/core/src/config/parts.ts'
import type { Config } from '../../packages/core/src/config/schema.ts'
import {
  createDictionarySet,
  type DictionarySet,
  loadBundledDictionaries,
} from '../../packages/core/src/dictionaries.ts'
import {
  deriveEventId,
  type EventId,
  type Header,
  locatorOf,
  mintEventId,
} from '../../packages/core/src/event.ts'
import type { Sealing } from '../../packages/core/src/keyring/keyring.ts'
import type { PartitionKeys } from '../../packages/core/src/keys.ts'
import { createPacker } from '../../packages/core/src/packing.ts'
import { openPipelineView, type PipelineView } from '../../packages/core/src/pipeline-view.ts'
import { decodeRecord, encodeRecord } from '../../packages/core/src/record.ts'
import { connectRedis, type RedisLink, type RedisReply } from '../../packages/core/src/redis/link.ts'
import { sealBody } from '../../packages/core/src/sealing.ts'
import { createAdmitter } from '../../packages/core/src/stream/admit.ts'
import { evidencePlace } from '../../packages/core/src/stream/evidence.ts'
import { ensureGroup } from '../../packages/core/src/stream/group.ts'
import { bury, type ParkRequest, park } from '../../packages/core/src/stream/handover.ts'
import { type Ledger, readLedger } from '../../packages/core/src/stream/ledger.ts'
import { entriesOf } from '../../packages/core/src/stream/reclaim.ts'
import { type HeldEntry, settleDone } from '../../packages/core/src/stream/settle.ts'
import { pipelineViewOptions } from '../../packages/core/src/view/options.ts'
import type { SharedRedis } from './redis.ts'

export interface EventPlan {
  /** Default: github. */
  readonly tool?: string
  readonly tenant?: string
  /** As the sender names it; default: push. */
  readonly type?: string
  readonly json?: unknown
  /** The bytes, in place of `json`. */
  readonly body?: Buffer
  readonly headers?: readonly Header[]
  /** The sender's delivery id; default: a new one each time. */
  readonly deliveryId?: string
  /** ms; default: now, and later than the one before. */
  readonly receivedAt?: number
}

export interface AcceptedEvent {
  readonly id: EventId
  readonly streamId: string
  readonly body: Buffer
}

export interface TestPipeline {
  readonly config: Config
  readonly keys: PartitionKeys
  readonly link: RedisLink
  readonly view: PipelineView
  /** Admits an event and expects it to be accepted. */
  accept(plan?: EventPlan): Promise<AcceptedEvent>
  /** Reads new entries as this consumer; makes the group at 0 if need be. */
  read(consumer: string, count?: number): Promise<HeldEntry[]>
  settle(...entries: HeldEntry[]): Promise<void>
  park(entry: HeldEntry, wait?: Partial<Omit<ParkRequest, 'entry'>>): Promise<void>
  bury(
    entry: HeldEntry,
    why?: { readonly reason?: string; readonly error?: string; readonly attempts?: number },
  ): Promise<void>
  /** Accepts, reads and buries one event. */
  kill(plan?: EventPlan, why?: { readonly reason?: string; readonly error?: string }): Promise<AcceptedEvent>
  /** Redis' own time, ms. */
  now(): Promise<number>
  /** The ledger, which must balance. */
  ledger(): Promise<Ledger>
}

export interface PipelineOptions {
  /** Dictionaries that events are packed with; default: the bundled ones. */
  readonly dictionaries?: DictionarySet
  /** Events are encrypted with it; default: they are not. */
  readonly sealing?: Sealing
}

const CONNECT_TIMEOUT_MS = 5_000

/** Opens pipelines on this server; their links are closed after the test. */
export function usePipeline(redis: SharedRedis): (options?: PipelineOptions) => Promise<TestPipeline> {
  const links: RedisLink[] = []
  afterEach(async () => {
    await Promise.all(links.splice(0).map((link) => link.close()))
  })
  return async (options = {}) => {
    const link = connectRedis({
      url: redis.url,
      commandTimeoutMs: 2_000,
      connectTimeoutMs: 5_000,
      reconnectMaxDelayMs: 100,
      name: 'test-pipeline',
    })
    links.push(link)
    await link.ready(AbortSignal.timeout(CONNECT_TIMEOUT_MS))
    return pipelineOn(link, options)
  }
}

async function pipelineOn(link: RedisLink, options: PipelineOptions): Promise<TestPipeline> {
  const { config } = await loadConfig({ env: {} })
  const keys = keysOf(config)
  const window = dedupeWindows(config)
  const shards = config.webhook.deduplication.evidence_shards
  const memory = longMemory(config, keys)
  const packer = createPacker(options.dictionaries ?? createDictionarySet(loadBundledDictionaries()), 3)
  const admitter = createAdmitter({ keys, window, evidenceShards: shards, now: Date.now })
  let serial = 0
  let lastReceivedAt = 0

  const now = async () => {
    const [seconds, micros] = (await link.call('TIME')) as RedisReply[]
    return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
  }
  const evidenceOf = ({ record }: HeldEntry) =>
    evidencePlace({ keys, tool: record.tool, windowMs: window(record.tool).duration, shards }, record.locator)

  const pipeline: TestPipeline = {
    config,
    keys,
    link,
    view: openPipelineView(pipelineViewOptions(config, [{ keys, link }], systemClock)),
    now,
    async accept(plan = {}) {
      serial += 1
      const { tool = 'github', tenant = 'default', type = 'push' } = plan
      const { receivedAt = Math.max(Date.now(), lastReceivedAt + 1) } = plan
      lastReceivedAt = receivedAt
      const body = plan.body ?? Buffer.from(JSON.stringify(plan.json ?? { zen: `event ${serial}` }))
      const headers: Header[] = [['content-type', 'application/json'], ...(plan.headers ?? [])]
      const deliveryId = plan.deliveryId ?? `delivery-${serial}-${process.pid}`
      const locator = locatorOf(tenant, tool, { kind: 'delivery-id', value: deliveryId })
      const derived = ADAPTERS.get(tool)?.stableIds === true && window(tool).maxSize === 1
      const id = derived ? deriveEventId(locator) : mintEventId(Date.now())
      const event = {
        id,
        tenant,
        tool,
        type,
        receivedAt,
        locator,
        derived,
        headers,
        body,
        traceparent: '',
      }
      const packed = packer.pack(tool, headers, body, tenant)
      await options.sealing?.prepare(tenant)
      const stored = options.sealing === undefined ? packed : sealBody(options.sealing, event, packed)
      const fields = encodeRecord(event, stored)
      const outcome = await admitter.admit(link, {
        id,
        tool,
        locator,
        derived,
        fields,
        repeat: false,
        limits: [],
      })
      if (outcome.kind !== 'accepted') throw new Error(`the event was not accepted: ${outcome.kind}`)
      return { id, streamId: outcome.streamId, body }
    },
    async read(consumer, count = 1000) {
      await ensureGroup(link, keys)
      const reply = (await link.call(
        ...([
          'XREADGROUP',
          'GROUP',
          keys.group,
          consumer,
          'COUNT',
          count,
          'STREAMS',
          keys.stream,
          '>',
        ] as const),
      )) as RedisReply[][] | null
      return entriesOf((reply?.[0]?.[1] ?? []) as RedisReply[]).map(({ streamId, fields }) => ({
        streamId,
        holding: { kind: 'pending', consumer } as const,
        record: decodeRecord(fields ?? []),
      }))
    },
    async settle(...entries) {
      expect(await settleDone(link, keys, memory, entries, 'settled', await now())).toBe(entries.length)
    },
    async park(entry, wait = {}) {
      const request: ParkRequest = {
        entry,
        delayMs: 60_000,
        attempts: 1,
        reason: 'retry',
        error: 'failed once',
        evidence: evidenceOf(entry),
        redisMs: await now(),
        ...wait,
      }
      expect(await park(link, keys, request)).toBe('done')
    },
    async bury(entry, { reason = 'handler', error = 'it failed', attempts = 4 } = {}) {
      const evidence = evidenceOf(entry)
      const request = { entry, attempts, reason, error, evidence, redisMs: await now(), aheadMs: 300_000 }
      expect(await bury(link, keys, request)).toBe('done')
    },
    async kill(plan, why) {
      const accepted = await pipeline.accept(plan)
      const entries = await pipeline.read('undertaker')
      for (const entry of entries) await pipeline.bury(entry, why)
      return accepted
    },
    async ledger() {
      const { ledger } = await readLedger(link, keys)
      expect(ledger, JSON.stringify(ledger)).toMatchObject({ unaccounted: 0 })
      return ledger
    },
  }
  return pipeline
}
