/** The gateway process: reads configuration and environment, wires, runs until SIGINT or SIGTERM. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { auditLog, configuredAuditor } from '@weir/core/audit/configured'
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { certificateFiles, keysOf, redisSettings } from '@weir/core/config/parts'
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import { gatewayEncryption, keyringNotes } from '@weir/core/keyring/configured'
import { configuredPusher } from '@weir/core/metrics/configured'
import { createProcessMetrics } from '@weir/core/metrics/process-metrics'
import type { Pusher } from '@weir/core/metrics/pusher'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { createErrorTeller } from '@weir/core/redis/tell'
import { runProcess, type StopAtSignal } from '@weir/core/run-process'
import { configuredTracing } from '@weir/core/tracing/configured'
import { createAuditChain, createCheckpointSigner } from '@weir/security/audit-checkpoint'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import { createGateway } from './gateway.ts'
import { journalDirectory, journalsIn } from './journals.ts'
import { createLog } from './log.ts'
import { createMetrics } from './metrics.ts'
import { keepDictionaries } from './packers.ts'
import { enterOwner, NO_OWNERS } from './report.ts'
import { openSecrets } from './secrets.ts'
import { checkSecrets } from './sender.ts'
import { openSpool, type Spool } from './spool/spool.ts'

async function main(stopAtSignal: StopAtSignal): Promise<void> {
  const { config, notices } = await loadConfig({ env: process.env, defaultFile: 'config.yaml' })
  const log = createLog(config.observability.logging.level)
  for (const notice of notices) log.info({ event: 'configuration', notice }, 'configuration')

  const name = `${hostname()}-${randomBytes(6).toString('hex')}`
  const secrets = await openSecrets({
    security: config.webhook.security,
    check: checkSecrets(config),
    clock: systemClock,
    log,
  })
  const metrics = createMetrics()
  const processMetrics = createProcessMetrics({
    registry: metrics.registry,
    component: 'gateway',
    connected: () => gateway.connected,
    certificates: certificateFiles(config),
  })
  const { redis, ingest } = config.webhook
  const { directory } = ingest.spool
  /** All journals are under one limit. */
  let open: ReadonlyMap<number, Spool> = new Map()
  const openOne = (partition: number): Promise<Spool> =>
    openSpool({
      directory: journalDirectory(directory, partition),
      maxBytes: ingest.spool.max_bytes,
      otherBytes: () => {
        let bytes = 0
        for (const [other, journal] of open) if (other !== partition) bytes += journal.bytes
        return bytes
      },
      maxAgeMs: ingest.spool.max_age,
      segmentBytes: ingest.spool.segment_bytes,
      clock: systemClock,
      onFault(fault) {
        metrics.count('webhook_faults_total', fault.code)
        log.error({ event: 'spool', code: fault.code, reason: fault.message }, 'the spool reports a fault')
      },
    })
  // Also where it is switched off, if an earlier run left a directory, because its events must not stay there.
  const spool = ingest.spool.enabled || existsSync(directory) ? await openOne(0) : undefined
  const left = new Map<number, Spool>()
  if (spool !== undefined) {
    for (const partition of journalsIn(directory)) left.set(partition, await openOne(partition))
  }
  const encryption = gatewayEncryption(config, {
    cipherOf: createTenantCipher,
    name: `weir-gateway-keyring:${name}`,
    clock: systemClock,
    tell: keyringNotes(log, () => auditor),
    onError: createErrorTeller(log).tell,
  })
  const dictionaries = createDictionarySet(
    loadBundledDictionaries(),
    (tenant, sealed) => encryption?.keyring.isCurrent(tenant, sealed) === true,
  )
  if (spool !== undefined) await keepDictionaries(dictionaries, directory)
  const errors = createErrorTeller(log)
  const connect = (partition: number): RedisLink => {
    const link = connectRedis(redisSettings(config, keysOf(config, partition), `weir-gateway:${name}`), {
      onError: errors.tell,
    })
    link.onConnect(errors.calm)
    return link
  }
  const link = connect(0)
  const auditor = configuredAuditor(config, {
    partition: { link, keys: keysOf(config, 0) },
    actor: `gateway ${name}`,
    chainOf: (pem) => createAuditChain(createCheckpointSigner(pem)),
    clock: systemClock,
    random: Math.random,
    tell: auditLog(log, (count) => metrics.count('webhook_audit_damage_total', '', '', count)),
  })
  const tracing = await configuredTracing(config, {
    app: 'gateway',
    instance: name,
    clock: systemClock,
    random: Math.random,
    count: (result, spans) => metrics.count('webhook_trace_spans_total', result, '', spans),
    log,
  })
  const gateway = createGateway({
    config,
    tracer: tracing.tracer,
    link,
    connect,
    spool,
    journals: {
      // Without a Cluster there is one partition, and what was left of others is drained into it.
      openOne: redis.cluster_enabled ? openOne : undefined,
      left,
      onJournals: (journals) => {
        open = journals
      },
    },
    owners: spool === undefined ? NO_OWNERS : await enterOwner(directory, name),
    secrets,
    encryption,
    auditor,
    auditKey: randomBytes(32),
    dictionaries,
    name,
    clock: systemClock,
    random: Math.random,
    metrics,
    log,
  })

  let pusher: Pusher | undefined
  stopAtSignal(async (signal) => {
    log.info({ event: 'stopping', signal }, 'stopping')
    processMetrics.stopping()
    await gateway.stop()
    await pusher?.stop()
    await tracing.stop()
    log.info({ event: 'stopped' }, 'stopped')
  })

  const { host, port } = await gateway.start()
  pusher = configuredPusher(config, {
    component: 'gateway',
    host: hostname(),
    port,
    pid: process.pid,
    registry: metrics.registry,
    process: processMetrics,
    clock: systemClock,
    log,
  })
  pusher?.start()
  log.info({ event: 'listening', host, port, gateway: name }, 'listening')
}

runProcess(process, main)
