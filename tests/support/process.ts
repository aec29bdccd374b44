/**
 * Child processes for tests: apps and scripts run as they run in earnest, their output captured.
 *
 *   const processes = useProcesses()                       (use-processes.ts)
 *   const app = processes.start('apps/ingest/src/main.ts', { env: { PORT: String(port), REDIS_URL: server.url } })
 *   await app.waitForHttp(`http://127.0.0.1:${port}/ready`)
 *
 * Whatever still runs at the end of the file is killed.
 */
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describeExit, type Exit, spawnTied } from '../../scripts/tied-child.ts'

/** The root of the repository. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** Default of `timeoutMs`: how long a process may take to say or answer what is waited for. */
const WAIT_TIMEOUT_MS = 30_000
const HTTP_POLL_MS = 25
/** Time-out of one HTTP question, ms; a process that was stopped or just started may never answer it. */
const HTTP_QUESTION_MS = 1_000
/** Characters of output shown in the message of a failed wait. */
const SHOWN_OUTPUT = 4_000

export interface StartOptions {
  readonly args?: readonly string[]
  /** The whole environment, besides PATH and HOME: tests do not depend on the developer's settings. */
  readonly env?: Readonly<Record<string, string>>
  /** Default: the root of the repository. */
  readonly cwd?: string
}

export interface WaitOptions {
  readonly timeoutMs?: number
}

export interface TestProcess {
  readonly pid: number
  /** Resolves when the process has ended; never rejects. */
  readonly exit: Promise<Exit>
  /** The same, when all that it wrote is here: `exit` may come before the last of it. Not for one that leaves children behind. */
  readonly done: Promise<Exit>
  /** All that it wrote until now, stdout and stderr as they came. */
  output(): string
  /** The first line, past or to come, that matches; rejects with the output when it does not come. */
  waitForLine(pattern: RegExp, options?: WaitOptions): Promise<RegExpExecArray>
  /** Asks until the answer has status 200 (or `accept` says yes); resolves with the body's text. */
  waitForHttp(
    url: string,
    options?: WaitOptions & {
      readonly accept?: (status: number, body: string) => boolean
      readonly headers?: Readonly<Record<string, string>>
    },
  ): Promise<string>
  /** Sends a signal (default SIGTERM) and resolves when the process has ended; at once for SIGSTOP and SIGCONT. */
  kill(signal?: NodeJS.Signals): Promise<Exit | undefined>
}

/** Runs any program. Whoever starts it ends it. */
export function startProcess(command: string, options: StartOptions): TestProcess {
  const child = spawnTied(command, options.args ?? [], {
    cwd: options.cwd ?? root,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    deathSignal: 'SIGKILL',
  })
  const { pid, stdout, stderr } = child.process
  if (pid === undefined || stdout === null || stderr === null) throw new Error(`could not start ${command}`)

  let output = ''
  const lines: string[] = []
  const listeners = new Set<(line: string) => void>()
  for (const stream of [stdout, stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      for (const listener of listeners) listener(line)
    })
  }
  // 'close' comes after the last output, 'exit' may come before it.
  const closed = new Promise<void>((resolve) => child.process.once('close', () => resolve()))
  const failure = (what: string) =>
    new Error(`${what}. Output of ${command}:\n${output.slice(-SHOWN_OUTPUT)}`)

  return {
    pid,
    exit: child.exit,
    done: Promise.all([child.exit, closed]).then(([exit]) => exit),
    output: () => output,
    async waitForLine(pattern, { timeoutMs = WAIT_TIMEOUT_MS } = {}) {
      for (const line of lines) {
        const match = pattern.exec(line)
        if (match) return match
      }
      return new Promise((resolve, reject) => {
        const end = (settle: () => void) => {
          clearTimeout(timer)
          listeners.delete(listener)
          settle()
        }
        const listener = (line: string) => {
          const match = pattern.exec(line)
          if (match) end(() => resolve(match))
        }
        const timer = setTimeout(
          () => end(() => reject(failure(`no line matched ${pattern} in ${timeoutMs} ms`))),
          timeoutMs,
        )
        listeners.add(listener)
        void Promise.all([child.exit, closed]).then(([exit]) =>
          end(() => reject(failure(`ended (${describeExit(exit)}) before a line matched ${pattern}`))),
        )
      })
    },
    async waitForHttp(
      url,
      { timeoutMs = WAIT_TIMEOUT_MS, accept = (status: number) => status === 200, headers = {} } = {},
    ) {
      const deadline = performance.now() + timeoutMs
      let ended: Exit | undefined
      void child.exit.then((exit) => {
        ended = exit
      })
      let last = 'no answer'
      while (performance.now() < deadline) {
        if (ended) throw failure(`ended (${describeExit(ended)}) before ${url} answered`)
        try {
          const response = await fetch(url, { headers, signal: AbortSignal.timeout(HTTP_QUESTION_MS) })
          const body = await response.text()
          if (accept(response.status, body)) return body
          last = `${response.status} ${body}`
        } catch (error) {
          last = error instanceof Error ? `${error.message}: ${String(error.cause ?? '')}` : String(error)
        }
        await wait(HTTP_POLL_MS)
      }
      throw failure(`${url} did not answer as expected in ${timeoutMs} ms (last: ${last})`)
    },
    async kill(signal = 'SIGTERM') {
      child.process.kill(signal)
      if (signal === 'SIGSTOP' || signal === 'SIGCONT') return undefined
      return child.exit
    },
  }
}
