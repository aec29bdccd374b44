/**
 * A consumer in a world of its own, on real Redis.
 *
 *   await withConsumer(redis, { numWorkers: 2 }, [handler], async (world) => {
 *     const event = await world.admit()
 *     await world.until({ settled: 1 })
 *   })
 *
 * The bracket stops every consumer it started, closes its connections, and fails when the ledger does not balance.
 */
import { ADAPTERS } from '@weir/core/adapters/table'
import { type Clock, systemClock } from '@weir/core/clock'
import { createDictionarySet, type DictionarySet } from '@weir/core/dictionaries'
import { deriveEventId, type Header, locatorOf, mintEventId } from '@weir/core/event'
import {
  defineHandler,
  type Handler,
  type HandlerContext,
  type HandlerEvent,
} from '@weir/core/handlers/handler'
import type { Sealing } from '@weir/core/keyring/keyring'
import { type PartitionKeys, partitionKeys } from '@weir/core/keys'
import { createPacker } from '@weir/core/packing'
import { encodeRecord, type FieldList } from '@weir/core/record'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { sealBody } from '@weir/core/sealing'
import { createAdmitter, type DedupeWindow } from '@weir/core/stream/admit'
import { type DeadLetter, listDeadLetters } from '@weir/core/stream/dead-letters'
import { type Ledger, readLedger } from '@weir/core/stream/ledger'
import type { LongMemoryOptions } from '@weir/core/stream/long-memory'
import { listPending, type PendingEntry } from '@weir/core/stream/reclaim'
import { type Logger, pino } from 'pino'
import { expect } from 'vitest'
import { type Consumer, type ConsumerDeps, type ConsumerSettings, createConsumer } from './consumer.ts'
import { type ConsumerMetrics, createConsumerMetrics } from './metrics.ts'
import { createWorkers } from './workers.ts'

/** How long `until` waits, ms. */
const UNTIL_TIMEOUT_MS = 15_000
const CONNECT_TIMEOUT_MS = 1_000
/** Command time-out of the test's own connection, ms: thousands of events may be admitted at once. */
const OWN_TIMEOUT_MS = 15_000
const RECONNECT_MAX_DELAY_MS = 100

export const testKeys: PartitionKeys = partitionKeys({
  stream: 'webhook-events',
  deadLetters: 'webhook-events-dlq',
  group: 'webhook-processors',
  cluster: false,
})

/** Settings, and the handlers that run at once. */
export type TestSettings = ConsumerSettings & { readonly numWorkers: number }

/** The defaults of configuration, with times in the tens of ms where it has seconds. */
const quickSettings: TestSettings = {
  numWorkers: 10,
  batchSize: 100,
  blockTimeoutMs: 200,
  prefetchCount: 1000,
  maxRetries: 3,
  handlerTimeoutMs: 5_000,
  backoff: { baseMs: 10, maxMs: 50 },
  reclaimIdleMs: 10_000,
  reclaimIntervalMs: 50,
  quarantineAfter: 5,
  breaker: { failureThreshold: 1000, openDurationMs: 300 },
  heartbeatIntervalMs: 50,
  deadConsumerAfterMs: 60_000,
  shutdownTimeoutMs: 2_000,
  keepSettledMs: 60_000,
  trimIntervalMs: 50,
  commandTimeoutMs: 1_000,
  maxBodyBytes: 1 << 20,
  maxAppends: 100,
}

export const quickWindow: DedupeWindow = { duration: 60_000, maxSize: 1 }

export interface TestEvent {
  /** The sender's delivery id. Default: a fresh one. */
  readonly delivery?: string
  readonly tool?: string
  readonly tenant?: string
  readonly type?: string
  readonly headers?: readonly Header[]
  /** Default: JSON with the delivery id. */
  readonly body?: Buffer | string
  /** False = a minted id. */
  readonly derived?: boolean
  /** Packs with this set instead of without a dictionary. */
  readonly dictionaries?: DictionarySet
  /** Encrypts it; ready for its tenant. */
  readonly sealing?: Sealing
  readonly receivedAt?: number
  /** Default: it is not traced. */
  readonly traceparent?: string
}

export interface AdmittedEvent {
  readonly id: string
  readonly streamId: string
  readonly body: Buffer
  readonly fields: FieldList
}

export interface LogLine {
  readonly level: number
  readonly msg: string
  readonly [field: string]: unknown
}

export interface StartedConsumer extends Consumer {
  readonly metrics: ConsumerMetrics
  readonly link: RedisLink
  readonly blocking: RedisLink
  /** Closes its connections without stopping it: to the others it looks dead. */
  vanish(): Promise<void>
}

