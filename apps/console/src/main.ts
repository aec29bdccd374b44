/** The operations API's process: reads configuration and environment, wires, runs until SIGINT or SIGTERM. */
import { hostname } from 'node:os'
import { configuredEnrichment } from '@weir/ai/configured'
import { createAiHealth } from '@weir/ai/health'
import { createAiMetrics } from '@weir/ai/metrics'
import { queryEmbedder } from '@weir/ai/query-embedder'
import { createColdHealth } from '@weir/context-lifecycle/cold/health'
import { createColdMetrics } from '@weir/context-lifecycle/cold/metrics'
import { configuredContexts } from '@weir/context-lifecycle/configured'
import { createContextSearch } from '@weir/context-lifecycle/search/search'
import { auditLog, configuredAuditor } from '@weir/core/audit/configured'
import { systemClock } from '@weir/core/clock'
import { secretsIn } from '@weir/core/config/describe'
import { loadConfig } from '@weir/core/config/load'
import { certificateFiles } from '@weir/core/config/parts'
import { Fault, messageOf } from '@weir/core/faults'
import { configuredKeyring, keyringLog } from '@weir/core/keyring/configured'
import { configuredPusher } from '@weir/core/metrics/configured'
import { createProcessMetrics } from '@weir/core/metrics/process-metrics'
import type { Pusher } from '@weir/core/metrics/pusher'
import { connectPartition, type Partition } from '@weir/core/partition'
import { openPipelineView } from '@weir/core/pipeline-view'
import { SINGLE_PLAN } from '@weir/core/plan'
import { createPlanKeeper } from '@weir/core/plan-keeper'
import { createErrorTeller } from '@weir/core/redis/tell'
import { runProcess, type StopAtSignal } from '@weir/core/run-process'
import { pipelineViewOptions } from '@weir/core/view/options'
import { createAuditChain, createCheckpointSigner } from '@weir/security/audit-checkpoint'
import { sealedWith } from '@weir/security/envelope'
import { createRedactor } from '@weir/security/redact'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import { pino } from 'pino'
import { createHealth } from './health.ts'
import { createMetricsCollector } from './metrics.ts'
import { createOpsServer } from './server.ts'

/** How long the first connection may take before questions are answered with 503, ms. */
const FIRST_CONNECT_MS = 1_000

