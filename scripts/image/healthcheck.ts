/**
 * HEALTHCHECK of the image: asks the app that runs in this container whether it is alive (`GET /health`), on the port that
 * its configuration says. Exit code 0 or 1. Kubernetes does not use it; its probes ask by themselves.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
// By path: the image has no development packages, and @weir/core is one of the root's.
import { loadConfig } from '../../packages/core/src/config/load.ts'
import type { Config } from '../../packages/core/src/config/schema.ts'
import { messageOf } from '../../packages/core/src/faults.ts'

/** How long the app may take to answer, ms; below the `--timeout` of the HEALTHCHECK. */
const ANSWER_TIMEOUT_MS = 3_000

const apps = fileURLToPath(new URL('../../apps/', import.meta.url))

try {
  const running = runningRoom()
  const port =
    running && portOf(running, (await loadConfig({ env: process.env, defaultFile: 'config.yaml' })).config)
  // A command of webhook-cli serves nothing, and apps may be told to serve no health: then there is nobody to ask.
  if (port) {
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS)
    const { status } = await fetch(`http://127.0.0.1:${port}/health`, { signal })
    if (status !== 200) throw new Error(`${running} answers ${status} to /health`)
  }
} catch (error) {
  console.error(`unhealthy: ${messageOf(error)}`)
  process.exitCode = 1
}

/** The room of the app that runs here: the first process, or a child of it (`docker run --init`). */
function runningRoom(): string | undefined {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const script = argumentsOf(pid).find((word) => word.startsWith(apps) && word.endsWith('/src/main.ts'))
    if (script) return script.slice(apps.length).split('/')[0]
  }
  return undefined
}

function argumentsOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return [] // it has just ended
  }
}

function portOf(room: string, { webhook }: Config): number | null {
  const { ingest, consumer, ops, context_lifecycle: contexts } = webhook
  switch (room) {
    case 'ingest':
      return ingest.port
    case 'consumer':
      return consumer.ops_port
    case 'curator':
      return contexts.curator.ops_port
    case 'console':
      return ops.port
    default:
      return null
  }
}
