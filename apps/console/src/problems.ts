/**
 * Every refusal of the operations API, in one table (docs/operations-api.md explains them, checked by a test). On the
 * wire each is a problem document (RFC 9457) with a stable `code`; `detail` says what to do.
 */
import type { FaultCode } from '@weir/core/faults'

interface Kind {
  readonly status: number
  readonly title: string
  /** What the caller can do; used where the refusal has nothing more exact to say. */
  readonly advice: string
}

export const PROBLEMS = {
  REQUEST_INVALID: {
    status: 400,
    title: 'The request is not one that this path takes',
    advice: 'Compare it with /openapi.json.',
  },
  EVENT_ID_MALFORMED: {
    status: 400,
    title: 'This is not an event id',
    advice: 'An event id is evt_ and 22 characters of A-Z a-z 0-9 - _, as the gateway answered it.',
  },
  LETTER_ID_MALFORMED: {
    status: 400,
    title: 'This is neither the id of a dead letter nor an event id',
    advice: 'Use letter_id (such as 1700000000000-0) or event_id of an entry of /dlq.',
  },
  CONTEXT_ID_MALFORMED: {
    status: 400,
    title: 'This is not the id of a context',
    advice:
      'The id of a context is ctx_ and 22 characters of A-Z a-z 0-9 - _, as /contexts and /events/<id> answer it.',
  },
  TOKEN_REQUIRED: {
    status: 401,
    title: 'This page is for operators',
    advice: 'Send Authorization: Bearer with the value of OPS_TOKEN.',
  },
  EVENT_UNKNOWN: {
    status: 404,
    title: 'There is no such event',
    advice:
      'It was never accepted here, or it was settled so long ago that it is forgotten (webhook.stream.keep_settled, webhook.deduplication.horizon).',
  },
  CONTEXT_UNKNOWN: {
    status: 404,
    title: 'There is no such context',
    advice: 'Nothing of its subject was taken up by a consumer; /contexts lists those that there are.',
  },
  LETTER_UNKNOWN: {
    status: 404,
    title: 'There is no such dead letter',
    advice: 'It was replayed or purged meanwhile; /dlq lists those that are there.',
  },
  ROUTE_UNKNOWN: {
    status: 404,
    title: 'There is nothing at this path',
    advice: '/openapi.json lists what there is.',
  },
  LETTER_UNREADABLE: {
    status: 409,
    title: 'The record of this dead letter cannot be read',
    advice: 'It cannot be replayed by this version; keep it for a version that can read it, or purge it.',
  },
  BYTES_GONE: {
    status: 410,
    title: 'The event was settled and its bytes are no longer held',
    advice:
      'Bytes stay readable in the context of the event, or, without contexts, for webhook.stream.keep_settled after it was accepted.',
  },
  INTERNAL: {
    status: 500,
    title: 'The operations API failed at this request',
    advice: 'Its log says what happened.',
  },
  RECORD_CORRUPT: {
    status: 500,
    title: 'The stored record cannot be read',
    advice: 'Its bytes are kept as they are.',
  },
  DICTIONARY_MISSING: {
    status: 503,
    title: 'The dictionary that the event was packed with is missing',
    advice: 'Start a gateway of the version that packed it; it publishes its dictionaries.',
  },
  KEY_MISSING: {
    status: 503,
    title: 'The key that this was encrypted with is missing',
    advice: 'Give this program the master keys and the keyring that the gateways have.',
  },
  KEY_DESTROYED: {
    status: 410,
    title: 'The key that this was encrypted with was destroyed',
    advice: 'Nobody can read it any more.',
  },
  RECORD_NEWER: {
    status: 503,
    title: 'The event was packed by a newer version',
    advice: 'Upgrade this program to the version of the gateways.',
  },
  REDIS_UNAVAILABLE: {
    status: 503,
    title: 'Redis does not answer',
    advice: 'Try again; webhook-cli status and /ready tell when it is back.',
  },
  REDIS_OUT_OF_MEMORY: {
    status: 503,
    title: 'Redis has no memory left for this',
    advice: 'Give Redis more memory, or drain the backlog.',
  },
  REDIS_UNSUITABLE: {
    status: 503,
    title: 'Redis refuses what Weir asks of it',
    advice: 'Check the user, the password and the version of Redis.',
  },
  COLD_UNAVAILABLE: {
    status: 503,
    title: 'Cold storage does not answer',
    advice: 'Try again; the log of this program says what is wrong.',
  },
  COLD_REFUSED: {
    status: 503,
    title: 'Cold storage refuses what Weir asks of it',
    advice: 'Check the bucket, the region and the access key (webhook.context_lifecycle.s3).',
  },
} as const satisfies Record<string, Kind>

export type ProblemCode = keyof typeof PROBLEMS

export interface ProblemDocument {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: ProblemCode
  readonly detail: string
}

/** Thrown by routes, answered by the server's error handler. */
export class Refusal extends Error {
  readonly document: ProblemDocument
  constructor(code: ProblemCode, detail: string = PROBLEMS[code].advice, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'Refusal'
    this.document = problemDocument(code, detail)
  }
}

/** What a caller is told of a fault in the core; faults that say nothing to a caller are INTERNAL. */
export function codeOfFault(code: FaultCode): ProblemCode {
  return code in PROBLEMS ? (code as ProblemCode) : 'INTERNAL'
}

export function problemDocument(code: ProblemCode, detail: string = PROBLEMS[code].advice): ProblemDocument {
  const { status, title } = PROBLEMS[code]
  return { type: `urn:weir:problem:${code}`, title, status, code, detail }
}
