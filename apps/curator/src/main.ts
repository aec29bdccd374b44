/** The curator process: reads configuration and environment, wires, runs until SIGINT or SIGTERM. */
import { hostname } from 'node:os'
import { configuredEnrichment } from '@weir/ai/configured'
import { createAiHealth } from '@weir/ai/health'
import { createAiMetrics } from '@weir/ai/metrics'
import { createColdHealth } from '@weir/context-lifecycle/cold/health'
import { createColdMetrics } from '@weir/context-lifecycle/cold/metrics'
import { configuredContexts } from '@weir/context-lifecycle/configured'
import { configuredPrewarmer } from '@weir/context-lifecycle/prewarm/configured'
import { createCardMaker } from '@weir/context-lifecycle/search/make-card'
import { createSweep } from '@weir/context-lifecycle/tiers/sweep'
import { systemClock } from '@weir/core/clock'
import { secretsIn } from '@weir/core/config/describe'
import { loadConfig } from '@weir/core/config/load'
import { certificateFiles, keysOf, redisSettings } from '@weir/core/config/parts'
import { healthDocument } from '@weir/core/health/document'
import { createHealthReporter } from '@weir/core/health/reports'
import { createSighting } from '@weir/core/health/sighting'
import { configuredKeyring, keyringLog } from '@weir/core/keyring/configured'
import { NO_KEYRING } from '@weir/core/keyring/keyring'
import { configuredPusher } from '@weir/core/metrics/configured'
import { createProcessMetrics } from '@weir/core/metrics/process-metrics'
import type { Pusher } from '@weir/core/metrics/pusher'
import { type OpsServer, startOpsServer } from '@weir/core/ops-server'
import { lowerPriority } from '@weir/core/priority'
import { connectQueue, connectRedis } from '@weir/core/redis/link'
import { createErrorTeller } from '@weir/core/redis/tell'
import { runProcess, type StopAtSignal } from '@weir/core/run-process'
import { configuredTracing } from '@weir/core/tracing/configured'
import { sealedWith } from '@weir/security/envelope'
import { createRedactor } from '@weir/security/redact'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import { pino } from 'pino'
import { createCurator } from './curator.ts'
import { enricherOf } from './enricher.ts'
import { createEnrichmentJobs, ENRICHMENT_QUEUE } from './enrichment-jobs.ts'
import { createEnrichmentTraces } from './enrichment-trace.ts'
import { createCuratorMetrics } from './metrics.ts'

/** Pause between two looks for contexts to enrich, ms. */
const PUMP_INTERVAL_MS = 1_000
/** Below the processes that events wait for, where they share a machine: nobody waits for a sweep. */
const PRIORITY = 10

