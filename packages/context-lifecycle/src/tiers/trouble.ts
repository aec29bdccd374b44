/** Whose trouble it is when a context cannot be moved. */
import { type Fault, type FaultCode, isFault } from '@weir/core/faults'

/** That of the context alone, until it is mended: a key or dictionary is missing, or bytes are damaged. */
const STUCK: ReadonlySet<FaultCode> = new Set([
  'KEY_MISSING',
  'KEY_DESTROYED',
  'DICTIONARY_MISSING',
  'RECORD_NEWER',
  'RECORD_CORRUPT',
] as const)

/** That of every context. */
const EVERYWHERE: ReadonlySet<FaultCode> = new Set([
  'REDIS_UNAVAILABLE',
  'REDIS_OUT_OF_MEMORY',
  'REDIS_UNSUITABLE',
  'COLD_UNAVAILABLE',
  'COLD_REFUSED',
] as const)

export function isStuck(error: unknown): error is Fault {
  return isFault(error) && STUCK.has(error.code)
}

export function isEverywhere(error: unknown): boolean {
  return isFault(error) && EVERYWHERE.has(error.code)
}
