/** The gateway's log: JSON, one wide line for each thing that happened, nothing secret in it. */
import { CREDENTIAL_HEADERS } from '@weir/security/schemes'
import { type DestinationStream, type Logger, pino } from 'pino'

/** Never written, wherever an object that holds them is logged. The gateway logs no headers and no bodies. */
const REDACTED = [...CREDENTIAL_HEADERS, 'secret', 'secrets', 'password', 'token']

/** @param destination standard output where nothing is given */
export function createLog(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: { app: 'gateway' },
    redact: REDACTED.flatMap((name) => [`["${name}"]`, `*["${name}"]`, `*.headers["${name}"]`]),
  }
  return destination === undefined ? pino(options) : pino(options, destination)
}
