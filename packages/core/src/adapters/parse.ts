/**
 * From raw bytes to JSON, for adapters that read the body (gateway) and for handlers (consumer).
 * The raw bytes stay what is signed, hashed and stored; what this returns is only ever read.
 *
 * The result is what JSON.parse makes: an own property `__proto__` is possible and harmless as long as nobody
 * assigns it on (`Object.assign`, spreading into a class); read it with peek.ts.
 */
import { isUtf8 } from 'node:buffer'
import type { Adapter } from './adapter.ts'

/** Nesting allowed where nothing else is said; JSON.stringify fails at about 5,000, no tool here comes near 20. */
export const MAX_JSON_DEPTH = 64

export type ParsedBody =
  | { readonly ok: true; readonly json: unknown }
  | { readonly ok: false; readonly code: ParseFailure; readonly reason: string }

export type ParseFailure = 'media_type' | 'not_utf8' | 'no_payload' | 'too_deep' | 'not_json'

const FORM = 'application/x-www-form-urlencoded'

/**
 * Parses a body of one of the adapter's media types. Never throws.
 *
 * @param mediaType the Content-Type as sent (parameters are ignored); '' or undefined means the adapter's first
 * @param maxDepth deepest nesting of arrays and objects
 * @returns `ok: false` with a stable code and a sentence for the sender
 */
export function parseBody(
  adapter: Adapter,
  mediaType: string | undefined,
  body: Buffer,
  maxDepth: number = MAX_JSON_DEPTH,
): ParsedBody {
  const type = typeOf(adapter, mediaType)
  if (!adapter.mediaTypes.includes(type)) {
    return failed(
      'media_type',
      `${adapter.tool} sends ${adapter.mediaTypes.join(' or ')}, this is ${type.slice(0, 80)}`,
    )
  }
  if (type !== FORM) return parseJson(body, maxDepth)
  const payload = formField(body, 'payload')
  return typeof payload === 'string' ? parseJson(Buffer.from(payload), maxDepth) : payload
}

/** True when a body of this media type, which must be one of the adapter's, is JSON as it stands. */
export function isJsonType(adapter: Adapter, mediaType: string | undefined): boolean {
  const type = typeOf(adapter, mediaType)
  return type !== FORM && adapter.mediaTypes.includes(type)
}

function typeOf({ mediaTypes }: Adapter, mediaType: string | undefined): string {
  // As nearly every sender writes it.
  if (mediaType !== undefined && mediaTypes.includes(mediaType)) return mediaType
  return essenceOf(mediaType) || (mediaTypes[0] ?? '')
}

/** `Application/JSON; charset=utf-8` → `application/json`. */
export function essenceOf(mediaType: string | undefined): string {
  if (mediaType === undefined) return ''
  const end = mediaType.indexOf(';')
  const essence = end < 0 ? mediaType : mediaType.slice(0, end)
  // White space as HTTP has it, not as Unicode does (RFC 9110, 5.6.3).
  return essence.replace(/^[ \t]+|[ \t]+$/g, '').toLowerCase()
}

function parseJson(body: Buffer, maxDepth: number): ParsedBody {
  if (!isUtf8(body)) return failed('not_utf8', 'the body is not valid UTF-8')
  if (isDeeper(body, maxDepth)) {
    return failed('too_deep', `the JSON is nested deeper than ${maxDepth} levels`)
  }
  try {
    return { ok: true, json: JSON.parse(body.toString('utf8')) }
  } catch (error) {
    return failed(
      'not_json',
      `the body is not JSON: ${error instanceof Error ? positionOf(error.message) : 'unreadable'}`,
    )
  }
}

/** V8 quotes the payload in its message; only the position may leave, the rest may be personal data. */
function positionOf(message: string): string {
  return (
    /at position \d+/.exec(message)?.[0] ??
    (message.includes('end of JSON') ? 'it ends too early' : 'wrong syntax')
  )
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Whether arrays and objects are nested deeper than the limit. One pass over the bytes, without recursion and without
 * building anything; of wrong JSON it says something too.
 *
 * Bytes, not characters: once any class extends String (importing ioredis 6 is enough) V8 runs string methods in a loop
 * about three times slower; for 10 KB charCodeAt then took 15 µs instead of 4, and this takes 7 either way.
 */
function isDeeper(body: Buffer, limit: number): boolean {
  const end = body.length
  let depth = 0
  let i = 0
  while (i < end) {
    const byte = body[i++]
    if (byte === QUOTE) {
      while (i < end) {
        const inside = body[i++]
        if (inside === QUOTE) break
        if (inside === BACKSLASH) i++
      }
    } else if (byte === 0x7b || byte === 0x5b) {
      depth++
      if (depth > limit) return true
    } else if (byte === 0x7d || byte === 0x5d) depth--
  }
  return false
}

/**
 * One field of a form, exactly once. URLSearchParams is not used: it turns broken escapes and invalid UTF-8 into
 * other characters without a word.
 */
function formField(body: Buffer, name: string): string | ParsedBody {
  let found: string | undefined
  for (const pair of body.toString('latin1').split('&')) {
    const at = pair.indexOf('=')
    if (at < 0 || pair.slice(0, at) !== name) continue
    if (found !== undefined) return failed('no_payload', `the form has more than one field '${name}'`)
    found = pair.slice(at + 1)
  }
  if (found === undefined) return failed('no_payload', `the form has no field '${name}'`)
  // Bytes above ASCII must be escaped in a form; seen as latin1 they would be taken for other characters.
  if (/[^\x20-\x7e]/.test(found)) return failed('not_utf8', 'the form field holds bytes that must be escaped')
  try {
    return decodeURIComponent(found.replaceAll('+', ' '))
  } catch {
    return failed('not_utf8', 'the form field has broken escapes or invalid UTF-8')
  }
}

function failed(code: ParseFailure, reason: string): ParsedBody {
  return { ok: false, code, reason }
}
