/**
 * The gateway put together (docs/architecture.md draws it):
 *
 *   server ▸ route ▸ receive ──▶ admission ──▶ Redis            pulse: whether Redis takes events
 *                                   └─ else ──▶ spool ──drain──▶ Redis, when the pulse is back
 *
 * and, after every connect: the group, the dictionaries, the witness and the long memory.
 */
import type { Clock } from '@weir/core/clock'
import { dedupeWindows, keysOf, longMemory } from '@weir/core/config/parts'
import type { Config } from '@weir/core/config/schema'
import type { DictionarySet } from '@weir/core/dictionaries'
import { isFault, messageOf } from '@weir/core/faults'
import type { RedisLink } from '@weir/core/redis/link'
import { createAdmitter } from '@weir/core/stream/admit'
import { ensureGroup } from '@weir/core/stream/group'
import { createLimiter } from '@weir/core/stream/limiter'
import type { Logger } from 'pino'
import { createAdmissions } from './admission.ts'
import { runSteps } from './after-connect.ts'
import { createDispatch } from './dispatch.ts'
import { createDrain } from './drain.ts'
import { createDurability } from './durability.ts'
import { createFloodGuard } from './flood-guard.ts'
import { createLimits } from './limits.ts'
import type { GatewayMetrics } from './metrics.ts'
import { createPackers } from './packers.ts'
import { createPages } from './pages.ts'
import { createPulse } from './pulse.ts'
import { createReadiness } from './readiness.ts'
import { createRecall } from './recall.ts'
import { createReceiver } from './receive.ts'
import { createReoffer } from './reoffer.ts'
import { createReporter, type Owners } from './report.ts'
import { createSenders } from './sender.ts'
import { createHttpServer } from './server.ts'
import type { Spool } from './spool/spool.ts'
import { checkSuitability } from './suitability.ts'
import { createWitness } from './witness.ts'

export interface GatewayDeps {
  readonly config: Config
  readonly link: RedisLink
  /** Undefined when the spool is switched off and nothing is left in its directory. */
  readonly spool: Spool | undefined
  readonly owners: Owners
  readonly dictionaries: DictionarySet
  /** A name that no other gateway has or had. */
  readonly name: string
  readonly clock: Clock
  /** 0 to 1 */
  random(): number
  readonly metrics: GatewayMetrics
  readonly log: Logger
}

export interface Gateway {
  /**
   * Looks at Redis, then listens. Throws Fault REDIS_UNSUITABLE for a server that must not be used; without an answer
   * from Redis it starts degraded.
   */
  start(): Promise<{ readonly host: string; readonly port: number }>
  /**
   * Takes no more connections, answers the open requests, writes the last report, lets go of spool and Redis.
   * Harmless when repeated or never started.
   */
  stop(): Promise<void>
}

/** How long a start waits for Redis before it goes on without, ms. */
const FIRST_CONNECT_MS = 2000

