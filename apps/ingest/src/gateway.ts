/**
 * The gateway put together (docs/architecture.md draws it):
 *
 *   server ▸ route ▸ receive ──▶ admission ──▶ lane of its partition ──▶ Redis     (lanes.ts, lane.ts)
 *                                   └─ else ──▶ journal of its partition ──drain──▶ Redis, when that lane is back
 */
import type { Auditor } from '@weir/core/audit/auditor'
import type { Clock } from '@weir/core/clock'
import { dedupeWindows, keysOf } from '@weir/core/config/parts'
import type { Config } from '@weir/core/config/schema'
import {
  createDictionarySet,
  type Dictionary,
  type DictionarySet,
  type IsCurrent,
  usable,
} from '@weir/core/dictionaries'
import { Fault, isFault } from '@weir/core/faults'
import { createHealthReporter } from '@weir/core/health/reports'
import type { Encryption } from '@weir/core/keyring/configured'
import { NO_KEYRING } from '@weir/core/keyring/keyring'
import { createPacker } from '@weir/core/packing'
import type { RedisLink } from '@weir/core/redis/link'
import { checkSuitability } from '@weir/core/redis/suitability'
import { createLimiter } from '@weir/core/stream/limiter'
import { NO_TRACER, type Tracer } from '@weir/core/tracing/tracer'
import type { Logger } from 'pino'
import { createAdmissions } from './admission.ts'
import { createDispatch } from './dispatch.ts'
import { createDrain, type Drain } from './drain.ts'
import { createFloodGuard } from './flood-guard.ts'
import { gatewayHealth, spoolCheck } from './health.ts'
import { createJournals, type Journals, type JournalsOptions } from './journals.ts'
import { createLane, type Lane } from './lane.ts'
import { createPlannedLanes, createSingleLane, type LaneContext, type Lanes } from './lanes.ts'
import { createLimits } from './limits.ts'
import type { GatewayMetrics } from './metrics.ts'
import { createPages } from './pages.ts'
import { createAddressOf } from './peer.ts'
import { createReadiness } from './readiness.ts'
import { createReceiver } from './receive.ts'
import { createRefusalNotes } from './refusal-notes.ts'
import { createReplaySuspects } from './replay-suspects.ts'
import { type Owners, sharedOwners } from './report.ts'
import { createRequestTraces } from './request-trace.ts'
import type { Secrets } from './secrets.ts'
import { createSenders } from './sender.ts'
import { createHttpServer } from './server.ts'
import type { Spool } from './spool/spool.ts'

export interface GatewayDeps {
  readonly config: Config
  /** To partition 0. */
  readonly link: RedisLink
  /** Connects to another partition; needed on a Cluster. */
  readonly connect?: (partition: number) => RedisLink
  /** The journal of partition 0. Undefined when the spool is switched off and nothing is left in its directory. */
  readonly spool: Spool | undefined
  /** Those of the other partitions; needed on a Cluster with a spool. */
  readonly journals?: Pick<JournalsOptions, 'openOne' | 'left' | 'onJournals'>
  readonly owners: Owners
  readonly secrets: Secrets
  /** The keyring not yet started. Undefined without a master key. */
  readonly encryption?: Encryption | undefined
  /** Not yet started. */
  readonly auditor: Auditor
  /** Random bytes: what the audit trail hashes addresses with. */
  readonly auditKey: Uint8Array
  readonly dictionaries: DictionarySet
  /** Undefined = nothing is traced. */
  readonly tracer?: Tracer
  /** A name that no other gateway has or had. */
  readonly name: string
  readonly clock: Clock
  /** 0 to 1 */
  random(): number
  readonly metrics: GatewayMetrics
  readonly log: Logger
}

