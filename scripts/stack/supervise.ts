/**
 * Keeps one process running.
 *
 *   starting ──up──▶ running ──ended by itself──▶ waiting ──pause over──▶ starting
 *      │                                             │
 *      └──ended or could not start──▶ waiting        └──the fifth end within a minute──▶ given up
 *   any ──stop──▶ stopping ──ended──▶ stopped
 *
 * The pause doubles with every end within the last minute. What a process says and serves is not looked at here.
 */
import type { Clock } from '@weir/core/clock'
import { messageOf } from '@weir/core/faults'
import { describeExit, type Exit } from '../tied-child.ts'

/** Ends within `DEATH_WINDOW_MS` after which a process is given up. */
const MAX_DEATHS = 5
const DEATH_WINDOW_MS = 60_000
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 8_000

/** A process that was started. */
export interface Running {
  readonly pid: number
  readonly exit: Promise<Exit>
  /** SIGTERM, and SIGKILL after `graceMs`; resolves when it has ended. */
  end(graceMs: number): Promise<Exit>
  /** SIGKILL, now. */
  kill(): void
}

export interface SuperviseOptions {
  /** Starts the process; resolves when it runs. */
  readonly launch: () => Promise<Running>
  readonly clock: Clock
  /** It ended by itself (or did not start) and is started again after `pauseMs`. */
  readonly onDeath: (how: string, pauseMs: number) => void
  readonly onRestart: (running: Running) => void
  /** It ended too often and is not started any more. */
  readonly onGivenUp: (how: string) => void
}

export interface Supervised {
  /** The process that runs now; undefined between two. */
  readonly running: Running | undefined
  /** Ends it for good. Resolves when it has ended; harmless when repeated. */
  stop(graceMs: number): Promise<void>
  /** Ends it for good at once (SIGKILL), also while `stop` still waits. */
  kill(): void
}

/** Starts the process and keeps it running; rejects only when the very first start fails. */
export async function supervise(options: SuperviseOptions): Promise<Supervised> {
  const { launch, clock, onDeath, onRestart, onGivenUp } = options
  const stopping = new AbortController()
  const deaths: number[] = []
  let running: Running | undefined = await launch()

  const keep = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      let how: string
      try {
        if (running === undefined) {
          running = await launch()
          if (stopping.signal.aborted) return // `stop` ends it
          onRestart(running)
        }
        how = describeExit(await running.exit)
      } catch (error) {
        how = messageOf(error)
      }
      if (stopping.signal.aborted) return
      running = undefined
      const now = clock.monotonic()
      deaths.push(now)
      while (deaths[0] !== undefined && now - deaths[0] > DEATH_WINDOW_MS) deaths.shift()
      if (deaths.length >= MAX_DEATHS) return onGivenUp(how)
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (deaths.length - 1), LONGEST_PAUSE_MS)
      onDeath(how, pauseMs)
      await clock.wait(pauseMs, stopping.signal)
    }
  }
  const kept = keep()

  return {
    get running() {
      return running
    },
    async stop(graceMs) {
      stopping.abort()
      await running?.end(graceMs)
      await kept
      // What was just being started when the stop came.
      await running?.end(graceMs)
    },
    kill() {
      stopping.abort()
      running?.kill()
    },
  }
}