export function createGateway(deps: GatewayDeps): Gateway {
  const { config, link, spool, clock, metrics, log } = deps
  const { ingest, security, deduplication, ops } = config.webhook
  const keys = keysOf(config)
  const window = dedupeWindows(config)

  const witness = createWitness({
    windowMs: ingest.reoffer_window,
    maxBytes: ingest.reoffer_bytes,
    now: () => clock.monotonic(),
  })
  const { compression } = config.webhook
  const packers = createPackers({
    dictionaries: deps.dictionaries,
    level: compression.level,
    maxLearned: compression.learned_dictionaries,
    spoolDirectory: spool === undefined ? undefined : ingest.spool.directory,
  })
  // Before the pulse, so that its listeners come first: the numbering and the distrust must precede any event.
  let connection = witness.nextConnection()
  const removeListeners = [
    link.onConnect(() => {
      connection = witness.nextConnection()
    }),
    link.onDisconnect(() => packers.distrust()),
  ]
  const reporter = createReporter({
    link,
    keys,
    gateway: deps.name,
    owners: deps.owners,
    spool,
    witness,
    up: () => pulse.up,
    clock,
    log,
  })
  const durability = createDurability({ config, link, keys, clock, metrics, log })
  const pulse = createPulse({ link, vet, probe: durability.probe(reporter.report), clock, log })
  const admitter = durability.admitter(
    createAdmitter({
      keys,
      window,
      evidenceShards: deduplication.evidence_shards,
      now: () => clock.now(),
    }),
  )
  const recall = durability.recall(
    createRecall({
      link,
      memory: longMemory(config, keys),
      redisNow: () => admitter.redisNow(),
      refreshMs: deduplication.refresh_interval,
      up: () => pulse.up,
      clock,
      random: () => deps.random(),
      metrics,
      log,
    }),
  )
  const reoffer = createReoffer({ link, keys, admitter, witness, metrics, log })
  const drain =
    spool === undefined
      ? undefined
      : createDrain({
          link,
          pulse,
          admitter,
          recall,
          witness,
          spool,
          ensureDictionary: (id) => packers.ensure(link, keys, id),
          directory: ingest.spool.directory,
          window,
          batch: ingest.spool.drain_batch,
          intervalMs: ingest.spool.drain_interval,
          clock,
          metrics,
          log,
        })
  const limiter = createLimiter({
    placeOf: () => ({ link, keys }),
    now: () => clock.monotonic(),
    onLease: (result) => metrics.count('webhook_rate_limit_leases_total', result),
    onError(error) {
      // That Redis is away or full is told by the pulse, and by what becomes of the events.
      if (isFault(error, 'REDIS_UNAVAILABLE') || isFault(error, 'REDIS_OUT_OF_MEMORY')) return
      metrics.count('webhook_faults_total', isFault(error) ? error.code : 'UNEXPECTED')
      log.error({ event: 'limits_failed', err: error }, 'rate limits could not be asked')
    },
  })
  const admissions = createAdmissions({
    link,
    keys,
    pulse,
    limiter,
    admitter,
    recall,
    witness,
    spool,
    onSpooled: () => drain?.wake(),
    budgetMs: ingest.admission_budget,
    maxInFlight: ingest.max_in_flight,
    clock,
    metrics,
    log,
  })
  const { flood_guard: flood } = ingest
  const floodGuard = createFloodGuard({
    failures: flood.failures,
    periodMs: flood.period,
    blockMs: flood.block,
    verifications: flood.verifications,
    knownVerifications: flood.known_verifications,
    now: () => clock.monotonic(),
    tell: ({ state, ...rest }) =>
      log.warn({ event: 'flood', state, ...rest }, 'a flood of badly signed requests'),
  })
  metrics.gauge('webhook_flood_addresses', () => floodGuard.guarded)
  const receive = createReceiver({
    body: { maxBytes: security.max_payload_size, timeoutMs: ingest.body_timeout },
    maxJsonDepth: ingest.max_json_depth,
    limits: createLimits(security.enable_rate_limiting ? security.rate_limit_rpm : 0),
    floodGuard,
    floodBlockMs: flood.block,
    admissions,
    packers,
    clock,
    metrics,
    log,
  })
  const takingSpool = ingest.spool.enabled ? spool : undefined
  const pages = createPages({
    readiness: createReadiness({ pulse, spool: takingSpool, clock, stopping: () => server.stopping }),
    metrics,
    pulse,
    link,
    keys,
    spool,
    witness,
    gateway: deps.name,
    now: () => clock.now(),
    measures: config.observability.metrics.enabled,
    open: config.observability.metrics.open,
    token: ops.token,
  })
  const dispatch = createDispatch({
    senders: createSenders(config),
    receive,
    pages,
    genericHeader: security.signature_header,
    metrics,
  })
  const server = createHttpServer({
    host: ingest.host,
    port: ingest.port,
    headersTimeoutMs: ingest.headers_timeout,
    bodyTimeoutMs: ingest.body_timeout,
    maxConnections: ingest.max_connections,
    dispatch,
    clock,
    metrics,
    log,
  })

  pulse.onUp((fresh) => {
    if (fresh) stepsDone = afterConnect()
    else drain?.wake()
  })
  metrics.gauge('webhook_rate_limit_redis_connected', () => (pulse.up ? 1 : 0))
  if (spool !== undefined) {
    metrics.gauge('webhook_spool_records', () => spool.records)
    metrics.gauge('webhook_spool_bytes', () => spool.bytes)
    metrics.gauge('webhook_spool_accepting', () => (takingSpool?.accepting ? 1 : 0))
    metrics.gauge('webhook_spool_oldest_age_seconds', () =>
      spool.oldestAt === undefined ? 0 : Math.max(0, clock.now() - spool.oldestAt) / 1000,
    )
  }

  async function vet(): Promise<void> {
    const { version, warning } = await checkSuitability(link, config.production)
    if (warning !== undefined) log.warn({ event: 'redis', version }, warning)
    await durability.vet()
  }

  /** The steps of the last connection; a new one makes them all due again. */
  let steps = new AbortController()
  let stepsDone: Promise<void> = Promise.resolve()

  async function afterConnect(): Promise<void> {
    steps.abort()
    steps = new AbortController()
    const mine = connection
    // One after the other: those of a lost connection fail at once.
    await stepsDone
    await runSteps(
      [
        { name: 'group', run: () => ensureGroup(link, keys) },
        { name: 'dictionaries', run: () => packers.publish(link, keys) },
        { name: 'witness', run: () => reoffer(mine) },
        { name: 'long memory', run: () => recall.refresh() },
      ],
      steps.signal,
      { pulse, clock, metrics, log },
    )
    drain?.wake()
  }

  const stopped = new AbortController()
  let learning: Promise<void> = Promise.resolve()

  /** Looks for dictionaries that were learned meanwhile. */
  async function keepLearning(): Promise<void> {
    while (!stopped.signal.aborted) {
      await clock.wait(compression.refresh_interval, stopped.signal)
      if (stopped.signal.aborted || !pulse.up) continue
      await packers.refresh(link, keys).catch((error: unknown) => {
        if (isFault(error, 'REDIS_UNAVAILABLE')) pulse.suspect()
        log.warn(
          { event: 'dictionaries', reason: messageOf(error) },
          'learned dictionaries could not be looked for',
        )
      })
    }
  }

  let stop: Promise<void> | undefined

  async function end(): Promise<void> {
    await server.stop(ingest.shutdown_timeout)
    steps.abort()
    await stepsDone
    await drain?.stop()
    recall.stop()
    stopped.abort()
    await learning
    await reporter.stop()
    pulse.stop()
    for (const remove of removeListeners) remove()
    await spool?.close()
    await link.close()
  }

  return {
    async start() {
      const timeout = AbortSignal.timeout(FIRST_CONNECT_MS)
      try {
        await link.ready(timeout)
        await checkSuitability(link, config.production)
        // Listening a moment earlier would send the first events through the spool.
        await pulse.whenUp(FIRST_CONNECT_MS)
      } catch (error) {
        if (!isFault(error, 'REDIS_UNAVAILABLE')) throw error
        log.warn({ event: 'redis', reason: error.message }, 'Redis does not answer; starting without it')
      }
      drain?.start()
      recall.start()
      learning = keepLearning()
      reporter.start()
      return server.listen()
    },
    stop: () => (stop ??= end()),
  }
}
