/**
 * Jira's two ways:
 *
 * - webhooks that an administrator made: `X-Hub-Signature: <method>=<hex of HMAC over the raw body>`, as WebSub has
 *   it. The method is sha256; Atlassian announces that it may become another, so its longer relatives are known too.
 *   SHA-1, the fourth of WebSub, is not believed.
 *   https://developer.atlassian.com/cloud/jira/platform/webhooks/#secure-admin-webhooks
 *   https://www.w3.org/TR/websub/#signing-content
 * - webhooks of a Connect app: `Authorization: JWT <token>` (see connect-jwt.ts).
 *
 * A request with the former must pass by it, whatever else it carries: only it covers the body.
 */
import { HUB_SIGNATURE_HEADER } from './bitbucket.ts'
import { type ConnectToken, createConnectJudge, parseConnectToken } from './connect-jwt.ts'
import {
  AUTHORIZATION_HEADER,
  anyKeySigned,
  BELIEVED,
  type Claim,
  type HmacAlgorithm,
  hasHeader,
  mismatch,
  type Refusal,
  refusal,
  signingKeys,
  soleHeader,
  type Verifier,
} from './verifier.ts'

type JiraClaim =
  | (Claim & { readonly kind: 'hub'; readonly algorithm: HmacAlgorithm; readonly signature: Buffer })
  | (Claim & {
      readonly kind: 'token'
      readonly token: ConnectToken
      readonly method: string
      readonly url: string
    })

export interface JiraScheme {
  readonly secrets: readonly Uint8Array[]
  /** How long ago a token may have been issued, ms. */
  readonly toleranceMs: number
  /** The client keys of the sites whose Connect tokens are believed; none = any that knows the secret. */
  readonly issuers?: readonly string[]
  /** Path of the Connect app's base URL, which its tokens do not sign; none = ''. */
  readonly basePath?: string
}

const MISSING = refusal(
  'missing',
  `the request has neither ${HUB_SIGNATURE_HEADER} nor a Connect token in ${AUTHORIZATION_HEADER}; give the webhook a secret in Jira`,
)
const MALFORMED = refusal(
  'malformed',
  `the header ${HUB_SIGNATURE_HEADER} is not a signature; it must be sha256= followed by 64 hex digits (or sha384 or sha512 and theirs)`,
)
const WRONG = mismatch('this body')

/** Throws a TypeError without a secret, or for an empty one. */
export function createJiraVerifier(scheme: JiraScheme): Verifier {
  const { toleranceMs, issuers = [], basePath = '' } = scheme
  const keys = signingKeys(scheme.secrets)
  const judge = createConnectJudge({ keys, toleranceMs, issuers, basePath: basePath.replace(/\/+$/, '') })
  const verifier: Verifier<JiraClaim> = {
    examine({ method, url, headers }) {
      if (hasHeader(headers, HUB_SIGNATURE_HEADER)) {
        const value = soleHeader(headers, HUB_SIGNATURE_HEADER)
        return typeof value === 'string' ? parseHubSignature(value) : value
      }
      if (!hasHeader(headers, AUTHORIZATION_HEADER)) return MISSING
      const authorization = soleHeader(headers, AUTHORIZATION_HEADER)
      if (typeof authorization !== 'string') return authorization
      // Credentials of another kind are a proxy's, and prove nothing to us.
      if (!authorization.startsWith('JWT ')) return MISSING
      const token = parseConnectToken(authorization)
      return 'ok' in token ? token : { ok: true, kind: 'token', token, method, url }
    },
    verify(claim, rawBody, nowMs) {
      if (claim.kind === 'token') return judge(claim.token, claim.method, claim.url, nowMs)
      return anyKeySigned(keys, claim.signature, '', rawBody, claim.algorithm) ? BELIEVED : WRONG
    },
  }
  return verifier
}

function parseHubSignature(value: string): JiraClaim | Refusal {
  const equals = value.indexOf('=')
  const algorithm = value.slice(0, Math.max(equals, 0))
  const digits = value.slice(equals + 1)
  if (!isAlgorithm(algorithm) || digits.length !== HEX_DIGITS[algorithm] || !HEX.test(digits))
    return MALFORMED
  return { ok: true, kind: 'hub', algorithm, signature: Buffer.from(digits, 'hex') }
}

const HEX_DIGITS: Readonly<Record<HmacAlgorithm, number>> = { sha256: 64, sha384: 96, sha512: 128 }
const HEX = /^[0-9a-fA-F]*$/

function isAlgorithm(name: string): name is HmacAlgorithm {
  return Object.hasOwn(HEX_DIGITS, name)
}
