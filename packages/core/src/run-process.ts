/** How every process of Weir's begins and ends. */
import { isFault } from './faults.ts'

/** What of Node's `process` is needed here; only a main.ts hands it out. */
export interface OwnProcess {
  on(event: 'SIGINT' | 'SIGTERM', listener: () => void): unknown
  exit(code: number): void
  readonly stderr: { write(text: string): unknown }
}

/** Runs `main`; when it fails, the process ends with exit code 1 and tells why on stderr. */
export function runProcess(own: OwnProcess, main: () => Promise<void>): void {
  main().catch((error: unknown) => fail(own, error))
}

/**
 * At the first SIGINT or SIGTERM runs `stop`, then ends the process: exit code 0, or 1 when `stop` fails. Signals
 * that follow change nothing.
 *
 * Call it before the process answers anything or takes any work: until then a signal ends it as it ends any program.
 * So `stop` may run before the start is through, and stops what is there by then.
 */
export function stopAtSignal(own: OwnProcess, stop: (signal: string) => Promise<void>): void {
  let stopping = false
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

function fail(own: OwnProcess, error: unknown): void {
  const text = isFault(error) ? error.message : error instanceof Error ? error.stack : String(error)
  own.stderr.write(`${text}\n`)
  own.exit(1)
}