export interface StartOptions {
  readonly settings?: Partial<TestSettings>
  readonly deps?: Partial<Omit<ConsumerDeps, 'settings' | 'handlers' | 'metrics'>> & {
    readonly metrics?: ConsumerMetrics
  }
  /** Where the connections go, when not to Redis itself (a proxy). */
  readonly url?: string
  readonly blockingUrl?: string
}

export interface ConsumerWorld {
  readonly keys: PartitionKeys
  /** A connection of the test's own. */
  readonly link: RedisLink
  readonly memory: LongMemoryOptions
  /** The bracket's first consumer, started. */
  readonly consumer: StartedConsumer
  readonly lines: readonly LogLine[]
  admit(event?: TestEvent): Promise<AdmittedEvent>
  admitMany(count: number, event?: (index: number) => TestEvent): Promise<AdmittedEvent[]>
  /** Starts another consumer on the same stream. */
  start(handlers: readonly Handler[], options?: StartOptions): StartedConsumer
  ledger(): Promise<Ledger>
  /** Waits until the ledger has these numbers (and nothing unaccounted). */
  until(expected: Partial<Ledger>): Promise<void>
  /** Waits until the first consumer holds nothing: then it knows of every answer, and has counted everything. */
  rest(): Promise<void>
  letters(): Promise<DeadLetter[]>
  /** First page of pending entries. */
  pending(): Promise<PendingEntry[]>
  /** Names of the group's consumers. */
  members(): Promise<string[]>
}

export interface WorldOptions extends StartOptions {
  /** Default: true. False leaves the first consumer unstarted. */
  readonly started?: boolean
  /** Default: true. False for tests that lose events on purpose (FLUSHALL). */
  readonly balanced?: boolean
}

let deliveries = 0

/** Runs `test` with a started consumer. */
export async function withConsumer(
  redis: { readonly url: string },
  settings: Partial<TestSettings>,
  handlers: readonly Handler[],
  test: (world: ConsumerWorld) => Promise<void>,
  options: WorldOptions = {},
): Promise<void> {
  const keys = testKeys
  const lines: LogLine[] = []
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const memory: LongMemoryOptions = {
    keys,
    horizonMs: 3_600_000,
    bloomBits: 1 << 16,
    bloomHashes: 4,
    settledShards: 16,
  }
  const links: RedisLink[] = []
  const connect = (url: string, commandTimeoutMs: number, blocking = false) => {
    const link = connectRedis(
      {
        url,
        commandTimeoutMs,
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
        reconnectMaxDelayMs: RECONNECT_MAX_DELAY_MS,
        name: blocking ? 'consumer-read' : 'consumer',
      },
      { blocking },
    )
    links.push(link)
    return link
  }
  const started: StartedConsumer[] = []
  const start = (own: readonly Handler[], { settings: more = {}, deps = {}, ...urls }: StartOptions = {}) => {
    const chosen = { ...quickSettings, ...settings, ...more }
    const consumer = createTestConsumer(
      {
        link: connect(urls.url ?? redis.url, chosen.commandTimeoutMs),
        blocking: connect(urls.blockingUrl ?? urls.url ?? redis.url, chosen.commandTimeoutMs, true),
        keys,
        memory,
        log,
        ...deps,
      },
      chosen,
      own,
    )
    started.push(consumer)
    return consumer
  }
  const link = connect(redis.url, OWN_TIMEOUT_MS)
  await link.ready()
  const admitter = createAdmitter({ keys, window: () => quickWindow, evidenceShards: 16, now: Date.now })
  const admit = async (event: TestEvent = {}): Promise<AdmittedEvent> => {
    const made = makeEvent(event)
    const outcome = await admitter.admit(link, {
      id: made.id,
      tool: event.tool ?? 'github',
      locator: made.locator,
      derived: event.derived ?? true,
      fields: made.fields,
      repeat: false,
      limits: [],
    })
    if (outcome.kind !== 'accepted') throw new Error(`the event was not accepted: ${outcome.kind}`)
    return { id: made.id, streamId: outcome.streamId, body: made.body, fields: made.fields }
  }
  const ledger = async () => {
    await link.ready() // it may still be connecting anew
    return (await readLedger(link, keys)).ledger
  }
  const first = start(handlers, options)
  if (options.started !== false) first.start()
  const world: ConsumerWorld = {
    keys,
    link,
    memory,
    consumer: first,
    lines,
    admit,
    admitMany: (count, event = () => ({})) =>
      Promise.all(Array.from({ length: count }, (_, index) => admit(event(index)))),
    start(own, more) {
      const consumer = start(own, more)
      consumer.start()
      return consumer
    },
    ledger,
    async until(expected) {
      await expect
        .poll(ledger, { timeout: UNTIL_TIMEOUT_MS, interval: 10 })
        .toMatchObject({ unaccounted: 0, ...expected })
    },
    async rest() {
      await expect.poll(() => first.state().held).toBe(0)
    },
    letters: () => listDeadLetters(link, keys, { count: 10_000 }),
    pending: () => listPending(link, keys, { count: 10_000 }),
    async members() {
      const reply = (await link.call('XINFO', 'CONSUMERS', keys.stream, keys.group)) as Buffer[][]
      return reply.map((info) => String(info[1]))
    },
  }
  try {
    await test(world)
    await Promise.all(started.map((consumer) => consumer.stop()))
    if (options.balanced !== false) expect(await ledger()).toMatchObject({ unaccounted: 0 })
  } finally {
    await Promise.all(started.map((consumer) => consumer.stop()))
    await Promise.all(links.map((each) => each.close()))
  }
}

