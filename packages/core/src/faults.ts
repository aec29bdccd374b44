/**
 * Faults: what is thrown. Expected outcomes (a duplicate, a limit) are returned instead.
 * Every fault has a stable code from this table; docs/errors.md lists them, checked by a test.
 */
export const FAULTS = {
  CONFIG_INVALID:
    'The configuration is wrong; the message names each path, what was found and what is allowed.',
  REDIS_UNAVAILABLE: 'Redis did not answer, or answered with something that is not an answer yet.',
  REDIS_OUT_OF_MEMORY: 'Redis refused a write because maxmemory is reached (policy noeviction).',
  REDIS_UNSUITABLE: 'The Redis server cannot be used: wrong version, eviction policy or missing permission.',
  DICTIONARY_MISSING:
    'A record names a compression dictionary that is neither bundled nor published in Redis.',
  RECORD_CORRUPT: 'A stored record cannot be decoded; its bytes are kept as they are.',
  RECORD_NEWER: 'A record was packed in a way that only a newer version of Weir knows; it waits for one.',
  KEY_MISSING:
    'The key that something was encrypted with is not in the keyring, or its master key is not configured; it waits.',
  KEY_DESTROYED:
    'The key that something was encrypted with was destroyed on purpose; nobody can read it any more.',
  KEYRING_UNAVAILABLE: 'The keyring could not be read or written.',
  KEYRING_CORRUPT: 'An entry of the keyring is damaged; what was encrypted for its tenant waits.',
  SPOOL_FULL: 'The local spool has reached its size or age limit.',
  SPOOL_IO: 'The local spool could not be written or synced.',
  COLD_UNAVAILABLE:
    'Cold storage did not answer, was too slow, asked to slow down, or its disk is full; it is tried again.',
  COLD_REFUSED:
    'Cold storage refuses what is asked of it (credentials, permission, no such bucket, wrong region); the message says what to change.',
  AI_UNAVAILABLE:
    'The provider of embeddings or summaries did not answer, or said that it cannot now; the enrichment waits.',
  AI_REFUSED: 'The provider refused the key, the model or the account; nothing changes until somebody does.',
  AI_INPUT_REFUSED:
    'The provider refused what it was given to read: too long, or not of a form it takes. The same text is refused again.',
  AI_ANSWER_INVALID:
    'The provider answered something that is no answer: not JSON, wrong counts or lengths, empty.',
  HANDLER_INVALID: 'A handler module does not export what defineHandler makes.',
  HANDLER_TIMEOUT: 'A handler did not finish within consumer.handler_timeout.',
} as const

export type FaultCode = keyof typeof FAULTS

/** An error with a stable code; `cause` keeps what lies beneath. */
export class Fault extends Error {
  readonly code: FaultCode
  constructor(code: FaultCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'Fault'
    this.code = code
  }
}

/** True for a Fault with this code. */
export function isFault(error: unknown, code?: FaultCode): error is Fault {
  return error instanceof Fault && (code === undefined || error.code === code)
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
