/** What an error of the S3 client is to us: which fault, in which words, and whether another attempt may end better. */
import { Fault, messageOf } from '@weir/core/faults'

/** What was asked of whom. */
export interface Asked {
  /** 'put contexts/…' */
  readonly what: string
  readonly bucket: string
  /** As people know it; without a user and a password. */
  readonly endpoint: string
  readonly region: string
}

export interface Judgement {
  readonly fault: Fault
  /** Another attempt may end better. */
  readonly again: boolean
  /** The server asked to be asked less often. */
  readonly busy: boolean
  /** How long the server asked to wait, ms; 0 where it did not say. */
  readonly waitMs: number
}

/** The end of the sentence: what somebody has to do. `home` is the region of the bucket, '' where the server did not say. */
type Advice = (asked: Asked, home: string) => string

const SETTINGS = 'webhook.context_lifecycle.s3'
const CREDENTIALS: Advice = () =>
  `check the access key and its secret (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for a temporary one, AWS_SESSION_TOKEN, or ${SETTINGS}), or the role that the machine has`
const PERMISSION: Advice = ({ bucket }) =>
  `allow this user or role s3:ListBucket on the bucket ${bucket} and s3:GetObject, s3:PutObject and s3:DeleteObject on what is in it (without s3:ListBucket an object that is not there looks like this too)`
const PLACE: Advice = ({ endpoint, region }, home) =>
  `the bucket is ${home === '' ? `not in ${region}, or not at ${endpoint}` : `in ${home}, not in ${region}`}; correct S3_REGION, and S3_ENDPOINT, which AWS does not need`
const CLOCK: Advice = () => 'the clock of this machine is wrong; correct it'
const CERTIFICATE: Advice = ({ endpoint }) =>
  `the certificate of ${endpoint} is not trusted; correct it, or name its authority in NODE_EXTRA_CA_CERTS`
const NO_S3: Advice = ({ endpoint }) => `what answers at ${endpoint} is not S3; correct S3_ENDPOINT`

/** By the code of the server or of Node, or the name of the client's error. */
const REFUSALS: Readonly<Record<string, Advice>> = {
  InvalidAccessKeyId: CREDENTIALS,
  SignatureDoesNotMatch: CREDENTIALS,
  ExpiredToken: CREDENTIALS,
  InvalidToken: CREDENTIALS,
  TokenRefreshRequired: CREDENTIALS,
  InvalidSecurity: CREDENTIALS,
  CredentialsProviderError: CREDENTIALS,
  AccessDenied: PERMISSION,
  AllAccessDisabled: PERMISSION,
  NoSuchBucket: ({ bucket, endpoint }) =>
    `there is no bucket ${bucket} at ${endpoint}; make it, or correct S3_BUCKET`,
  InvalidBucketName: ({ bucket }) => `${bucket} is no name of a bucket there; correct S3_BUCKET`,
  PermanentRedirect: PLACE,
  TemporaryRedirect: PLACE,
  AuthorizationHeaderMalformed: PLACE,
  IllegalLocationConstraintException: PLACE,
  RequestTimeTooSkewed: CLOCK,
  InvalidObjectState: () => 'the object was archived by a rule of the bucket; restore it and change the rule',
  CERT_HAS_EXPIRED: CERTIFICATE,
  DEPTH_ZERO_SELF_SIGNED_CERT: CERTIFICATE,
  ERR_TLS_CERT_ALTNAME_INVALID: CERTIFICATE,
  SELF_SIGNED_CERT_IN_CHAIN: CERTIFICATE,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: CERTIFICATE,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: CERTIFICATE,
  EPROTO: NO_S3,
  NotS3: NO_S3,
}

/** An answer that came, and that S3 does not give. */
export class NotS3 extends Error {
  override readonly name = 'NotS3'
}

