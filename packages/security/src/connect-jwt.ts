/**
 * Tokens of Atlassian Connect: `Authorization: JWT <header>.<claims>.<signature>`, signed with the app's shared secret
 * and HS256.
 * https://developer.atlassian.com/cloud/jira/platform/understanding-jwt-for-connect-apps/
 *
 * A token is bound to method, path and query, and to a few minutes, but not to the body: whoever captures one can
 * send any body with it until it is too old. `X-Hub-Signature` has no such gap, so it is preferred (see jira.ts).
 *
 * The algorithm is ours to choose and not the token's: nothing of a token is read as JSON before HMAC-SHA256 with one
 * of our keys has confirmed it, and then its `alg` has to agree.
 */
import type { KeyObject } from 'node:crypto'
import { createFreshness } from './freshness.ts'
import { queryStringHash } from './qsh.ts'
import { anyKeySigned, BELIEVED, hmac, mismatch, type Refusal, refusal, type Verdict } from './verifier.ts'

/** Well-formed, not yet believed. */
export interface ConnectToken {
  /** Encoded header and claims, with the full stop between: what is signed. */
  readonly signed: string
  /** 32 bytes. */
  readonly signature: Buffer
}

export interface ConnectRules {
  readonly keys: readonly KeyObject[]
  /** How long ago a token may have been issued, ms. */
  readonly toleranceMs: number
  /** The client keys of the sites that are believed; empty = any that knows the secret. */
  readonly issuers: readonly string[]
  /** Path of the app's base URL; '' for none. */
  readonly basePath: string
}

// 32 bytes in base64url are 43 characters, the last of which holds four bits. Other algorithms, and none, sign longer
// or shorter.
const TOKEN = /^JWT ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])$/

const MALFORMED = refusal(
  'malformed',
  'the header authorization holds no Connect token; it must be JWT and a JSON Web Token that is signed with HS256',
)
const WRONG = mismatch("the token's header and claims")
const WRONG_ALGORITHM = refusal('malformed', 'the token must be signed with HS256, and without extensions')
const CLAIMS_MISSING = refusal('malformed', 'the token must have the claims iss, iat, exp and qsh')
const OTHER_SITE = refusal(
  'mismatch',
  'the token comes from a site that is not ours (iss); install the app there, or add its client key to the issuers',
)
const OTHER_REQUEST = refusal(
  'mismatch',
  'the token belongs to another method, path or query (qsh); sign the request as it is sent, relative to the base URL of the app',
)
const EXPIRED = refusal(
  'stale',
  "the token has expired (exp); sign each attempt anew and check the sender's clock",
)
const EARLY = refusal('future', "the token is not valid yet (nbf); check the sender's clock")

export function parseConnectToken(authorization: string): ConnectToken | Refusal {
  const [, signed, signature] = TOKEN.exec(authorization) ?? []
  if (signed === undefined || signature === undefined) return MALFORMED
  return { signed, signature: Buffer.from(signature, 'base64url') }
}

/** Throws a TypeError for a tolerance that is no duration. */
export function createConnectJudge({ keys, toleranceMs, issuers, basePath }: ConnectRules) {
  const freshness = createFreshness(toleranceMs)

  return (token: ConnectToken, method: string, url: string, nowMs: number): Verdict => {
    if (!anyKeySigned(keys, token.signature, '', Buffer.from(token.signed))) return WRONG
    const [header, claims] = token.signed.split('.').map(jsonObject)
    if (header?.alg !== 'HS256' || header.crit !== undefined) return WRONG_ALGORITHM
    const { iss, iat, exp, nbf, qsh } = claims ?? {}
    if (typeof iss !== 'string' || !isTime(iat) || !isTime(exp) || typeof qsh !== 'string')
      return CLAIMS_MISSING
    if (nbf !== undefined && !isTime(nbf)) return CLAIMS_MISSING
    if (issuers.length > 0 && !issuers.includes(iss)) return OTHER_SITE
    if (qsh !== hashOf(method, url)) return OTHER_REQUEST
    if (nowMs > exp * 1000 + freshness.leewayMs) return EXPIRED
    if (nbf !== undefined && nowMs < nbf * 1000 - freshness.leewayMs) return EARLY
    return freshness.judge(iat, nowMs) ?? BELIEVED
  }

  function hashOf(method: string, url: string): string | undefined {
    try {
      return queryStringHash(method, url, basePath)
    } catch {
      // A query that is not percent-encoded has no hash that a token could agree with.
      return undefined
    }
  }
}

/** The object that this base64url holds; undefined when it holds none. */
function jsonObject(segment: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(segment, 'base64url').toString())
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

function isTime(claim: unknown): claim is number {
  return typeof claim === 'number' && Number.isFinite(claim)
}

export interface ConnectRequest {
  readonly issuer: string
  readonly method: string
  /** Path and query, relative to the app's base URL. */
  readonly url: string
  /** Unix seconds. */
  readonly issuedAt: number
}

/** Atlassian recommends three minutes. */
const LIFETIME_S = 180

/** The value of `Authorization` that a Connect host would send with this request. */
export function signConnect(secret: Uint8Array, { issuer, method, url, issuedAt }: ConnectRequest): string {
  const claims = {
    iss: issuer,
    iat: issuedAt,
    exp: issuedAt + LIFETIME_S,
    qsh: queryStringHash(method, url),
  }
  const signed = [{ typ: 'JWT', alg: 'HS256' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.')
  return `JWT ${signed}.${hmac(secret, '', Buffer.from(signed)).toString('base64url')}`
}
