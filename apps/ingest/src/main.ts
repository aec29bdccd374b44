/** The gateway process: reads configuration and environment, wires, runs until SIGINT or SIGTERM. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { keysOf, redisSettings } from '@weir/core/config/parts'
import type { Config } from '@weir/core/config/schema'
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import { isFault } from '@weir/core/faults'
import { connectRedis } from '@weir/core/redis/link'
import { createErrorTeller } from '@weir/core/redis/tell'
import { collectDefaultMetrics } from 'prom-client'
import { createGateway } from './gateway.ts'
import { createLog } from './log.ts'
import { createMetrics } from './metrics.ts'
import { keepDictionaries } from './packers.ts'
import { enterOwner, NO_OWNERS } from './report.ts'
import { openSpool } from './spool/spool.ts'

async function main(): Promise<void> {
  const { config, notices } = await loadConfig({ env: process.env, defaultFile: 'config.yaml' })
  const log = createLog(config.observability.logging.level)
  for (const notice of notices) log.info({ event: 'configuration', notice }, 'configuration')

  const name = `${hostname()}-${randomBytes(6).toString('hex')}`
  const metrics = createMetrics()
  collectDefaultMetrics({ register: metrics.registry })
  const spool = await spoolOf(config, (fault) => {
    metrics.count('webhook_faults_total', fault.code)
    log.error({ event: 'spool', code: fault.code, reason: fault.message }, 'the spool reports a fault')
  })
  const { directory } = config.webhook.ingest.spool
  const dictionaries = createDictionarySet(loadBundledDictionaries())
  if (spool !== undefined) await keepDictionaries(dictionaries, directory)
  const errors = createErrorTeller(log)
  const link = connectRedis(redisSettings(config, keysOf(config), `weir-gateway:${name}`), {
    onError: errors.tell,
  })
  link.onConnect(errors.calm)
  const gateway = createGateway({
    config,
    link,
    spool,
    owners: spool === undefined ? NO_OWNERS : await enterOwner(directory, name),
    dictionaries,
    name,
    clock: systemClock,
    random: Math.random,
    metrics,
    log,
  })

  let signals = 0
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    signals++
    if (signals > 1) return
    log.info({ event: 'stopping', signal }, 'stopping')
    await gateway.stop()
    log.info({ event: 'stopped' }, 'stopped')
    process.exit(0)
  }
  process.on('SIGINT', (signal) => void stop(signal).catch(exit))
  process.on('SIGTERM', (signal) => void stop(signal).catch(exit))

  const { host, port } = await gateway.start()
  log.info({ event: 'listening', host, port, gateway: name }, 'listening')
}

/** The spool; also where it is switched off, if an earlier run left a directory, because its events must not stay there. */
async function spoolOf({ webhook }: Config, onFault: Parameters<typeof openSpool>[0]['onFault']) {
  const { spool } = webhook.ingest
  if (!spool.enabled && !existsSync(spool.directory)) return undefined
  return openSpool({
    directory: spool.directory,
    maxBytes: spool.max_bytes,
    maxAgeMs: spool.max_age,
    segmentBytes: spool.segment_bytes,
    clock: systemClock,
    onFault,
  })
}

function exit(error: unknown): void {
  process.stderr.write(
    `${isFault(error) ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
  )
  process.exit(1)
}

main().catch(exit)
