/** From the settings to what is started: which apps, on which ports, and how one sees that they are ready. */
import { join } from 'node:path'
import type { Config } from '@weir/core/config/schema'
import { GATEWAY_NODE_OPTIONS } from '../node-options.ts'
import type { AppPlan } from './app-process.ts'
import { countsOf } from './ledger.ts'

export interface Addresses {
  /** Base URLs as this machine reaches them. */
  readonly gateway: string
  readonly operations: string
  /** Undefined where the consumer serves none, or on a port that it chooses itself. */
  readonly consumer: string | undefined
  /** The same of the curator; undefined where contexts are switched off too. */
  readonly curator: string | undefined
}

export function addressesOf({ webhook }: Config): Addresses {
  const { ingest, ops, consumer, context_lifecycle: contexts } = webhook
  const curatorPort = contexts.enabled ? contexts.curator.ops_port : null
  return {
    gateway: baseUrl(ingest.host, ingest.port),
    operations: baseUrl(ops.host, ops.port),
    consumer: consumer.ops_port ? baseUrl(ops.host, consumer.ops_port) : undefined,
    curator: curatorPort ? baseUrl(ops.host, curatorPort) : undefined,
  }
}

/** Gateway, consumer, curator (where there are contexts) and console, in the order of starting and stopping. `appsDirectory` is absolute. */
export function appPlans(config: Config, appsDirectory: string): AppPlan[] {
  const { ingest, consumer, ops, context_lifecycle: contexts } = config.webhook
  const { gateway, operations, consumer: consumerUrl, curator: curatorUrl } = addressesOf(config)
  const main = (app: string) => join(appsDirectory, app, 'src/main.ts')
  const headers = { authorization: `Bearer ${ops.token ?? ''}` }
  return [
    {
      name: 'gateway',
      script: main('ingest'),
      nodeOptions: GATEWAY_NODE_OPTIONS,
      shutdownMs: ingest.shutdown_timeout,
      ports: [
        { port: ingest.port, choose: 'Choose another with PORT=…, or webhook.ingest.port in config.yaml' },
      ],
      ready: { url: `${gateway}/ready`, accept: isOk },
    },
    {
      name: 'consumer',
      script: main('consumer'),
      shutdownMs: consumer.shutdown_timeout,
      ports: [
        {
          port: consumer.ops_port ?? 0,
          choose: 'Choose another with webhook.consumer.ops_port in config.yaml',
        },
      ],
      ready: consumerUrl === undefined ? undefined : { url: `${consumerUrl}/ready`, accept: isOk },
    },
    ...(contexts.enabled ? [curatorPlan()] : []),
    {
      name: 'console',
      script: main('console'),
      shutdownMs: CONSOLE_SHUTDOWN_MS,
      ports: [
        { port: ops.port, choose: 'Choose another with OPS_PORT=…, or webhook.ops.port in config.yaml' },
      ],
      ready: { url: `${operations}/ledger`, headers, accept: (answer) => countsOf(answer) !== undefined },
    },
  ]

  function curatorPlan(): AppPlan {
    const { ops_port: port, shutdown_timeout: shutdownMs } = contexts.curator
    const choose = 'Choose another with webhook.context_lifecycle.curator.ops_port in config.yaml'
    return {
      name: 'curator',
      script: main('curator'),
      shutdownMs,
      ports: [{ port: port ?? 0, choose }],
      ready: curatorUrl === undefined ? undefined : { url: `${curatorUrl}/ready`, accept: isOk },
    }
  }
}

/** The console holds nothing that could be lost: it only answers its last questions. */
const CONSOLE_SHUTDOWN_MS = 5_000

function isOk(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'status' in answer && answer.status === 'ok'
}

/** A server on all addresses is reached on loopback. */
function baseUrl(host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' || host === '127.0.0.1' ? 'localhost' : host
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}
