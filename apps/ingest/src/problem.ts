/**
 * Every refusal of the gateway, in one table (docs/errors.md explains them, checked by a test). On the wire each
 * is a problem document (RFC 9457, application/problem+json) with a stable `code`; `detail` says what to do.
 */

interface Kind {
  readonly status: number
  readonly title: string
  /** What the sender, or who configured it, can do; used where the refusal has nothing more exact to say. */
  readonly advice: string
}

export const PROBLEMS = {
  MALFORMED_REQUEST: {
    status: 400,
    title: 'This is not HTTP',
    advice: 'Send a well-formed HTTP/1.1 request.',
  },
  HEADER_REPEATED: {
    status: 400,
    title: 'A header came more than once',
    advice: 'Send each header that identifies the event once.',
  },
  TENANT_INVALID: {
    status: 400,
    title: 'The tenant in the path is not a name',
    advice:
      'Use 1 to 63 lower-case letters, digits, - and _, beginning with a letter or digit, without percent-encoding.',
  },
  BODY_TRUNCATED: {
    status: 400,
    title: 'The body ended too early',
    advice: 'Send as many bytes as Content-Length says, or the last chunk.',
  },
  BODY_UNREADABLE: {
    status: 400,
    title: 'The body cannot be read',
    advice: 'Send what the Content-Type and Content-Encoding headers say.',
  },
  SIGNATURE_MISSING: {
    status: 401,
    title: 'The request is not signed',
    advice: 'Configure the sender to sign its requests with the shared secret.',
  },
  SIGNATURE_MALFORMED: {
    status: 401,
    title: 'The signature headers are malformed',
    advice: 'Send sha256= and 64 hex digits, and the time of signing where the scheme has one.',
  },
  SIGNATURE_REPEATED: {
    status: 401,
    title: 'A signature header came more than once',
    advice: 'Send each signature header once.',
  },
  SIGNATURE_MISMATCH: {
    status: 401,
    title: 'The signature is wrong',
    advice: 'Compare the secret on both sides, and let nothing on the way change the body.',
  },
  TIMESTAMP_STALE: {
    status: 401,
    title: 'The request was signed too long ago',
    advice: "Sign each attempt anew and check the sender's clock.",
  },
  TIMESTAMP_FUTURE: {
    status: 401,
    title: 'The request was signed in the future',
    advice: "Check the sender's clock.",
  },
  SECRET_NOT_CONFIGURED: {
    status: 401,
    title: 'There is nothing to verify this request with',
    advice: 'Configure a secret for the tool.',
  },
  UNSIGNED_NOT_LOCAL: {
    status: 401,
    title: 'Unsigned requests are accepted from this machine only',
    advice: 'Send directly from the machine that the gateway runs on, or sign the requests.',
  },
  TOKEN_REQUIRED: {
    status: 401,
    title: 'This page is for operators',
    advice:
      'Send Authorization: Bearer with the value of OPS_TOKEN, or set observability.metrics.open: true.',
  },
  ADDRESS_NOT_ALLOWED: {
    status: 403,
    title: 'This address may not send events of this tool',
    advice: 'Send from an address that webhook.tools.<tool>.allow_from lists, or add this one to the list.',
  },
  TOOL_UNKNOWN: {
    status: 404,
    title: 'There is no such tool',
    advice: 'Correct the URL that the sender is configured with.',
  },
  ROUTE_UNKNOWN: {
    status: 404,
    title: 'There is nothing at this path',
    advice: 'Send webhooks to /webhooks/<tool> or /webhooks/<tool>/<tenant>.',
  },
  METHOD_NOT_ALLOWED: {
    status: 405,
    title: 'The method is not allowed here',
    advice: 'Use a method that the Allow header names.',
  },
  REQUEST_TIMEOUT: {
    status: 408,
    title: 'The request took too long',
    advice: 'Send headers and body without pauses.',
  },
  REPLAY_SUSPECTED: {
    status: 409,
    title: 'This body came before under another delivery id',
    advice: 'Redeliver the first delivery instead, or set webhook.security.replay_suspects: flag.',
  },
  BODY_TOO_LARGE: {
    status: 413,
    title: 'The body is too large',
    advice: 'Send less, or raise webhook.security.max_payload_size.',
  },
  CONTENT_TYPE_UNSUPPORTED: {
    status: 415,
    title: 'The content type is not one that this tool sends',
    advice: 'Configure the sender to send JSON.',
  },
  CONTENT_ENCODING_UNSUPPORTED: {
    status: 415,
    title: 'The content encoding is not allowed',
    advice: 'Send the body uncompressed, or allow the encoding in webhook.tools.<tool>.content_encodings.',
  },
  SIGNATURE_FLOOD: {
    status: 429,
    title: 'Too many requests of this address were badly signed',
    advice: 'Sign the requests with the right secret; send it again after Retry-After.',
  },
  RATE_LIMITED: {
    status: 429,
    title: 'Too many events',
    advice: 'Send it again after Retry-After.',
  },
  HEADERS_TOO_LARGE: {
    status: 431,
    title: 'The headers are too large',
    advice: 'Send less than 16 KiB of headers.',
  },
  INTERNAL: {
    status: 500,
    title: 'The gateway failed at this request',
    advice: 'Send it again; the log of the gateway says what happened.',
  },
  UNAVAILABLE: {
    status: 503,
    title: 'The event cannot be kept safely now',
    advice: 'Send it again after Retry-After.',
  },
} as const satisfies Record<string, Kind>

export type ProblemCode = keyof typeof PROBLEMS

/** One refusal. */
export interface Problem {
  readonly code: ProblemCode
  /** Differs from the table's only where it is 429 there: the sender decides which status makes it retry. */
  readonly status: number
  readonly detail: string
  /** More headers of the answer, name and value in turn. */
  readonly headers: readonly string[]
}

const NO_HEADERS: readonly string[] = []

/** `detail` must not repeat what the sender sent, unless it was checked before. */
export function problem(
  code: ProblemCode,
  detail: string = PROBLEMS[code].advice,
  headers: readonly string[] = NO_HEADERS,
  status: number = PROBLEMS[code].status,
): Problem {
  return { code, status, detail, headers }
}

/** The document's JSON. */
export function problemDocument({ code, status, detail }: Problem): string {
  return JSON.stringify({
    type: `urn:weir:problem:${code}`,
    title: PROBLEMS[code].title,
    status,
    code,
    detail,
  })
}
