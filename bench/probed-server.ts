/** A server in a process of its own, whose CPU is asked for by message (gateway-probe.ts); Weir's gateway as one. */
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { GATEWAY_NODE_OPTIONS } from '../scripts/node-options.ts'
import { describeExit, endChild, spawnTied } from '../scripts/tied-child.ts'
import { SECRET } from './processes.ts'

/** `webhook.security`: the default limits stay on (they cost what they cost), but out of reach. */
export const LIMITS_OUT_OF_REACH = { global_rate_limit: 1e6, per_tool_rate_limits: { github: 1e6 } }

/** How long a server may take to stop, ms: it writes its profile then. */
const STOP_GRACE_MS = 30_000

export interface ProbedServer {
  readonly port: number
  /** CPU used so far, all threads, µs. */
  cpu(): Promise<number>
  stop(): Promise<void>
}

export interface ProbedServerOptions {
  /** The program and its arguments. */
  readonly program: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where to write a CPU profile; undefined = none. */
  readonly profile?: string | undefined
}

/** Resolves when it says in its log where it listens; rejects when it ends before. */
export async function startProbed(options: ProbedServerOptions): Promise<ProbedServer> {
  const { program, cwd, env, profile } = options
  const profiling =
    profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-interval', '200', '--cpu-prof-dir', profile]
  const probe = fileURLToPath(new URL('gateway-probe.ts', import.meta.url))
  const child = spawnTied(
    process.execPath,
    [...GATEWAY_NODE_OPTIONS, ...profiling, '--import', probe, ...program],
    {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      cwd,
      env,
      deathSignal: 'SIGKILL',
    },
  )
  const ended = child.exit.then((exit) => `the server ended before it listened (${describeExit(exit)})`)
  const port = await Promise.race([portOf(child.process), ended])
  if (typeof port === 'string') throw new Error(port)
  return {
    port,
    cpu: () =>
      new Promise((resolve) => {
        child.process.once('message', (used) => resolve(used as number))
        child.process.send('')
      }),
    async stop() {
      await endChild(child, STOP_GRACE_MS)
    },
  }
}

export interface ProbedGatewayOptions {
  readonly redisUrl: string
  /** What its configuration file says. */
  readonly config: object
  readonly env?: Readonly<Record<string, string>>
  readonly profile?: string | undefined
}

/** Weir's gateway with a directory of its own, which is removed when it stops. */
export async function startProbedGateway(options: ProbedGatewayOptions): Promise<ProbedServer> {
  const { redisUrl, config, env, profile } = options
  const data = mkdtempSync(join(tmpdir(), 'weir-bench-'))
  writeFileSync(join(data, 'config.yaml'), JSON.stringify(config)) // JSON is YAML
  const server = await startProbed({
    program: [fileURLToPath(new URL('../apps/ingest/src/main.ts', import.meta.url))],
    cwd: data,
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      REDIS_URL: redisUrl,
      WEIR_DATA_DIR: data,
      GITHUB_WEBHOOK_SECRET: SECRET,
      ...env,
    },
    profile,
  })
  return {
    ...server,
    async stop() {
      await server.stop()
      rmSync(data, { recursive: true, force: true })
    },
  }
}

function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    // Read to the end: a full pipe would stop the server.
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const { port } = JSON.parse(line) as { port?: number }
      if (port !== undefined) resolve(port)
    })
  })
}