/** 4xx that say nothing of what was asked: the connection was slow, bytes were damaged on the way, somebody else is at it. */
const PASSING = new Set([
  'RequestTimeout',
  'IncompleteBody',
  'BadDigest',
  'XAmzContentSHA256Mismatch',
  'OperationAborted',
  'ConditionalRequestConflict',
])
const BUSY = new Set([
  'SlowDown',
  'ServiceUnavailable',
  'TooManyRequests',
  'RequestLimitExceeded',
  'Throttling',
])
const BUSY_STATUS = new Set([429, 503])
/** Longest text of a server in a message, characters. */
const MAX_QUOTE = 200

/** @param nowMs ms since the epoch, for a Retry-After that is a date */
export function judge(error: unknown, asked: Asked, nowMs: number): Judgement {
  const { code, status, retryAfter, home, clockCorrected } = read(error)
  const place = `cold storage: ${asked.what}, bucket ${asked.bucket} at ${asked.endpoint}`
  const refusal = REFUSALS[code] ?? (status >= 300 && status < 400 ? PLACE : undefined)
  const passing = PASSING.has(code) || status === 408 || status === 429 || status < 300 || status >= 500
  const busy = BUSY.has(code) || BUSY_STATUS.has(status)
  if (refusal === undefined && passing) {
    const said = [status >= 300 ? String(status) : '', code, quote(messageOf(error), code)].filter(Boolean)
    const fault = new Fault('COLD_UNAVAILABLE', `${place}: ${said.join(' ')}`, { cause: error })
    return { fault, again: true, busy, waitMs: waitOf(retryAfter, nowMs) }
  }
  const advice =
    refusal?.(asked, home) ?? (status === 404 ? NO_S3(asked, home) : quote(messageOf(error), code))
  const said = [status >= 300 ? String(status) : '', code].filter(Boolean).join(' ')
  const fault = new Fault('COLD_REFUSED', `${place}: refused (${said}); ${advice}`, { cause: error })
  // The client has taken over the server's time: signed anew, the same request may be believed.
  return { fault, again: clockCorrected, busy: false, waitMs: 0 }
}

/** The server says that there is no such object, and does so in the words of S3: a 404 alone may be anybody's. */
export function isMissing(error: unknown): boolean {
  const { code, status } = read(error)
  return status === 404 && code === 'NoSuchKey'
}

interface Read {
  /** The server's code, Node's, or the name of the client's error. */
  readonly code: string
  /** 0 where there was no answer. */
  readonly status: number
  readonly retryAfter: string
  readonly home: string
  readonly clockCorrected: boolean
}

function read(error: unknown): Read {
  const known = (typeof error === 'object' && error !== null ? error : {}) as {
    name?: unknown
    code?: unknown
    $metadata?: { httpStatusCode?: number; clockSkewCorrected?: boolean }
    $response?: { headers?: Record<string, string> }
  }
  // Errors of Node have a code, those of the client a name, which is the server's code.
  const code = typeof known.code === 'string' ? known.code : typeof known.name === 'string' ? known.name : ''
  const headers = known.$response?.headers ?? {}
  return {
    code: code === 'Error' || code === 'UnknownError' ? '' : code,
    status: known.$metadata?.httpStatusCode ?? 0,
    retryAfter: headers['retry-after'] ?? '',
    home: /^[a-z0-9-]{1,32}$/.exec(headers['x-amz-bucket-region'] ?? '')?.[0] ?? '',
    clockCorrected: known.$metadata?.clockSkewCorrected === true,
  }
}

/** Seconds or a date (RFC 9110, 10.2.3) in ms from now; 0 for anything else. */
function waitOf(retryAfter: string, nowMs: number): number {
  if (/^\d{1,6}$/.test(retryAfter)) return Number(retryAfter) * 1000
  const at = Date.parse(retryAfter)
  return Number.isNaN(at) ? 0 : Math.max(0, at - nowMs)
}

function quote(message: string, code: string): string {
  return message === code ? '' : message.replaceAll(/\s+/g, ' ').slice(0, MAX_QUOTE)
}
