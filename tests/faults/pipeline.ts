/**
 * The whole pipeline in processes of its own (Redis with every write fsynced, gateways, consumers), a sender that keeps
 * its own record of what was answered, and a handler that keeps its own record of what it did. At the end the two
 * records are compared; the pipeline's own word is only asked for the ledger.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { configuredContexts } from '@weir/context-lifecycle/configured'
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { configuredKeyring } from '@weir/core/keyring/configured'
import { connectPartition, connectPartitions, type Partition } from '@weir/core/partition'
import { type DeadLetter, listDeadLetters } from '@weir/core/stream/dead-letters'
import { type Ledger, type LedgerReading, readLedger, sumLedgers } from '@weir/core/stream/ledger'
import { readPlan } from '@weir/core/stream/plans'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import { expect } from 'vitest'
import { freePort } from '../../scripts/free-port.ts'
import { type RedisServer, startRedis } from '../../scripts/private-redis.ts'
import { SECRET, sendGithub } from '../support/gateway.ts'
import { root, type TestProcess } from '../support/process.ts'
import type { TestProcesses } from '../support/use-processes.ts'
import type { Order } from './handlers/record.ts'

/** What each of the sender's workers pauses between two events, ms: the load is to last, not to be a benchmark. */
const PACE_MS = 10
/** How long everything may take to come to rest at the end, ms. */
const REST_TIMEOUT_MS = 60_000

/** Times in which everything notices, gives up and comes back soon enough for a test. */
const CONFIG = `
webhook:
  redis:
    command_timeout: 500ms
    connect_timeout: 500ms
    reconnect_max_delay: 100ms
  ingest:
    host: 127.0.0.1
    admission_budget: 400ms
    shutdown_timeout: 3s
  consumer:
    num_workers: 8
    block_timeout: 200ms
    handler_timeout: 800ms
    retry_base_delay: 20ms
    retry_max_delay: 200ms
    reclaim_idle: 1s
    reclaim_interval: 100ms
    heartbeat_interval: 200ms
    dead_consumer_after: 3s
    shutdown_timeout: 3s
    ops_port: 0
    breaker:
      failure_threshold: 100000
  stream:
    trim_interval: 100ms
    keep_settled: 1s
  security:
    enable_rate_limiting: false
observability:
  logging:
    level: info
`

export interface FaultPipeline {
  readonly sender: Sender
  /** The gateway that runs now. */
  gateway(): TestProcess
  /** The consumers that run now. */
  consumers(): readonly TestProcess[]
  /** Starts a gateway on the same port and spool, and waits until it is ready. */
  startGateway(): Promise<void>
  startConsumer(): TestProcess
  ledger(): Promise<Ledger>
  readonly port: number
  /** Every partition, with a link of the test's own. */
  partitions(): Promise<readonly Partition[]>
  /** Of each partition. */
  readings(): Promise<LedgerReading[]>
  letters(): Promise<DeadLetter[]>
  /** Runs of the handler: event id → how many. */
  runs(): ReadonlyMap<string, number>
  /** Has this event had its effect? */
  hasEffect(id: string): boolean
  /** Effects: event id → hash of the body that it saw. */
  effects(): ReadonlyMap<string, string>
  /**
   * Waits until nothing moves any more, then compares the records: every 202 has its one effect with the bytes that
   * were sent, every effect was sent, the ledger balances, Redis has lost nothing.
   * @param dead event ids that are to be dead letters instead
   */
  expectNothingLost(dead?: readonly string[]): Promise<void>
}

/** Runs `test` with a Redis of its own, a gateway and this many consumers. */
export async function withPipeline(
  processes: TestProcesses,
  consumers: number,
  test: (pipeline: FaultPipeline & { readonly redis: RedisServer }) => Promise<void>,
): Promise<void> {
  const redis = await startRedis()
  try {
    await withPipelineOn(processes, { REDIS_URL: redis.url }, consumers, (pipeline) =>
      test({ ...pipeline, redis }),
    )
  } finally {
    await redis.stop()
  }
}

/**
 * The same on whatever Redis there is.
 * @param redisEnv the variables that tell the apps how to reach it
 */
