/**
 * Gateway, consumer, curator and operations API as processes, each on a port of its own, in one directory:
 *
 *   const apps = await startApps(processes, { directory, env: { REDIS_URL: redis.url } })
 *   await fetch(`${apps.consumer.url}/metrics`)
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SECRET } from './gateway.ts'
import type { TestProcess } from './process.ts'
import type { TestProcesses } from './use-processes.ts'

export const COMPONENTS = ['gateway', 'consumer', 'curator', 'console'] as const
export type Component = (typeof COMPONENTS)[number]

export interface App {
  readonly process: TestProcess
  readonly port: number
  /** Without a slash at its end. */
  readonly url: string
}

export type Apps = Readonly<Record<Component, App>>

export interface AppsOptions {
  /** For configuration, spool and cold storage. */
  readonly directory: string
  readonly env: Readonly<Record<string, string>>
  /** Of `observability`. */
  readonly observability?: object
  /** Of `webhook.ai`. */
  readonly ai?: object
  /** Default: all. */
  readonly components?: readonly Component[]
}

const ROOMS: Readonly<Record<Component, string>> = {
  gateway: 'ingest',
  consumer: 'consumer',
  curator: 'curator',
  console: 'console',
}
export const APPS_TOKEN = 'a-token-for-operators'

/** Starts them one after the other (they are cheaper so on a small machine); resolves when all listen. */
export async function startApps(processes: TestProcesses, options: AppsOptions): Promise<Apps> {
  const { directory, env, observability = {}, ai = {}, components = COMPONENTS } = options
  const file = join(directory, 'config.yaml')
  writeFileSync(
    file,
    JSON.stringify({
      webhook: {
        ingest: { host: '127.0.0.1' },
        ops: { host: '127.0.0.1' },
        consumer: { ops_port: 0 },
        context_lifecycle: { curator: { ops_port: 0, interval: '200ms' } },
        ai,
      },
      observability,
    }),
  )
  const apps: Partial<Record<Component, App>> = {}
  for (const component of components) {
    const process = processes.start(`apps/${ROOMS[component]}/src/main.ts`, {
      cwd: directory,
      env: {
        CONFIG_FILE: file,
        WEIR_DATA_DIR: directory,
        PORT: '0',
        OPS_PORT: '0',
        OPS_TOKEN: APPS_TOKEN,
        GITHUB_WEBHOOK_SECRET: SECRET,
        ...env,
      },
    })
    const [line] = await process.waitForLine(/^\{.*"msg":"listening".*\}$/)
    const { port } = JSON.parse(line) as { port: number }
    apps[component] = { process, port, url: `http://127.0.0.1:${port}` }
  }
  return apps as Apps
}
