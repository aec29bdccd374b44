/**
 * Alertmanager signs nothing itself. What a receiver's `http_config` can send is an `Authorization` header, the same
 * with every request: `Bearer <token>` (authorization.credentials) or `Basic <base64 of user:password>` (basic_auth).
 * A secret that holds a colon is a user and a password, any other is a token.
 * https://prometheus.io/docs/alerting/latest/configuration/#http_config
 *
 * Where something on the way signs as our generic senders do, the signature decides, and must be right.
 */
import { createGenericVerifier, type GenericClaim } from './generic.ts'
import { headerBytes, isOurs, tokenDigest } from './token.ts'
import {
  AUTHORIZATION_HEADER,
  BELIEVED,
  type Claim,
  hasHeader,
  type Refusal,
  refusal,
  soleHeader,
  usableSecrets,
  type Verifier,
} from './verifier.ts'

type AlertmanagerClaim =
  | (Claim & { readonly kind: 'signature'; readonly claim: GenericClaim })
  | (Claim & { readonly kind: 'bearer' | 'basic'; readonly digest: Buffer })

export interface AlertmanagerScheme {
  readonly secrets: readonly Uint8Array[]
  /** Of the generic scheme; lower case. */
  readonly signatureHeader: string
  /** Of the generic scheme; lower case. */
  readonly timestampHeader: string
  /** How old a signed time may be, ms. */
  readonly toleranceMs: number
}

const ADVICE =
  'set http_config of the receiver to our secret: authorization.credentials, or basic_auth where it is user:password'
const MISSING = refusal('missing', `the header ${AUTHORIZATION_HEADER} is missing; ${ADVICE}`)
const MALFORMED = refusal(
  'malformed',
  `the header ${AUTHORIZATION_HEADER} is neither Bearer and a token nor Basic and user:password in base64; ${ADVICE}`,
)
const WRONG = refusal('mismatch', `the header ${AUTHORIZATION_HEADER} does not hold our secret; ${ADVICE}`)

// RFC 9110, 11.4: the scheme in any case, then spaces. A token holds none itself.
const CREDENTIALS = /^(bearer|basic) +([!-~\u0080-\u00ff]+)$/i
const COLON = 0x3a

/** Throws a TypeError without a secret, or for an empty one. */
export function createAlertmanagerVerifier(scheme: AlertmanagerScheme): Verifier {
  const secrets = usableSecrets(scheme.secrets)
  const generic = createGenericVerifier(scheme)
  const ours = {
    basic: secrets.filter((secret) => secret.includes(COLON)).map(tokenDigest),
    bearer: secrets.filter((secret) => !secret.includes(COLON)).map(tokenDigest),
  }
  const verifier: Verifier<AlertmanagerClaim> = {
    examine(request) {
      const { headers } = request
      if (hasHeader(headers, scheme.signatureHeader)) {
        const claim = generic.examine(request)
        return claim.ok ? { ok: true, kind: 'signature', claim } : claim
      }
      if (!hasHeader(headers, AUTHORIZATION_HEADER)) return MISSING
      const value = soleHeader(headers, AUTHORIZATION_HEADER)
      return typeof value === 'string' ? parseCredentials(value) : value
    },
    // Compared here and not before the body is read, so that the guard against floods of guesses comes first.
    verify(claim, rawBody, nowMs) {
      if (claim.kind === 'signature') return generic.verify(claim.claim, rawBody, nowMs)
      return isOurs(claim.digest, ours[claim.kind]) ? BELIEVED : WRONG
    },
  }
  return verifier
}

function parseCredentials(value: string): AlertmanagerClaim | Refusal {
  const [, scheme, credentials] = CREDENTIALS.exec(value) ?? []
  if (scheme === undefined || credentials === undefined) return MALFORMED
  if (scheme.length === 'bearer'.length) {
    const bytes = headerBytes(credentials)
    return bytes === undefined ? MALFORMED : { ok: true, kind: 'bearer', digest: tokenDigest(bytes) }
  }
  const bytes = Buffer.from(credentials, 'base64')
  if (bytes.toString('base64') !== credentials || !bytes.includes(COLON)) return MALFORMED
  return { ok: true, kind: 'basic', digest: tokenDigest(bytes) }
}

/** The value of `Authorization` that Alertmanager sends when it was told this secret. */
export function alertmanagerAuthorization(secret: Uint8Array): string {
  const bytes = Buffer.from(secret)
  return bytes.includes(COLON) ? `Basic ${bytes.toString('base64')}` : `Bearer ${bytes.toString('latin1')}`
}