export interface Gateway {
  /** Whether its connections to Redis stand, those to all partitions. */
  readonly connected: boolean
  /**
   * Looks at keyring and Redis, then listens. Throws Fault KEY_MISSING when there are keys of tenants, but the master key is
   * another one (mistyped, perhaps); REDIS_UNSUITABLE for a server that must not be used. Without an answer from Redis it
   * starts degraded.
   */
  start(): Promise<{ readonly host: string; readonly port: number }>
  /**
   * Takes no more connections, answers the open requests, writes the last report, lets go of spool and Redis.
   * Harmless when repeated or never started.
   */
  stop(): Promise<void>
}

/** Refusals of a kind within this time are one entry of the audit trail, ms. */
const AUDIT_INTERVAL_MS = 1000
/** Kinds of them (tool, tenant, reason, network) that are told apart within it. */
const AUDIT_KINDS = 20
/** How long a start waits for Redis before it goes on without, ms. */
const FIRST_CONNECT_MS = 2000

export function createGateway(deps: GatewayDeps): Gateway {
  const { config, clock, metrics, log } = deps
  const { ingest, security, redis, compression, deduplication, ops } = config.webhook
  const spoolDirectory = deps.spool === undefined ? undefined : ingest.spool.directory
  const keyring = deps.encryption?.keyring
  const opener = keyring ?? NO_KEYRING
  const isCurrent: IsCurrent = (tenant, sealed) => keyring?.isCurrent(tenant, sealed) === true
  const several = redis.cluster_enabled
  const owners = sharedOwners(deps.owners, several ? redis.partitions : 1)

  const makeLane = (partition: number, context: LaneContext): Lane =>
    createLane({
      partition: { keys: keysOf(config, partition), link: linkTo(partition) },
      config,
      dictionaries: several ? laneDictionaries(deps.dictionaries, isCurrent) : deps.dictionaries,
      opener,
      spoolDirectory,
      gateway: deps.name,
      owners,
      spooled: () => spool?.open.get(partition)?.records ?? 0,
      witnessBytes: Math.floor(ingest.reoffer_bytes / context.lanes),
      firstSteps: context.firstSteps,
      admit: context.admit,
      onReady: wakeAll,
      clock,
      random: () => deps.random(),
      metrics,
      log,
    })
  function linkTo(partition: number): RedisLink {
    if (partition === 0) return deps.link
    if (deps.connect === undefined) throw new Error('this gateway was made for one partition')
    return deps.connect(partition)
  }

  const drains = new Map<number, Drain>()
  const spool =
    deps.spool &&
    createJournals({
      first: deps.spool,
      openOne: undefined,
      left: new Map(),
      ...deps.journals,
      onOpen(partition, journal) {
        const drain = drainOf(partition, journal)
        drains.set(partition, drain)
        drain.start()
      },
    })
  const lanes = several
    ? createPlannedLanes({
        make: makeLane,
        configured: redis.partitions,
        refreshMs: redis.partitions_refresh,
        closeAfterMs: evidenceMs(config),
        onPlan: wakeAll,
        clock,
        log,
      })
    : createSingleLane(makeLane)
  for (const [partition, journal] of spool?.open ?? []) drains.set(partition, drainOf(partition, journal))

  function wakeAll(): void {
    for (const drain of drains.values()) drain.wake()
  }
  function drainOf(partition: number, journal: Spool): Drain {
    return createDrain({
      lanes,
      spool: journal,
      partition,
      move: (to, record) => (spool as Journals).append(to, record).then(() => drains.get(to)?.wake()),
      ensureDictionary: ({ packers, link, keys }, id, tenant) => packers.ensure(link, keys, id, tenant),
      directory: ingest.spool.directory,
      window: dedupeWindows(config),
      batch: ingest.spool.drain_batch,
      intervalMs: ingest.spool.drain_interval,
      clock,
      metrics,
      log,
    })
  }

  const limiter = createLimiter({
    placeOf: lanes.limitPlace,
    now: () => clock.monotonic(),
    wait: clock.wait,
    onLease: (result) => metrics.count('webhook_rate_limit_leases_total', result),
    onError(error) {
      // That Redis is away or full is told by the pulse, and by what becomes of the events.
      if (isFault(error, 'REDIS_UNAVAILABLE') || isFault(error, 'REDIS_OUT_OF_MEMORY')) return
      metrics.count('webhook_faults_total', isFault(error) ? error.code : 'UNEXPECTED')
      log.error({ event: 'limits_failed', err: error }, 'rate limits could not be asked')
    },
  })
  const admissions = createAdmissions({
    lanes,
    limiter,
    spool,
    onSpooled: (partition) => drains.get(partition)?.wake(),
    budgetMs: ingest.admission_budget,
    maxInFlight: ingest.max_in_flight,
    clock,
    metrics,
    log,
  })
  const plain = createPacker(createDictionarySet(new Map()), compression.level)
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
  metrics.gauge('webhook_audit_waiting_entries', () => deps.auditor.counts.waiting)
  const refusals = createRefusalNotes(deps.auditor, {
    intervalMs: AUDIT_INTERVAL_MS,
    maxKinds: AUDIT_KINDS,
    clock,
    hashKey: deps.auditKey,
  })
  const receive = createReceiver({
    body: { maxBytes: security.max_payload_size, timeoutMs: ingest.body_timeout },
    maxJsonDepth: ingest.max_json_depth,
    limits: createLimits(security.enable_rate_limiting ? security.rate_limit_rpm : 0),
    floodGuard,
    floodBlockMs: flood.block,
    admissions,
    addressOf: createAddressOf(ingest.trusted_proxies),
    suspects: suspectsOf(security),
    refused: refusals.refused,
    traceOf: createRequestTraces(deps.tracer ?? NO_TRACER, config.observability.tracing.incoming),
    packerOf: (locator) => lanes.of(locator)?.packers.current ?? plain,
    sealing: security.encryption_enabled ? keyring : undefined,
    clock,
    metrics,
    log,
  })
  const takingSpool = ingest.spool.enabled ? spool : undefined
  const healthOptions = { lanes, spool, spooling: takingSpool !== undefined, now: () => clock.now() }
  const reporter = createHealthReporter({
    link: deps.link,
    key: keysOf(config, 0).health,
    name: deps.name,
    component: 'gateway',
    checks: () => ({ spool: spoolCheck(healthOptions) }),
    clock,
    onTrouble: (reason) => log.warn({ event: 'health_report', reason }, 'health cannot be reported'),
  })
  const pages = createPages({
    health: () => gatewayHealth(healthOptions),
    readiness: createReadiness({ lanes, spool: takingSpool, clock, stopping: () => server.stopping }),
    metrics,
    lanes,
    spool,
    gateway: deps.name,
    now: () => clock.now(),
    measures: config.observability.metrics.enabled,
    open: config.observability.metrics.open,
    token: ops.token,
  })
  const dispatch = createDispatch({
    senders: createSenders(config, deps.secrets),
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

  showGauges({ lanes, spool, taking: takingSpool !== undefined, clock, metrics })
  metrics.gauge('webhook_long_memory_horizon_seconds', () => deduplication.horizon / 1000)
  if (keyring !== undefined) {
    metrics.gauge('webhook_keyring_tenants', () => keyring.facts.tenants)
    metrics.gauge('webhook_keyring_age_seconds', () => (keyring.facts.ageMs ?? Number.NaN) / 1000)
  }

  let stop: Promise<void> | undefined

  async function end(): Promise<void> {
    await server.stop(ingest.lame_duck, ingest.shutdown_timeout)
    await deps.secrets.stop()
    refusals.stop()
    deps.auditor.note({ action: 'gateway.stop', target: deps.name, outcome: 'done' })
    await deps.auditor.close()
    await keyring?.stop()
    await Promise.all([reporter.stop(), ...[...drains.values()].map((drain) => drain.stop())])
    await lanes.stop()
    await spool?.close()
  }

  return {
    get connected() {
      return lanes.all.every(({ link }) => link.connected)
    },
    async start() {
      await keyring?.start()
      for (const [tenant, why] of keyring?.closed ?? [])
        throw new Fault('KEY_MISSING', `the keys of tenant ${tenant} are of no use here: ${why}`)
      const timeout = AbortSignal.timeout(FIRST_CONNECT_MS)
      try {
        await deps.link.ready(timeout)
        await checkSuitability(deps.link, config.production)
        for (const warning of (await deps.encryption?.vet(deps.link)) ?? [])
          log.warn({ event: 'keyring' }, warning)
      } catch (error) {
        if (!isFault(error, 'REDIS_UNAVAILABLE')) throw error
        log.warn({ event: 'redis', reason: error.message }, 'Redis does not answer; starting without it')
      }
      // Listening a moment earlier would send the first events through the spool.
      await lanes.ready(timeout)
      for (const drain of drains.values()) drain.start()
      lanes.start()
      reporter.start()
      deps.secrets.start()
      deps.auditor.start()
      deps.auditor.note({ action: 'gateway.start', target: deps.name, outcome: 'done' })
      return server.listen()
    },
    stop: () => (stop ??= end()),
  }
}

function suspectsOf({ replay_suspects: what, replay_memory: capacity }: Config['webhook']['security']) {
  if (what === 'off') return undefined
  const { isSuspect } = createReplaySuspects(capacity)
  return { isSuspect, refuse: what === 'refuse' }
}

/** How long evidence may count after the last event of an epoch came to rest, ms: see plan-keeper.ts. */
function evidenceMs({ webhook: { consumer, deduplication } }: Config): number {
  const windows = Object.values(deduplication.window_configs).map(({ duration }) => duration)
  const longestDelay = Math.max(
    consumer.retry_max_delay,
    consumer.breaker.open_duration,
    consumer.handler_timeout * 2,
  )
  return Math.max(...windows) + longestDelay
}

/** Learned dictionaries are noted by partition: what one of them knows, another may not have yet. */
function laneDictionaries(base: DictionarySet, isCurrent: IsCurrent): DictionarySet {
  let learned: ReadonlyMap<string, Dictionary> = new Map()
  return {
    ...base,
    forEvent: (tenant, tool) => usable(learned, tenant, tool, isCurrent) ?? base.forEvent(tenant, tool),
    learn(next) {
      learned = next
      for (const dictionary of next.values()) base.add(dictionary)
    },
  }
}

interface Shown {
  readonly lanes: Lanes
  readonly spool: Journals | undefined
  readonly taking: boolean
  readonly clock: Clock
  readonly metrics: GatewayMetrics
}

function showGauges({ lanes, spool, taking, clock, metrics }: Shown): void {
  const { all } = lanes
  const sum = (pick: (lane: Lane) => number) => all.reduce((total, lane) => total + pick(lane), 0)
  metrics.gauge('webhook_rate_limit_redis_connected', () => (all.every(({ pulse }) => pulse.up) ? 1 : 0))
  metrics.gauge('webhook_partitions', () => lanes.plan?.partitions ?? 0)
  metrics.gauge('webhook_partitions_away', () => sum(({ pulse }) => (pulse.up ? 0 : 1)))
  metrics.gauge('webhook_long_memory_filters', () => sum(({ recall }) => recall.filters.filters))
  metrics.gauge('webhook_long_memory_bytes', () => sum(({ recall }) => recall.filters.bytes))
  metrics.gauge('webhook_long_memory_ids', () => sum(({ recall }) => recall.filters.ids))
  metrics.gauge('webhook_long_memory_fill_ratio', () =>
    Math.max(...all.map(({ recall }) => recall.filters.fill)),
  )
  // Without a spool there is no "would not take it": an alert on 0 is not for those who switched it off.
  metrics.gauge('webhook_spool_accepting', () => (taking ? (spool?.accepting ? 1 : 0) : Number.NaN))
  if (spool === undefined) return
  metrics.gauge('webhook_spool_records', () => spool.records)
  metrics.gauge('webhook_spool_bytes', () => spool.bytes)
  metrics.gauge('webhook_spool_oldest_age_seconds', () =>
    spool.oldestAt === undefined ? 0 : Math.max(0, clock.now() - spool.oldestAt) / 1000,
  )
}
