/** The consumer process: reads configuration and environment, wires, runs until SIGINT or SIGTERM. */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { dirname, resolve } from 'node:path'
import { ADAPTERS } from '@weir/core/adapters/table'
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { dedupeWindows, keysOf, longMemory, redisSettings } from '@weir/core/config/parts'
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import { isFault } from '@weir/core/faults'
import { connectRedis } from '@weir/core/redis/link'
import { createErrorTeller } from '@weir/core/redis/tell'
import { pino } from 'pino'
import { createConsumer } from './consumer.ts'
import { loadHandlers } from './load-handlers.ts'
import { createConsumerMetrics } from './metrics.ts'
import { startOpsServer } from './ops-server.ts'

async function main(): Promise<void> {
  const { config, notices, file } = await loadConfig({ env: process.env, defaultFile: 'config.yaml' })
  const log = pino({ level: config.observability.logging.level, base: { app: 'consumer' } })
  for (const notice of notices) log.debug({ notice }, 'configuration')

  const { consumer: c, redis, stream, security, deduplication } = config.webhook
  const keys = keysOf(config)
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
  const onError = errors.tell
  const link = connectRedis(redisSettings(config, keys, `weir-consumer:${name}`), { onError })
  const blocking = connectRedis(redisSettings(config, keys, `weir-consumer-read:${name}`), {
    onError,
    blocking: true,
  })
  link.onConnect(errors.calm)
  link.onConnect(() => log.info({ server: link.peer }, 'connected to Redis'))
  link.onDisconnect(() => {
    if (!stopping) log.warn('Redis is away; processing goes on when it is back')
  })

  const metrics = createConsumerMetrics()
  const consumer = createConsumer({
    name,
    link,
    blocking,
    keys,
    settings: {
      numWorkers: c.num_workers,
      batchSize: c.batch_size,
      blockTimeoutMs: c.block_timeout,
      prefetchCount: c.prefetch_count,
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
    },
    adapters: ADAPTERS,
    handlers,
    dictionaries: createDictionarySet(loadBundledDictionaries()),
    memory: longMemory(config, keys),
    window: dedupeWindows(config),
    evidenceShards: deduplication.evidence_shards,
    clock: systemClock,
    random: Math.random,
    log,
    metrics,
  })
  const started = systemClock.monotonic()
  const token = config.webhook.ops.token
  const ops =
    c.ops_port === null
      ? undefined
      : await startOpsServer(
          {
            state: consumer.state,
            registry: metrics.registry,
            uptimeSeconds: () => (systemClock.monotonic() - started) / 1000,
            metricsToken: config.observability.metrics.open ? undefined : (token ?? ''),
          },
          config.webhook.ops.host,
          c.ops_port,
        )
  consumer.start()
  log.info({ port: ops?.port ?? null, consumer: name, workers: c.num_workers }, 'listening')

  const stop = async (signal: string) => {
    if (stopping) return
    stopping = true
    log.info({ signal }, 'stopping')
    await consumer.stop()
    await ops?.close()
    await Promise.all([link.close(), blocking.close()])
    log.info('stopped')
    process.exit(0)
  }
  process.on('SIGINT', () => void stop('SIGINT'))
  process.on('SIGTERM', () => void stop('SIGTERM'))
}

main().catch((error: unknown) => {
  process.stderr.write(
    `${isFault(error) ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
  )
  process.exit(1)
})
