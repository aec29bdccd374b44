/** The consumer process: reads configuration and environment, wires, runs until SIGINT or SIGTERM. */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { dirname, resolve } from 'node:path'
import { configuredContexts } from '@weir/context-lifecycle/configured'
import { ADAPTERS } from '@weir/core/adapters/table'
import { systemClock } from '@weir/core/clock'
import { secretsIn } from '@weir/core/config/describe'
import { loadConfig } from '@weir/core/config/load'
import { certificateFiles, dedupeWindows, keysOf, longMemory, redisSettings } from '@weir/core/config/parts'
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import type { HandlerEvent } from '@weir/core/handlers/handler'
import { configuredKeyring, keyringLog } from '@weir/core/keyring/configured'
import { configuredPusher } from '@weir/core/metrics/configured'
import { createProcessMetrics } from '@weir/core/metrics/process-metrics'
import type { Pusher } from '@weir/core/metrics/pusher'
import { type OpsServer, startOpsServer } from '@weir/core/ops-server'
import type { EventRecord } from '@weir/core/record'
import { connectRedis } from '@weir/core/redis/link'
import { createErrorTeller } from '@weir/core/redis/tell'
import { runProcess, type StopAtSignal } from '@weir/core/run-process'
import { wasSettled } from '@weir/core/stream/long-memory'
import { configuredTracing } from '@weir/core/tracing/configured'
import { sealedWith } from '@weir/security/envelope'
import { createRedactor } from '@weir/security/redact'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { createConsumer } from './consumer.ts'
import { type ConsumerPlace, createConsumers } from './consumers.ts'
import { createHealth } from './health.ts'
import { loadHandlers } from './load-handlers.ts'
import { createConsumerMetrics } from './metrics.ts'
import { createVetting } from './vetting.ts'
import { createWorkers } from './workers.ts'