async function main(stopAtSignal: StopAtSignal): Promise<void> {
  const { config, notices } = await loadConfig({ env: process.env, defaultFile: 'config.yaml' })
  const { host, port, token } = config.webhook.ops
  if (token === null) {
    throw new Fault(
      'CONFIG_INVALID',
      'The operations API does not run without a token: set OPS_TOKEN (webhook.ops.token).',
    )
  }
  const log = pino({ level: config.observability.logging.level, base: { app: 'console' } })
  for (const notice of notices) log.info({ notice }, 'configuration')

  const errors = createErrorTeller(log)
  const { redis } = config.webhook
  let stopping = false
  const connect = (partition: number): Partition => {
    const connected = connectPartition(config, partition, `weir-console:${process.pid}`, {
      onError: errors.tell,
    })
    const { link, keys } = connected
    const { stream } = keys
    link.onConnect(errors.calm)
    link.onConnect(() => log.info({ stream, server: link.peer }, 'connected to Redis'))
    link.onDisconnect(() => {
      if (!stopping) log.warn({ stream }, 'Redis is away; questions are answered with 503 until it is back')
    })
    return connected
  }
  const home = connect(0)
  /** Every partition that there ever was; the view follows as it grows. */
  const partitions = [home]
  const plans = redis.cluster_enabled
    ? createPlanKeeper({
        home,
        others: () => partitions.slice(1),
        configured: redis.partitions,
        refreshMs: redis.partitions_refresh,
        clock: systemClock,
        onPlan({ highest }) {
          while (partitions.length < highest) partitions.push(connect(partitions.length))
        },
        onError: (error) => log.error({ err: messageOf(error) }, 'the plan of partitions cannot be read'),
      })
    : undefined
  const keyring = configuredKeyring(config, {
    cipherOf: createTenantCipher,
    name: `weir-console-keyring:${process.pid}`,
    clock: systemClock,
    tell: keyringLog(log),
    onError: createErrorTeller(log).tell,
  })?.keyring
  const view = openPipelineView({
    ...pipelineViewOptions(config, partitions, systemClock, keyring),
    plan: () => (redis.cluster_enabled ? plans?.plan : SINGLE_PLAN),
  })
  const processMetrics = createProcessMetrics({
    component: 'console',
    connected: () => partitions.every(({ link }) => link.connected),
    certificates: certificateFiles(config),
  })
  // Searches cost money too, and whoever reads a context that is cold waits for cold storage.
  const coldMetrics = createColdMetrics(processMetrics.registry)
  const aiMetrics = createAiMetrics(processMetrics.registry)
  const { context_lifecycle: tiers } = config.webhook
  const coldHealth = createColdHealth(systemClock, tiers.s3.bucket === null ? 'directory' : 's3')
  const aiHealth = createAiHealth(systemClock)
  const remembered = config.webhook.context_lifecycle.enabled
    ? configuredContexts(config, {
        home: home.link,
        keyring,
        keyOf: sealedWith,
        clock: systemClock,
        name: `weir-console-contexts:${process.pid}`,
        link: { onError: errors.tell },
        cold: {
          observe(seen) {
            coldMetrics.observe(seen)
            coldHealth.observe(seen)
          },
          onChange(state) {
            coldMetrics.onChange(state)
            coldHealth.onChange(state)
          },
        },
      })
    : undefined
  const redact = createRedactor({ secrets: secretsIn(config), fields: config.webhook.security.redact_fields })
  const enrichment = configuredEnrichment(config, {
    link: home.link,
    prefix: home.keys.ai,
    keyring,
    redact,
    clock: systemClock,
    random: Math.random,
    observe(seen) {
      aiMetrics(seen)
      aiHealth.observe(seen)
    },
  })
  const search =
    remembered &&
    createContextSearch({
      places: remembered.places,
      keyring,
      embedder: enrichment && queryEmbedder(enrichment),
      clock: systemClock,
      tell(event) {
        if (event.kind === 'loaded') log.info({ ...event }, 'contexts can be searched')
        if (event.kind === 'away' || event.kind === 'no-embedding')
          log.warn({ event: event.kind, err: event.error }, 'search goes on with what is known')
      },
    })
  const audit = configuredAuditor(config, {
    partition: home,
    actor: `console@${hostname()}`,
    chainOf: (pem) => createAuditChain(createCheckpointSigner(pem)),
    clock: systemClock,
    random: Math.random,
    tell: auditLog(log),
  })
  const metrics = config.observability.metrics.enabled
    ? createMetricsCollector(view, processMetrics.registry)
    : undefined
  const server = await createOpsServer({
    view,
    metrics,
    health: createHealth({
      view,
      curated: tiers.enabled,
      own: () => ({
        cold_storage: remembered === undefined ? { state: 'off', age_ms: null } : coldHealth.check(),
        ai: aiHealth.check(enrichment),
      }),
    }),
    contexts: remembered?.contexts,
    search,
    token,
    metricsOpen: config.observability.metrics.open,
    audit,
    clock: systemClock,
    log,
  })

  let pusher: Pusher | undefined
  stopAtSignal(async (signal) => {
    stopping = true
    log.info({ signal }, 'stopping')
    processMetrics.stopping()
    await server.close()
    await pusher?.stop()
    await search?.stop()
    enrichment?.stop()
    await plans?.stop()
    await audit.close()
    await keyring?.stop()
    await remembered?.close()
    await Promise.all(partitions.map(({ link }) => link.close()))
    log.info('stopped')
  })

  plans?.start()
  audit.start()
  await keyring?.start()
  // The first questions come at once: a moment for the connection, but Redis need not be there.
  await Promise.race([
    Promise.all(partitions.map(({ link }) => link.ready())),
    systemClock.wait(FIRST_CONNECT_MS),
  ])
  void search?.start()
  await server.listen({ host, port, listenTextResolver: (address) => `bound to ${address}` })
  const [address] = server.addresses()
  const listening = typeof address === 'object' ? address.port : port
  pusher =
    metrics &&
    configuredPusher(config, {
      component: 'console',
      host: hostname(),
      port: listening,
      pid: process.pid,
      registry: metrics.own,
      process: processMetrics,
      clock: systemClock,
      log,
    })
  pusher?.start()
  log.info({ host, port: listening }, 'listening')
}

runProcess(process, main)