export async function withPipelineOn(
  processes: TestProcesses,
  redisEnv: Readonly<Record<string, string>>,
  consumers: number,
  test: (pipeline: FaultPipeline) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'weir-faults-'))
  const records = join(directory, 'records')
  mkdirSync(join(records, 'effects'), { recursive: true })
  const configFile = join(directory, 'config.yaml')
  const handlers = join(root, 'tests/faults/handlers')
  writeFileSync(configFile, CONFIG.replace('consumer:\n', `consumer:\n    handlers: ${handlers}\n`))
  const port = await freePort()
  const env = {
    ...redisEnv,
    CONFIG_FILE: configFile,
    WEIR_DATA_DIR: join(directory, 'data'),
    GITHUB_WEBHOOK_SECRET: SECRET,
    RECORD_DIRECTORY: records,
    PORT: String(port),
    OPS_TOKEN: 'a-token-for-tests',
    CONTEXTS_ENABLED: 'true',
  }
  const { config } = await loadConfig({ env })
  const partitions = connectPartitions(config, 'test')
  const [home] = partitions as [Partition]
  /** The plan may have grown. */
  const grow = async () => {
    const plan = config.webhook.redis.cluster_enabled ? await readPlan(home) : undefined
    while (partitions.length < (plan?.highest ?? 0)) {
      const partition = connectPartition(config, partitions.length, 'test')
      partitions.push(partition)
      await partition.link.ready()
    }
  }
  const ofAll = async <T>(ask: (partition: Partition) => Promise<T>) => {
    await grow()
    return Promise.all(partitions.map(ask))
  }
  const sender = createSender(port)
  let gateway: TestProcess | undefined
  const running: TestProcess[] = []
  const spooled = async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/stats`, {
      headers: { authorization: `Bearer ${env.OPS_TOKEN}` },
    })
    return ((await answer.json()) as { spool: { records: number } }).spool.records
  }
  /** Events in contexts: each is in one, once. */
  const remembered = async () => {
    const keyring = configuredKeyring(config, {
      cipherOf: createTenantCipher,
      name: 'test',
      clock: systemClock,
      tell: () => undefined,
      onError: () => undefined,
    })?.keyring
    const { contexts, places, close } = configuredContexts(config, {
      home: home.link,
      keyring,
      name: 'test',
      keyOf: () => undefined,
      clock: systemClock,
    })
    try {
      await Promise.all(places.map(({ link }) => link.ready(AbortSignal.timeout(REST_TIMEOUT_MS))))
      const all = await contexts.list({ limit: 1_000 })
      return all.reduce((sum, { events }) => sum + events, 0)
    } finally {
      await close()
      await keyring?.stop()
    }
  }
  const pipeline: FaultPipeline = {
    sender,
    port,
    partitions: () => grow().then(() => partitions),
    gateway() {
      if (gateway === undefined) throw new Error('no gateway runs')
      return gateway
    },
    consumers: () => running,
    async startGateway() {
      gateway = processes.start('apps/ingest/src/main.ts', { env })
      await gateway.waitForHttp(`http://127.0.0.1:${port}/health`)
    },
    startConsumer() {
      const consumer = processes.start('apps/consumer/src/main.ts', { env })
      running.push(consumer)
      void consumer.exit.then(() => running.splice(running.indexOf(consumer), 1))
      return consumer
    },
    readings: () => ofAll(({ link, keys }) => readLedger(link, keys)),
    letters: async () =>
      (await ofAll(({ link, keys }) => listDeadLetters(link, keys, { count: 1000 }))).flat(),
    ledger: async () => sumLedgers((await pipeline.readings()).map(({ ledger }) => ledger)),
    runs() {
      const counts = new Map<string, number>()
      for (const line of readFileSync(join(records, 'runs.log'), 'utf8').split('\n')) {
        const [id] = line.split(' ')
        if (id) counts.set(id, (counts.get(id) ?? 0) + 1)
      }
      return counts
    },
    hasEffect: (id) => existsSync(join(records, 'effects', `${id}:record`)),
    effects() {
      const found = new Map<string, string>()
      for (const name of readdirSync(join(records, 'effects'))) {
        const [id, handler] = name.split(':')
        // A kill may leave a draft behind, never an effect.
        if (handler === 'record') found.set(id ?? '', readFileSync(join(records, 'effects', name), 'utf8'))
      }
      return found
    },
    async expectNothingLost(dead = []) {
      // The ledger has what the gateway last reported of its spool; this is what it has now.
      await expect.poll(() => quietly(spooled), { timeout: REST_TIMEOUT_MS }).toBe(0)
      const rest = { unread: 0, pending: 0, parked: 0, spooled: 0, unaccounted: 0, dead: dead.length }
      await expect.poll(() => quietly(pipeline.ledger), { timeout: REST_TIMEOUT_MS }).toMatchObject(rest)
      for (const { lost } of await pipeline.readings()) expect(lost).toBe(false)
      const effects = pipeline.effects()
      // Not what was settled: when Redis' clock jumps, an event may be settled under two entries; it is in its context once.
      await expect
        .poll(() => quietly(remembered), { timeout: REST_TIMEOUT_MS })
        .toBe(effects.size + dead.length)
      const missing = [...sender.accepted].filter(([id]) => !effects.has(id) && !dead.includes(id))
      expect(missing, 'accepted, without effect').toEqual([])
      const changed = [...effects].filter(([id, hash]) => (sender.accepted.get(id) ?? hash) !== hash)
      expect(changed, 'processed with other bytes').toEqual([])
      const strange = [...effects.values()].filter((hash) => !sender.hashes.has(hash))
      expect(strange, 'processed, but never sent').toEqual([])
      // What was answered with an error, or not at all, may have been accepted as well.
      expect(effects.size).toBeLessThanOrEqual(sender.accepted.size + sender.unanswered)
    },
  }
  try {
    await Promise.all(partitions.map(({ link }) => link.ready()))
    await pipeline.startGateway()
    for (let n = 0; n < consumers; n++) await pipeline.startConsumer().waitForLine(/"msg":"listening"/)
    await test(pipeline)
  } finally {
    await sender.stop()
    await Promise.all([...running, ...(gateway ? [gateway] : [])].map((each) => each.kill('SIGKILL')))
    await Promise.all(partitions.map(({ link }) => link.close()))
    rmSync(directory, { recursive: true, force: true })
  }
}

