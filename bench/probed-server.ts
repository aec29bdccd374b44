/** A server in a process of its own, whose CPU is asked for by message (gateway-probe.ts). */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

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
  const child = spawn(process.execPath, [...profiling, '--import', probe, ...program], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    cwd,
    env,
  })
  const orphan = () => child.kill('SIGKILL')
  process.once('exit', orphan)
  return {
    port: await portOf(child),
    cpu: () =>
      new Promise((resolve) => {
        child.once('message', (used) => resolve(used as number))
        child.send('')
      }),
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      await ended
      process.off('exit', orphan)
    },
  }
}

function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    // Read to the end: a full pipe would stop the server.
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const { port } = JSON.parse(line) as { port?: number }
      if (port !== undefined) resolve(port)
    })
    child.once('exit', () => reject(new Error('the server ended before it listened')))
  })
}
