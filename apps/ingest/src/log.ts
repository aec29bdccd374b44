/** The gateway's log: JSON, one wide line for each thing that happened, nothing secret in it. */
import { type DestinationStream, type Logger, pino } from 'pino'

/** Never written, wherever an object that holds them is logged. The gateway logs no headers and no bodies. */
const REDACTED = [
  'authorization',
  'secret',
  'secrets',
  'password',
  'token',
  'x-hub-signature-256',
  'x-webhook-signature',
  'x-gitlab-token',
]

/** @param destination standard output where nothing is given */
export function createLog(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: { app: 'gateway' },
    redact: REDACTED.flatMap((name) => [`["${name}"]`, `*["${name}"]`, `*.headers["${name}"]`]),
  }
  return destination === undefined ? pino(options) : pino(options, destination)
}

/**
 * Tells of connection errors: each new message at once, its repetitions (a reconnect every second) only at debug.
 * `calm` forgets them, so that the next outage is told again.
 */
export function createErrorTeller(log: Logger): { tell(error: Error): void; calm(): void } {
  let told = ''
  return {
    tell({ message }) {
      const line = { event: 'redis', reason: message }
      if (message === told) log.debug(line, 'connection to Redis')
      else log.warn(line, 'connection to Redis')
      told = message
    },
    calm() {
      told = ''
    },
  }
}
