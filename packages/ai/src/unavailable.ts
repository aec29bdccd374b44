import { Fault, isFault } from '@weir/core/faults'

/** Fault AI_UNAVAILABLE, with the time after which to ask again, where the provider said it. */
export class Unavailable extends Fault {
  /** ms */
  readonly retryAfterMs: number | undefined
  constructor(message: string, options: { readonly cause?: unknown; readonly retryAfterMs?: number } = {}) {
    super('AI_UNAVAILABLE', message, { cause: options.cause })
    this.name = 'Unavailable'
    this.retryAfterMs = options.retryAfterMs
  }
}

/** How long to wait at least, ms; undefined where nobody said it. */
export function retryAfterOf(error: unknown): number | undefined {
  return error instanceof Unavailable ? error.retryAfterMs : undefined
}

export function isUnavailable(error: unknown): error is Fault {
  return isFault(error, 'AI_UNAVAILABLE')
}