async function main(stopAtSignal: StopAtSignal): Promise<void> {
  lowerPriority(PRIORITY)
  const { config, notices } = await loadConfig({ env: process.env, defaultFile: 'config.yaml' })
  const log = pino({ level: config.observability.logging.level, base: { app: 'curator' } })
  for (const notice of notices) log.info({ notice }, 'configuration')
  const { context_lifecycle: tiers, ai, ops, security } = config.webhook
  if (!tiers.enabled)
    log.warn(
      'contexts are switched off (webhook.context_lifecycle.enabled): only those that are there are kept',
    )

  const name = `${hostname()}-${process.pid}`
  const errors = createErrorTeller(log)
  const home = connectRedis(redisSettings(config, keysOf(config, 0), `weir-curator:${name}`), {
    onError: errors.tell,
  })
  home.onConnect(errors.calm)
  const keyring = configuredKeyring(config, {
    cipherOf: createTenantCipher,
    name: `weir-curator-keyring:${name}`,
    clock: systemClock,
    tell: keyringLog(log),
    onError: createErrorTeller(log).tell,
  })?.keyring
  const metrics = createCuratorMetrics()
  const coldMetrics = createColdMetrics(metrics.registry)
  const aiMetrics = createAiMetrics(metrics.registry)
  const coldHealth = createColdHealth(systemClock, tiers.s3.bucket === null ? 'directory' : 's3')
  const aiHealth = createAiHealth(systemClock)
  const sweepHealth = createSighting(systemClock)
  const kept = configuredContexts(config, {
    home,
    keyring,
    keyOf: sealedWith,
    name: `weir-curator-contexts:${name}`,
    link: { onError: errors.tell },
    clock: systemClock,
    cold: {
      observe(seen) {
        coldMetrics.observe(seen)
        coldHealth.observe(seen)
      },
      onChange(state) {
        coldMetrics.onChange(state)
        coldHealth.onChange(state)
        log.warn({ event: 'cold_breaker', state }, 'the breaker before cold storage changed')
      },
    },
  })
  const { contexts, mover, archive, library, places, placeOf } = kept
  const sweep = createSweep({
    places,
    mover,
    archive,
    read: (id, look) => contexts.read(id, look && { look }),
    rules: {
      hotMs: tiers.hot_duration,
      warmMs: tiers.warm_duration,
      hotImportance: tiers.hot_importance_threshold,
      warmImportance: tiers.warm_importance_threshold,
      accesses: tiers.access_threshold,
    },
    batch: tiers.curator.batch_size,
    concurrency: tiers.curator.concurrency,
    promoteBytes: tiers.promote_size,
    now: systemClock.now,
    tell(move, result, id, why) {
      metrics.moved(move, result)
      if (why !== undefined)
        log.warn({ event: 'context_stuck', move, context: id, err: why }, 'a context cannot be moved')
    },
  })
  const prewarmer = configuredPrewarmer(config, kept, (result, id, why) => {
    metrics.prewarmed(result)
    if (why !== undefined)
      log.warn({ event: 'prewarm_stuck', context: id, err: why }, 'a context cannot be made hot')
  })
  const curator = createCurator({
    sweep,
    prewarmer,
    library,
    places,
    intervalMs: tiers.curator.interval,
    sizeIntervalMs: tiers.curator.size_interval,
    clock: systemClock,
    metrics,
    health: sweepHealth,
    log,
  })
  const queue = connectQueue(
    redisSettings(config, { stream: ENRICHMENT_QUEUE.prefix }, `weir-curator-queue:${name}`),
    { onError: errors.tell },
  )
  const redact = createRedactor({ secrets: secretsIn(config), fields: security.redact_fields })
  const enrichment = configuredEnrichment(config, {
    link: home,
    prefix: keysOf(config, 0).ai,
    keyring,
    redact,
    clock: systemClock,
    random: Math.random,
    observe(seen) {
      aiMetrics(seen)
      aiHealth.observe(seen)
      if (seen.kind === 'breaker')
        log.warn({ event: 'ai_breaker', ...seen.view }, 'the breaker before the provider changed')
    },
  })
  // What is built in costs nothing: it is asked whenever a card is made.
  const enrichesLater =
    enrichment !== undefined &&
    (enrichment.embedder.provider !== 'local' || enrichment.summariser.provider !== 'local')
  const tracing = await configuredTracing(config, {
    app: 'curator',
    instance: name,
    clock: systemClock,
    random: Math.random,
    count: (result, spans) => metrics.spans.inc({ result }, spans),
    log,
  })
  const jobs = createEnrichmentJobs({
    ...(config.observability.tracing.enabled && {
      traceOf: createEnrichmentTraces({
        tracer: tracing.tracer,
        placeOf,
        enrichesLater,
        clock: systemClock,
        redact,
      }),
    }),
    makeCard: createCardMaker({
      placeOf,
      contexts,
      opener: keyring ?? NO_KEYRING,
      sealing: security.encryption_enabled ? keyring : undefined,
      enricher: enrichment && enricherOf(enrichment),
      enrichesLater,
      events: ai.enrichment.max_events,
      now: systemClock.now,
    }),
    places,
    placeOf,
    connection: queue,
    pumps: {
      words: {
        quietMs: ai.enrichment.quiet,
        maxDelayMs: ai.enrichment.max_delay,
        intervalMs: PUMP_INTERVAL_MS,
      },
      ...(enrichesLater && {
        enrichment: {
          quietMs: ai.enrichment.provider_quiet,
          maxDelayMs: ai.enrichment.provider_max_delay,
          intervalMs: ai.enrichment.provider_interval,
        },
      }),
    },
    concurrency: ai.enrichment.concurrency,
    clock: systemClock,
    metrics,
    log,
  })
  await keyring?.start()
  const started = systemClock.monotonic()
  const state = () => ({ redis: places.every(({ link }) => link.connected) })
  /** What nobody else sees; the operations API shows it too. */
  const checks = () => ({
    sweep: sweepHealth.check(),
    cold_storage: coldHealth.check(),
    ai: aiHealth.check(enrichment),
  })
  const processMetrics = createProcessMetrics({
    registry: metrics.registry,
    component: 'curator',
    connected: () => state().redis,
    certificates: certificateFiles(config),
  })
  const reporter = createHealthReporter({
    link: home,
    key: keysOf(config, 0).health,
    name,
    component: 'curator',
    checks,
    clock: systemClock,
    onTrouble: (reason) => log.warn({ event: 'health_report', reason }, 'health cannot be reported'),
  })
  let server: OpsServer | undefined
  let pusher: Pusher | undefined
  stopAtSignal(async (signal) => {
    log.info({ signal }, 'stopping')
    processMetrics.stopping()
    await Promise.all([curator.stop(), jobs.stop()])
    enrichment?.stop()
    queue.disconnect()
    await reporter.stop()
    await pusher?.stop()
    await server?.close()
    await kept.close()
    await home.close()
    await keyring?.stop()
    await tracing.stop()
    log.info('stopped')
  })
  server =
    tiers.curator.ops_port === null
      ? undefined
      : await startOpsServer(
          {
            state,
            health: async () => {
              const redis = { state: state().redis ? 'ok' : 'failing', age_ms: 0 } as const
              return healthDocument({ redis, ...checks() }, ['redis'])
            },
            registry: config.observability.metrics.enabled ? metrics.registry : undefined,
            uptimeSeconds: () => (systemClock.monotonic() - started) / 1000,
            metricsToken: config.observability.metrics.open ? undefined : (ops.token ?? ''),
          },
          ops.host,
          tiers.curator.ops_port,
          'webhook.context_lifecycle.curator.ops_port',
        )
  pusher = configuredPusher(config, {
    component: 'curator',
    host: hostname(),
    port: server?.port ?? null,
    pid: process.pid,
    registry: metrics.registry,
    process: processMetrics,
    clock: systemClock,
    log,
  })
  curator.start()
  await jobs.start()
  reporter.start()
  pusher?.start()
  log.info({ port: server?.port ?? null }, 'listening')
}

runProcess(process, main)
