/**
 * What follows every connect, because what Redis knew may be gone: the consumer group, the dictionaries, what it had
 * acknowledged, the copies of its bloom filters. The steps are independent; each is tried until it works, or until the
 * connection is another one, after which all of them are due again.
 */
import type { Clock } from '@weir/core/clock'
import { isFault, messageOf } from '@weir/core/faults'
import type { Logger } from 'pino'
import type { GatewayMetrics } from './metrics.ts'
import type { Pulse } from './pulse.ts'

export interface Step {
  readonly name: string
  run(): Promise<unknown>
}

export interface AfterConnectOptions {
  readonly pulse: Pulse
  readonly clock: Clock
  readonly metrics: GatewayMetrics
  readonly log: Logger
}

/** Pause before the steps that failed are tried again, ms. */
const RETRY_PAUSE_MS = 1000

/** Runs the steps in their order. `signal` aborts when the connection is another one, or the gateway stops. */
export async function runSteps(
  steps: readonly Step[],
  signal: AbortSignal,
  options: AfterConnectOptions,
): Promise<void> {
  let left = steps
  while (!signal.aborted) {
    const failed: Step[] = []
    for (const step of left) {
      if (!signal.aborted && !(await attempt(step, options))) failed.push(step)
    }
    if (failed.length === 0) return
    left = failed
    await options.clock.wait(RETRY_PAUSE_MS, signal)
  }
}

async function attempt(step: Step, { pulse, metrics, log }: AfterConnectOptions): Promise<boolean> {
  try {
    await step.run()
    return true
  } catch (error) {
    if (isFault(error, 'REDIS_UNAVAILABLE')) pulse.suspect()
    metrics.count('webhook_faults_total', isFault(error) ? error.code : 'UNEXPECTED')
    log.warn(
      { event: 'after_connect', step: step.name, reason: messageOf(error) },
      'a step after connecting failed; it is tried again',
    )
    return false
  }
}
