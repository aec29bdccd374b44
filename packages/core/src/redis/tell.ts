import type { Logger } from 'pino'

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