/** What a poll that may fail (Redis away) has to say. */
async function quietly<T>(ask: () => Promise<T>): Promise<T | string> {
  try {
    return await ask()
  } catch (error) {
    return String(error)
  }
}

export interface Sender {
  /** Event id → SHA-256 of the body, for everything that was answered 202. */
  readonly accepted: ReadonlyMap<string, string>
  /** Of everything that was sent. */
  readonly hashes: ReadonlySet<string>
  /** Requests that got no answer, or another one than 202. */
  readonly unanswered: number
  /** Status → how often. */
  readonly statuses: ReadonlyMap<number, number>
  /** Sends one event; resolves with its id when it was accepted. */
  send(order?: Omit<Order, 'n'>): Promise<string | undefined>
  /** Sends from now on, this many at a time, each event once: as GitHub does. */
  start(concurrency: number): void
  /** Waits until so many more have been accepted. */
  untilAccepted(more: number): Promise<void>
  stop(): Promise<void>
}

function createSender(port: number): Sender {
  const accepted = new Map<string, string>()
  const hashes = new Set<string>()
  const statuses = new Map<number, number>()
  const agent = new Agent({ keepAlive: true })
  let unanswered = 0
  let sent = 0
  let stopped = false
  const workers: Promise<void>[] = []
  const send = async (order: Omit<Order, 'n'> = {}): Promise<string | undefined> => {
    const n = ++sent
    const body = Buffer.from(JSON.stringify({ action: 'opened', n, padding: 'ü'.repeat(n % 997), ...order }))
    const hash = createHash('sha256').update(body).digest('hex')
    hashes.add(hash)
    try {
      const answer = await sendGithub(port, `delivery-${n}`, body)
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      if (answer.status === 202) {
        const id = String(answer.json.event_id)
        accepted.set(id, hash)
        return id
      }
    } catch {
      // Refused or cut off: the gateway is away. Nobody knows what became of the event.
    }
    unanswered++
    return undefined
  }
  return {
    accepted,
    hashes,
    statuses,
    get unanswered() {
      return unanswered
    },
    send,
    start(concurrency) {
      for (let worker = 0; worker < concurrency; worker++) {
        workers.push(
          (async () => {
            // Every seventh fails once before it succeeds.
            while (!stopped) {
              await send(sent % 7 === 0 ? { failures: 1 } : {})
              await pause(PACE_MS)
            }
          })(),
        )
      }
    },
    async untilAccepted(more) {
      const goal = accepted.size + more
      await expect
        .poll(() => accepted.size, { timeout: REST_TIMEOUT_MS, interval: 20 })
        .toBeGreaterThanOrEqual(goal)
    },
    async stop() {
      stopped = true
      await Promise.all(workers)
      agent.destroy()
    },
  }
}
