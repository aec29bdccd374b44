/**
 * Reading payloads of unknown shape without ever throwing and without seeing inherited properties:
 * `constructor` or `__proto__` in a path finds only what the sender wrote.
 */

/** Longest subject key kept, in characters; the key is stored with the context it names. */
export const SUBJECT_KEY_MAX = 256
/** Longest title kept, in characters. */
export const TITLE_MAX = 512
/** Longest link kept, in characters (what browsers commonly accept). */
const URL_MAX = 2048
/** Longest delivery id believed, in characters. Real ones are UUIDs or shorter than 64. */
export const DELIVERY_ID_MAX = 256

/** Event types and actions as they may appear in records, logs and handler names. */
export const TYPE_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$/
/** The type of an event whose sender names none, or names it with something that is no name. */
export const UNKNOWN_TYPE = 'unknown'

/** The value at a path of own properties (array indexes as numbers), undefined where the path ends early. */
export function peek(value: unknown, ...path: readonly (string | number)[]): unknown {
  let at: unknown = value
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined
    at = (at as Record<string | number, unknown>)[step]
  }
  return at
}

/** The non-empty string at a path. */
export function text(value: unknown, ...path: readonly (string | number)[]): string | undefined {
  const found = peek(value, ...path)
  return typeof found === 'string' && found !== '' ? found : undefined
}

/** The number or non-empty string at a path, as a string: ids and issue numbers. */
export function label(value: unknown, ...path: readonly (string | number)[]): string | undefined {
  const found = peek(value, ...path)
  if (typeof found === 'number') return Number.isFinite(found) ? String(found) : undefined
  return typeof found === 'string' && found !== '' ? found : undefined
}

/** An http or https link. Anything else (`javascript:…`) is dropped: consoles show these as links. */
export function link(value: unknown, ...path: readonly (string | number)[]): string | undefined {
  const found = text(value, ...path)
  return found !== undefined && found.length <= URL_MAX && /^https?:\/\//i.test(found) ? found : undefined
}

/** The string if it may be an event type or action, else undefined. */
export function typeName(value: unknown): string | undefined {
  return typeof value === 'string' && TYPE_PATTERN.test(value) ? value : undefined
}

/** A single header value that may serve as a delivery id: present, not empty, not longer than DELIVERY_ID_MAX. */
export function deliveryId(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= DELIVERY_ID_MAX ? value : undefined
}
