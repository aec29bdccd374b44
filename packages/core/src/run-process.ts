/** How every process of Weir's begins and ends. */
import { isFault } from './faults.ts'

/** What of Node's `process` is needed here; only a main.ts hands it out. */
export interface OwnProcess {
  on(event: 'SIGINT' | 'SIGTERM', listener: () => void): unknown
  exit(code: number): void
  readonly stderr: { write(text: string): unknown }
}

/** Takes what is to be done at the first SIGINT or SIGTERM; `signal` is its name. */
export type StopAtSignal = (stop: (signal: string) => Promise<void>) => void

/**
 * Runs `main`; when it fails, the process ends with exit code 1 and tells why on stderr.
 *
 * `main` calls its argument once, before the process answers anything or takes any work: until then a signal ends the
 * process as it ends any program. At the first SIGINT or SIGTERM the given `stop` runs and the process ends: exit code
 * 0, or 1 when `stop` fails. Signals that follow change nothing. So `stop` may run before the start is through, and
 * stops what is there by then; that the start fails of it is no failure.
 */
export function runProcess(own: OwnProcess, main: (stopAtSignal: StopAtSignal) => Promise<void>): void {
  let stopping = false
  const stopAtSignal: StopAtSignal = (stop) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      own.on(signal, () => {
        if (stopping) return
        stopping = true
        stop(signal).then(
          () => own.exit(0),
          (error: unknown) => fail(own, error),
        )
      })
    }
  }
  main(stopAtSignal).catch((error: unknown) => {
    if (!stopping) fail(own, error)
  })
}

function fail(own: OwnProcess, error: unknown): void {
  const text = isFault(error) ? error.message : error instanceof Error ? error.stack : String(error)
  own.stderr.write(`${text}\n`)
  own.exit(1)
}