async function main(stopAtSignal: StopAtSignal): Promise<void> {
  const { config, notices, file } = await loadConfig({ env: process.env, defaultFile: 'config.yaml' })
  const log = pino({ level: config.observability.logging.level, base: { app: 'consumer' } })
  for (const notice of notices) log.info({ notice }, 'configuration')

  const { consumer: c, redis, stream, security, deduplication } = config.webhook
  const handlers =
    c.handlers === null
      ? []
      : await loadHandlers(c.handlers, file === undefined ? process.cwd() : dirname(resolve(file)), [
          ...ADAPTERS.keys(),
        ])
  log.info({ handlers: handlers.map(({ name }) => name) }, 'handlers loaded')

  const name = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`
  let stopping = false
  const errors = createErrorTeller(log)
  const vetting = createVetting({ production: config.production, clock: systemClock, log })
  const places: ConsumerPlace[] = []
  const connect = (partition: number): ConsumerPlace => {
    const keys = keysOf(config, partition)
    const link = connectRedis(redisSettings(config, keys, `weir-consumer:${name}`), { onError: errors.tell })
    const blocking = connectRedis(redisSettings(config, keys, `weir-consumer-read:${name}`), {
      onError: errors.tell,
      blocking: true,
    })
    link.onConnect(errors.calm)
    link.onConnect(() => log.info({ stream: keys.stream, server: link.peer }, 'connected to Redis'))
    link.onDisconnect(() => {
      if (!stopping) log.warn({ stream: keys.stream }, 'Redis is away; processing goes on when it is back')
    })
    vetting.watch(link)
    const place = { keys, link, blocking }
    places.push(place)
    return place
  }

  const keyring = configuredKeyring(config, {
    cipherOf: createTenantCipher,
    name: `weir-consumer-keyring:${name}`,
    clock: systemClock,
    tell: keyringLog(log),
    onError: createErrorTeller(log).tell,
  })?.keyring
  const home = connect(0)
  const remembering = config.webhook.context_lifecycle.enabled
    ? configuredContexts(config, {
        home: home.link,
        keyring,
        keyOf: sealedWith,
        clock: systemClock,
        name: `weir-consumer-contexts:${name}`,
        link: { onError: errors.tell },
      })
    : undefined
  const redact = createRedactor({ secrets: secretsIn(config), fields: security.redact_fields })
  const metrics = createConsumerMetrics()
  const tracing = await configuredTracing(config, {
    app: 'consumer',
    instance: name,
    clock: systemClock,
    random: Math.random,
    count: (result, spans) => metrics.spans.inc({ result }, spans),
    log,
  })
  const workers = createWorkers(c.num_workers)
  metrics.workers.set(c.num_workers)
  const dictionaries = createDictionarySet(loadBundledDictionaries())
  const remember =
    remembering &&
    (async (event: HandlerEvent, record: EventRecord, traceparent: string) => {
      const { events } = await remembering.contexts.append(event, record, traceparent)
      metrics.remembered.inc({ result: events === undefined ? 'known' : 'appended' })
    })
  const consumers = createConsumers({
    connect: (partition) => (partition === 0 ? home : connect(partition)),
    make: ({ keys, link, blocking }, context) =>
      createConsumer({
        name,
        link,
        blocking,
        keys,
        settings: {
          batchSize: c.batch_size,
          blockTimeoutMs: c.block_timeout,
          get prefetchCount() {
            return context.credits()
          },
          maxRetries: c.max_retries,
          handlerTimeoutMs: c.handler_timeout,
          backoff: { baseMs: c.retry_base_delay, maxMs: c.retry_max_delay },
          reclaimIdleMs: c.reclaim_idle,
          reclaimIntervalMs: c.reclaim_interval,
          quarantineAfter: c.quarantine_after,
          breaker: { failureThreshold: c.breaker.failure_threshold, openDurationMs: c.breaker.open_duration },
          heartbeatIntervalMs: c.heartbeat_interval,
          deadConsumerAfterMs: c.dead_consumer_after,
          shutdownTimeoutMs: c.shutdown_timeout,
          keepSettledMs: stream.keep_settled,
          trimIntervalMs: stream.trim_interval,
          commandTimeoutMs: redis.command_timeout,
          maxBodyBytes: security.max_payload_size * 8,
          maxAppends: config.webhook.context_lifecycle.max_appends,
        },
        settledElsewhere: context.settledElsewhere,
        process: context.process,
        workers,
        adapters: ADAPTERS,
        handlers,
        dictionaries,
        opener: keyring,
        remember,
        memory: longMemory(config, keys),
        window: dedupeWindows(config),
        evidenceShards: deduplication.evidence_shards,
        clock: systemClock,
        random: Math.random,
        redact,
        log: redis.cluster_enabled ? log.child({ partition: keys.partition }) : log,
        metrics: context.metrics,
        tracer: tracing.tracer,
      }),
    plan: redis.cluster_enabled
      ? { configured: redis.partitions, refreshMs: redis.partitions_refresh }
      : undefined,
    prefetchCount: c.prefetch_count,
    wasSettled: ({ keys, link }, locator) =>
      wasSettled(link, longMemory(config, keys), systemClock.now(), locator),
    metrics,
    clock: systemClock,
    log,
  })
  // By themselves: what the operations API adds up over all consumers is their work, not their memory.
  const processMetrics = createProcessMetrics({
    component: 'consumer',
    connected: () => consumers.state().redis,
    certificates: certificateFiles(config),
  })
  const registry = Registry.merge([metrics.registry, processMetrics.registry])
  await keyring?.start()
  await vetting.first()
  const started = systemClock.monotonic()
  const token = config.webhook.ops.token
  let ops: OpsServer | undefined
  let pusher: Pusher | undefined
  stopAtSignal(async (signal) => {
    stopping = true
    log.info({ signal }, 'stopping')
    processMetrics.stopping()
    await consumers.stop()
    await remembering?.close()
    await keyring?.stop()
    await pusher?.stop()
    await ops?.close()
    await tracing.stop()
    log.info('stopped')
  })
  ops =
    c.ops_port === null
      ? undefined
      : await startOpsServer(
          {
            state: consumers.state,
            health: createHealth({
              state: consumers.state,
              partitions: () => places,
              tools: [...ADAPTERS.keys()],
            }),
            registry: config.observability.metrics.enabled ? registry : undefined,
            uptimeSeconds: () => (systemClock.monotonic() - started) / 1000,
            metricsToken: config.observability.metrics.open ? undefined : (token ?? ''),
          },
          config.webhook.ops.host,
          c.ops_port,
          'webhook.consumer.ops_port',
        )
  pusher = configuredPusher(config, {
    component: 'consumer',
    host: hostname(),
    port: ops?.port ?? null,
    pid: process.pid,
    registry,
    process: processMetrics,
    clock: systemClock,
    log,
  })
  await consumers.start()
  pusher?.start()
  log.info({ port: ops?.port ?? null, consumer: name, workers: c.num_workers }, 'listening')
}

runProcess(process, main)
