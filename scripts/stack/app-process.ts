/** One app of the stack as a child process: started with its output in a log file, and asked whether it is ready. */
import { createInterface } from 'node:readline'
import type { Clock } from '@weir/core/clock'
import { messageOf } from '@weir/core/faults'
import { endChild, spawnTied } from '../tied-child.ts'
import { type LogFile, readableLogLine } from './log-file.ts'
import type { Running } from './supervise.ts'

/** Time-out of one question to a child's health, ms. */
const QUESTION_TIMEOUT_MS = 2_000
/** Lines of one app that the screen shows within `ECHO_WINDOW_MS`; the log file has all. */
const ECHO_LINES = 20
const ECHO_WINDOW_MS = 10_000

export interface AppPlan {
  readonly name: string
  /** Its main, absolute. */
  readonly script: string
  /** What Node is started with. */
  readonly nodeOptions?: readonly string[]
  /** How long it takes at most to stop by itself, ms; it is killed a few seconds later. */
  readonly shutdownMs: number
  /** Ports it listens on, with the words that tell how to choose another. */
  readonly ports: readonly { readonly port: number; readonly choose: string }[]
  /** Where it answers whether it is ready; undefined: it is when it runs. */
  readonly ready: ReadyQuestion | undefined
}

export interface ReadyQuestion {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  /** Looks at the JSON of a 200; default: a 200 is enough. */
  readonly accept?: (answer: unknown) => boolean
}

/** Starts an app with this very Node. Its lines go to `log`, warnings and errors also to `say`, not too many. */
export function launchApp(
  app: AppPlan,
  env: Readonly<Record<string, string>>,
  log: LogFile,
  say: (line: string) => void,
  clock: Pick<Clock, 'monotonic'>,
): Running {
  const child = spawnTied(process.execPath, [...(app.nodeOptions ?? []), app.script], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const echo = limitedEcho((text) => say(`${app.name}: ${text}`), clock)
  for (const stream of [child.process.stdout, child.process.stderr]) {
    if (!stream) continue
    createInterface({ input: stream }).on('line', (line) => {
      log.write(line)
      const readable = readableLogLine(line)
      if (readable !== undefined) echo(readable)
    })
  }
  return {
    pid: child.process.pid ?? 0,
    exit: child.exit,
    end: (graceMs) => endChild(child, graceMs),
    kill: () => void child.process.kill('SIGKILL'),
  }
}

/** An outage can bring thousands of warnings a second: shows the first of each window, and how many were left out. */
function limitedEcho(show: (text: string) => void, clock: Pick<Clock, 'monotonic'>): (text: string) => void {
  let windowStart = Number.NEGATIVE_INFINITY
  let shown = 0
  let leftOut = 0
  return (text) => {
    const now = clock.monotonic()
    if (now - windowStart >= ECHO_WINDOW_MS) {
      if (leftOut > 0) show(`… ${leftOut} more lines in its log file`)
      windowStart = now
      shown = 0
      leftOut = 0
    }
    if (shown < ECHO_LINES) {
      shown += 1
      show(text)
    } else {
      leftOut += 1
    }
  }
}

/** Asks once: undefined when the answer is yes, else what it was. */
export async function askReady(question: ReadyQuestion): Promise<string | undefined> {
  const { url, headers = {}, accept = () => true } = question
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(QUESTION_TIMEOUT_MS) })
    const text = await response.text()
    if (response.status === 200 && accept(JSON.parse(text))) return undefined
    return `${url} answers ${response.status} ${text.slice(0, 200)}`
  } catch (error) {
    return `${url} does not answer (${messageOf(error)})`
  }
}
