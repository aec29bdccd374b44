/**
 * One look at a request's headers. Node's `headers` joins repeated ones with commas, so that two delivery ids become
 * a third; here a repeated header is seen for what it is. Usually none is, and then Node's are taken as they are.
 */
import type { IncomingMessage } from 'node:http'
import type { Header } from '@weir/core/event'
import { parseTraceparent } from '@weir/core/tracing/traceparent'

export interface RequestHeaders {
  /** By lower-case name; a list for a header that came more than once. */
  readonly byName: Readonly<Record<string, string | string[] | undefined>>
  /** A header that names the event and came more than once. */
  readonly repeated: string | undefined
}

/** Kept, but nothing is decided by it, and some proxies add their own. */
const MERELY_TOLD = 'user-agent'

/** @param keeps lower-case names of the headers that the event keeps */
export function readHeaders(request: IncomingMessage, keeps: readonly string[]): RequestHeaders {
  const { headers, rawHeaders } = request
  let names = 0
  for (const _ in headers) names++
  if (names * 2 === rawHeaders.length) return { byName: headers, repeated: undefined }

  const byName: Record<string, string | string[]> = Object.create(null)
  let repeated: string | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase()
    const value = rawHeaders[i + 1] as string
    const before = byName[name]
    if (before === undefined) {
      byName[name] = value
      continue
    }
    if (typeof before === 'string') byName[name] = [before, value]
    else before.push(value)
    if (name !== MERELY_TOLD && keeps.includes(name)) repeated = name
  }
  return { byName, repeated }
}

/** The headers that the event keeps, always in the same order: the same bytes from event to event pack best. */
export function keptHeaders(
  { byName }: RequestHeaders,
  keeps: readonly string[],
  requestId: string | undefined,
): Header[] {
  const kept: Header[] = []
  for (const name of keeps) {
    const value = byName[name]
    if (value === undefined) continue
    const text = typeof value === 'string' ? value : (value[0] as string)
    // Codings are the same in any case (RFC 9110, 8.4.1); whoever unpacks the body later need not know that.
    kept.push([name, name === 'content-encoding' ? text.trim().toLowerCase() : text])
  }
  if (requestId !== undefined) kept.push([REQUEST_ID_HEADER, requestId])
  return kept
}

/** The value of a header that came once; undefined when it is missing or repeated. */
export function sole(headers: RequestHeaders, name: string): string | undefined {
  const value = headers.byName[name]
  return typeof value === 'string' ? value : undefined
}

const REQUEST_ID_HEADER = 'x-request-id'
/** Printable ASCII without spaces: what may stand in a log and in an answer's header. */
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/

/** The correlation id that a proxy or the sender gave the request; undefined when there is none, or none that can be told. */
export function requestIdOf({ headers }: IncomingMessage): string | undefined {
  const value = headers[REQUEST_ID_HEADER]
  return typeof value === 'string' && REQUEST_ID.test(value) ? value : undefined
}

/** The request's W3C trace context, '' when there is none or it is not one. */
export function traceparentOf(headers: RequestHeaders): string {
  const value = sole(headers, 'traceparent')
  return value !== undefined && parseTraceparent(value) !== undefined ? value : ''
}
