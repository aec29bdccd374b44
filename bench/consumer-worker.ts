/**
 * One consumer under test in a process of its own: `bare`, `weir` and its variants, `bullmq`, or `naive`. Drains what is in Redis,
 * then prints one line of JSON: events, wall and CPU seconds from the first event to the last.
 */
import { ADAPTERS } from '@weir/core/adapters/table'
import { systemClock } from '@weir/core/clock'
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import { defineHandler, type Handler } from '@weir/core/handlers/handler'
import { partitionKeys } from '@weir/core/keys'
import { connectRedis } from '@weir/core/redis/link'
import { Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { createConsumer } from '../apps/consumer/src/consumer.ts'
import { createConsumerMetrics } from '../apps/consumer/src/metrics.ts'
import { createWorkers } from '../apps/consumer/src/workers.ts'
import { benchContexts } from './contexts-place.ts'
import { payloadOf, QUEUE } from './naive-queue.ts'

const [kind, url, expected] = process.argv.slice(2) as [string, string, string]
const count = Number(expected)
const names = {
  stream: 'webhook-events',
  deadLetters: 'webhook-events-dlq',
  group: 'webhook-processors',
  cluster: false,
}
const keys = partitionKeys(names)

let started = 0
let cpu = process.cpuUsage()
const begin = () => {
  started = performance.now()
  cpu = process.cpuUsage()
}
const finish = () => {
  const wall = (performance.now() - started) / 1000
  const used = process.cpuUsage(cpu)
  console.log(JSON.stringify({ events: count, wall, cpu: (used.user + used.system) / 1e6 }))
}

/** What nobody can be cheaper than: read, parse, acknowledge in batches; no retry, no ledger, no memory. */
async function bare(): Promise<void> {
  const redis = new Redis(url, { protocol: 2 })
  await redis.call('XGROUP', 'CREATE', 'bare', 'g', '0', 'MKSTREAM').catch(() => 'exists')
  begin()
  for (let done = 0; done < count; ) {
    const reply = (await redis.call(
      'XREADGROUP',
      'GROUP',
      'g',
      'c',
      'COUNT',
      '100',
      'STREAMS',
      'bare',
      '>',
    )) as [string, [string, string[]][]][] | null
    const entries = reply?.[0]?.[1] ?? []
    for (const [, fields] of entries) JSON.parse(fields[fields.indexOf('body') + 1]!)
    await redis.call('XACK', 'bare', 'g', ...entries.map(([id]) => id))
    done += entries.length
  }
  finish()
  redis.disconnect()
}

/**
 * @param run what the handler does with each event
 * @param remembers whether events come into their contexts first
 */
async function weir(run: Handler['run'], remembers: 'remembers' | 'forgets' = 'forgets'): Promise<void> {
  const settings = {
    url,
    commandTimeoutMs: 5000,
    connectTimeoutMs: 5000,
    reconnectMaxDelayMs: 500,
    name: 'bench',
  }
  const link = connectRedis(settings)
  const blocking = connectRedis(settings, { blocking: true })
  await Promise.all([link.ready(), blocking.ready()])
  const metrics = createConsumerMetrics()
  const { contexts } = benchContexts(link)
  const consumer = createConsumer({
    name: 'bench',
    link,
    blocking,
    keys,
    settings: {
      batchSize: 100,
      blockTimeoutMs: 1000,
      prefetchCount: 1000,
      maxRetries: 3,
      handlerTimeoutMs: 30_000,
      backoff: { baseMs: 1000, maxMs: 300_000 },
      reclaimIdleMs: 60_000,
      reclaimIntervalMs: 5000,
      quarantineAfter: 5,
      breaker: { failureThreshold: 5, openDurationMs: 60_000 },
      heartbeatIntervalMs: 2000,
      deadConsumerAfterMs: 300_000,
      shutdownTimeoutMs: 5000,
      keepSettledMs: 900_000,
      trimIntervalMs: 1000,
      commandTimeoutMs: 5000,
      maxBodyBytes: 1 << 26,
      maxAppends: 100,
    },
    workers: createWorkers(100),
    adapters: ADAPTERS,
    handlers: [defineHandler({ name: 'bench', tool: 'github', events: ['*'], run })],
    dictionaries: createDictionarySet(loadBundledDictionaries()),
    memory: { keys, horizonMs: 259_200_000, bloomBits: 10_000_000, bloomHashes: 4, settledShards: 4096 },
    window: () => ({ duration: 300_000, maxSize: 1 }),
    evidenceShards: 2048,
    clock: systemClock,
    random: Math.random,
    redact: (text) => text,
    settledElsewhere: async () => false,
    remember: remembers === 'remembers' ? contexts.append : undefined,
    log: pino({ level: 'warn' }),
    metrics,
  })
  const settled = () => metrics.settled.values().reduce((sum, { value }) => sum + value, 0)
  begin()
  consumer.start()
  while (settled() < count) await systemClock.wait(5)
  finish()
  await consumer.stop()
  await Promise.all([link.close(), blocking.close()])
}

/** As its documentation has it: the data is an object, which BullMQ itself parses before the processor is called. */
async function bullmq(): Promise<void> {
  const connection = new Redis(url, { maxRetriesPerRequest: null })
  let done = 0
  const worker = new Worker('webhooks', async () => undefined, {
    connection,
    concurrency: 100,
    autorun: false,
    removeOnComplete: { count: 0 },
  })
  await worker.waitUntilReady()
  const finished = new Promise<void>((resolve) => {
    worker.on('completed', () => {
      if (++done === count) resolve()
    })
  })
  begin()
  void worker.run()
  await finished
  finish()
  await worker.close()
  connection.disconnect()
}

/** As people write it first: one item at a time, gone from Redis before it is worked on, so that a crash loses it. */
async function naive(): Promise<void> {
  const redis = new Redis(url)
  await redis.ping()
  begin()
  for (let done = 0; done < count; done++) {
    const popped = await redis.brpop(QUEUE, 0)
    payloadOf(popped![1])
  }
  finish()
  redis.disconnect()
}

let read = 0
const kinds: Record<string, () => Promise<void>> = {
  bare,
  weir: () => weir(() => undefined),
  'weir-reads': () =>
    weir((event) => {
      if (event.payload !== null) read++
    }),
  'weir-async': () =>
    weir(async (event) => {
      if (event.payload !== null) read++
    }),
  'weir-remembers': () =>
    weir((event) => {
      if (event.payload !== null) read++
    }, 'remembers'),
  bullmq,
  naive,
}
await kinds[kind]?.()
if (kind.startsWith('weir-') && read !== count) throw new Error(`${read} payloads were read, not ${count}`)
process.exit(0)
