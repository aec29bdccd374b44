/** The operations API's process: reads configuration and environment, wires, runs until SIGINT or SIGTERM. */
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { redisSettings } from '@weir/core/config/parts'
import { Fault, isFault } from '@weir/core/faults'
import { openPipelineView } from '@weir/core/pipeline-view'
import { connectRedis } from '@weir/core/redis/link'
import { pipelineViewOptions } from '@weir/core/view/options'
import { pino } from 'pino'
import { createOpsServer } from './server.ts'

/** How long the first connection may take before questions are answered with 503, ms. */
const FIRST_CONNECT_MS = 1_000

async function main(): Promise<void> {
  const { config, notices } = await loadConfig({ env: process.env, defaultFile: 'config.yaml' })
  const { host, port, token } = config.webhook.ops
  if (token === null) {
    throw new Fault(
      'CONFIG_INVALID',
      'The operations API does not run without a token: set OPS_TOKEN (webhook.ops.token).',
    )
  }
  const log = pino({ level: config.observability.logging.level, base: { app: 'console' } })
  for (const notice of notices) log.debug({ notice }, 'configuration')

  const link = connectRedis(redisSettings(config, `weir-console:${process.pid}`), {
    onError: (error) => log.debug({ err: error.message }, 'redis connection'),
  })
  link.onConnect(() => log.info('connected to Redis'))
  let stopping = false
  link.onDisconnect(() => {
    if (!stopping) log.warn('Redis is away; questions are answered with 503 until it is back')
  })
  const view = openPipelineView(pipelineViewOptions(config, link, systemClock))
  const server = await createOpsServer({
    view,
    token,
    metricsOpen: config.observability.metrics.open,
    clock: systemClock,
    log,
  })

  const stop = async (signal: string) => {
    if (stopping) return
    stopping = true
    log.info({ signal }, 'stopping')
    await server.close()
    await link.close()
    log.info('stopped')
    process.exit(0)
  }
  process.on('SIGINT', () => void stop('SIGINT'))
  process.on('SIGTERM', () => void stop('SIGTERM'))

  // The first questions come at once: a moment for the connection, but Redis need not be there.
  await Promise.race([link.ready(), systemClock.wait(FIRST_CONNECT_MS)])
  await server.listen({ host, port, listenTextResolver: (address) => `bound to ${address}` })
  const [address] = server.addresses()
  log.info({ host, port: typeof address === 'object' ? address.port : port }, 'listening')
}

main().catch((error: unknown) => {
  const text = isFault(error) ? error.message : error instanceof Error ? error.stack : String(error)
  process.stderr.write(`${text}\n`)
  process.exit(1)
})