let names = 0

type TestConsumerDeps = Pick<ConsumerDeps, 'link' | 'blocking' | 'keys' | 'memory' | 'log'> &
  Partial<Omit<ConsumerDeps, 'settings' | 'handlers' | 'metrics'>> & { readonly metrics?: ConsumerMetrics }

function createTestConsumer(
  deps: TestConsumerDeps,
  { numWorkers, ...settings }: TestSettings,
  handlers: readonly Handler[],
): StartedConsumer {
  const metrics = deps.metrics ?? createConsumerMetrics()
  const consumer = createConsumer({
    name: `consumer-${++names}`,
    settings,
    handlers,
    metrics,
    workers: createWorkers(numWorkers),
    adapters: ADAPTERS,
    dictionaries: createDictionarySet(new Map()),
    window: () => quickWindow,
    evidenceShards: 16,
    clock: systemClock,
    random: Math.random,
    redact: (text) => text,
    settledElsewhere: async () => false,
    ...deps,
  })
  return {
    name: consumer.name,
    start: consumer.start,
    stop: consumer.stop,
    state: consumer.state,
    metrics,
    link: deps.link,
    blocking: deps.blocking,
    vanish: async () => {
      await Promise.all([deps.link.close(), deps.blocking.close()])
    },
  }
}

/** An event as a gateway makes it: identity, record fields, raw body. */
export function makeEvent(event: TestEvent = {}): {
  readonly id: string
  readonly locator: Buffer
  readonly body: Buffer
  readonly fields: FieldList
} {
  const delivery = event.delivery ?? `delivery-${++deliveries}`
  const { tenant = 'default', tool = 'github', type = 'issues', derived = true, traceparent = '' } = event
  const locator = locatorOf(tenant, tool, { kind: 'delivery-id', value: delivery })
  const id = derived ? deriveEventId(locator) : mintEventId(Date.now())
  const body = Buffer.from(event.body ?? JSON.stringify({ action: 'opened', delivery }))
  const headers = event.headers ?? [['content-type', 'application/json'] as const]
  const packer = createPacker(event.dictionaries ?? createDictionarySet(new Map()), 1)
  const receivedAt = event.receivedAt ?? Date.now()
  const whole = { id, tenant, tool, type, receivedAt, locator, derived, headers, body, traceparent }
  const packed = packer.pack(tool, headers, body, tenant)
  const fields = encodeRecord(
    whole,
    event.sealing === undefined ? packed : sealBody(event.sealing, whole, packed),
  )
  return { id, locator, body, fields }
}

/** A handler of all GitHub events. */
export function onGithub(
  run: (event: HandlerEvent, ctx: HandlerContext) => void | Promise<void>,
  name = 'test',
) {
  return defineHandler({ name, tool: 'github', events: ['*'], run })
}

/** Effects as a handler should make them: keyed, so that a repeat changes nothing. */
export function effects() {
  const keys = new Set<string>()
  let runs = 0
  return {
    keys,
    get runs() {
      return runs
    },
    handler: onGithub((_, ctx) => {
      runs++
      keys.add(ctx.idempotencyKey)
    }),
  }
}

export const silentLog: Logger = pino({ level: 'silent' })

/** A clock whose monotonic and wall time are set by hand; `wait` resolves when `advance` passes it. */
export function handClock(startMs = 1_700_000_000_000): Clock & { advance(ms: number): void } {
  let now = 0
  const waiting = new Set<{ readonly at: number; readonly done: () => void }>()
  return {
    now: () => startMs + now,
    monotonic: () => now,
    wait: (ms, abort) =>
      new Promise((resolve) => {
        if (abort?.aborted) return resolve()
        const entry = {
          at: now + ms,
          done: () => {
            waiting.delete(entry)
            abort?.removeEventListener('abort', entry.done)
            resolve()
          },
        }
        waiting.add(entry)
        abort?.addEventListener('abort', entry.done, { once: true })
      }),
    advance(ms) {
      now += ms
      for (const entry of [...waiting]) if (entry.at <= now) entry.done()
    },
  }
}
