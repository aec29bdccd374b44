/**
 * What the body is made of: its media type, its encoding, and, for the tools whose identity stands in the body,
 * its JSON. Looked at only after the signature.
 *
 * The signature covers the bytes on the wire, so an encoded body is verified, hashed and stored as it came (the
 * content-encoding header is kept with it) and unpacked only to be read here.
 */
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { essenceOf, parseBody } from '@weir/core/adapters/parse'
import { messageOf } from '@weir/core/faults'
import { SIZE_ADVICE } from './body.ts'
import { type RequestHeaders, sole } from './headers.ts'
import { type Problem, problem } from './problem.ts'
import type { Sender } from './sender.ts'

const unzip = promisify(gunzip)

/** Undefined when type and encoding are what this tool may send. */
export function contentProblem(sender: Sender, headers: RequestHeaders): Problem | undefined {
  const type = sole(headers, 'content-type')
  if (type !== sender.mediaTypes[0] && !sender.mediaTypes.includes(essenceOf(type))) {
    return problem(
      'CONTENT_TYPE_UNSUPPORTED',
      `Send ${sender.tool} events with Content-Type ${sender.mediaTypes.join(' or ')}.`,
    )
  }
  const encoding = encodingOf(headers)
  if (encoding === '' || sender.encodings.has(encoding)) return undefined
  return problem(
    'CONTENT_ENCODING_UNSUPPORTED',
    `Send ${sender.tool} events without a Content-Encoding, or allow gzip in webhook.tools.${sender.tool}.content_encodings.`,
    ['Accept-Encoding', [...sender.encodings].join(', ') || 'identity'],
  )
}

/** `gzip`, or '' where the body is as it is. */
function encodingOf(headers: RequestHeaders): string {
  const encoding = sole(headers, 'content-encoding')?.trim().toLowerCase() ?? ''
  return encoding === 'identity' ? '' : encoding
}

export type BodyJson =
  | { readonly ok: true; readonly json: unknown }
  | { readonly ok: false; readonly problem: Problem }

export interface ReadingLimits {
  /** What unpacking may make of a body, bytes. */
  readonly maxBytes: number
  /** Deepest nesting of its JSON. */
  readonly maxDepth: number
}

/** The body's JSON, for a tool that reads it. */
export async function jsonOf(
  sender: Sender,
  headers: RequestHeaders,
  body: Buffer,
  { maxBytes, maxDepth }: ReadingLimits,
): Promise<BodyJson> {
  let plain = body
  if (encodingOf(headers) !== '') {
    try {
      plain = await unzip(body, { maxOutputLength: maxBytes })
    } catch (error) {
      return { ok: false, problem: unpackProblem(error, maxBytes) }
    }
  }
  const parsed = parseBody(sender.adapter, sole(headers, 'content-type'), plain, maxDepth)
  if (parsed.ok) return parsed
  return {
    ok: false,
    problem: problem('BODY_UNREADABLE', `${sentence(parsed.reason)} Send it as ${sender.tool} does.`),
  }
}

function unpackProblem(error: unknown, maxBytes: number): Problem {
  if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') {
    return problem('BODY_TOO_LARGE', `Unpacked, the body has more than ${maxBytes} bytes. ${SIZE_ADVICE}`)
  }
  return problem(
    'BODY_UNREADABLE',
    `The body is not gzip, as its Content-Encoding says (${messageOf(error)}).`,
  )
}

function sentence(reason: string): string {
  return `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`
}
