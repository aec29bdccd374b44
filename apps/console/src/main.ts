/** The operations API's process: reads configuration and environment, wires, runs until SIGINT or SIGTERM. */
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { Fault, isFault } from '@weir/core/faults'
import { connectPartitions } from '@weir/core/partition'
import { openPipelineView } from '@weir/core/pipeline-view'
import { createErrorTeller } from '@weir/core/redis/tell'
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
  for (const notice of notices) log.info({ notice }, 'configuration')

  const errors = createErrorTeller(log)
  const partitions = connectPartitions(config, `weir-console:${process.pid}`, { onError: errors.tell })
  let stopping = false
  for (const { link, keys } of partitions) {
    const { stream } = keys
    link.onConnect(errors.calm)
    link.onConnect(() => log.info({ stream, server: link.peer }, 'connected to Redis'))
    link.onDisconnect(() => {
      if (!stopping) log.warn({ stream }, 'Redis is away; questions are answered with 503 until it is back')
    })
  }
  const view = openPipelineView(pipelineViewOptions(config, partitions, systemClock))
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
    await Promise.all(partitions.map(({ link }) => link.close()))
    log.info('stopped')
    process.exit(0)
  }
  process.on('SIGINT', () => void stop('SIGINT'))
  process.on('SIGTERM', () => void stop('SIGTERM'))

  // The first questions come at once: a moment for the connection, but Redis need not be there.
  await Promise.race([
    Promise.all(partitions.map(({ link }) => link.ready())),
    systemClock.wait(FIRST_CONNECT_MS),
  ])
  await server.listen({ host, port, listenTextResolver: (address) => `bound to ${address}` })
  const [address] = server.addresses()
  log.info({ host, port: typeof address === 'object' ? address.port : port }, 'listening')
}

main().catch((error: unknown) => {
  const text = isFault(error) ? error.message : error instanceof Error ? error.stack : String(error)
  process.stderr.write(`${text}\n`)
  process.exit(1)
})
