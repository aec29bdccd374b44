/**
 * GitLab's two ways, of which a webhook may use both:
 *
 * - the secret token, sent as it is in `X-Gitlab-Token`;
 *   https://docs.gitlab.com/user/project/integrations/webhooks/#create-a-webhook
 * - the signing token, `whsec_` and base64, which signs as Standard Webhooks do (see standard.ts);
 *   https://gitlab.com/gitlab-org/gitlab/-/merge_requests/230944
 *
 * A secret that begins with `whsec_` is a signing token, any other is a secret token. While both are configured, a
 * request that carries a signature must pass by its signature: falling back to the token would give away what the
 * signature adds. Without a signing token there is nothing to verify a signature with, and the token decides.
 */

import {
  createStandardVerifier,
  STANDARD_SIGNATURE_HEADER,
  type StandardClaim,
  signStandard,
} from './standard.ts'
import { isSharedKey } from './standard-keys.ts'
import { fitsHeader, headerBytes, isOurs, tokenDigest } from './token.ts'
import {
  BELIEVED,
  type Claim,
  hasHeader,
  refusal,
  soleHeader,
  usableSecrets,
  type Verifier,
} from './verifier.ts'

type GitlabClaim =
  | (Claim & { readonly kind: 'signature'; readonly claim: StandardClaim })
  | (Claim & { readonly kind: 'token'; readonly digest: Buffer })

export const GITLAB_TOKEN_HEADER = 'x-gitlab-token'

const MALFORMED = refusal(
  'malformed',
  `the header ${GITLAB_TOKEN_HEADER} is not a token; it must be the secret token of the webhook`,
)
const WRONG = refusal(
  'mismatch',
  `the header ${GITLAB_TOKEN_HEADER} is not our secret; set it as the secret token of the webhook`,
)

/** Throws a TypeError, which says what to do, without a secret, or for one that GitLab could not send or sign with. */
export function createGitlabVerifier(secrets: readonly Uint8Array[], toleranceMs: number): Verifier {
  const signing = usableSecrets(secrets).filter((secret) => isSharedKey(secret))
  const plain = secrets.filter((secret) => !isSharedKey(secret))
  if (!plain.every(fitsHeader)) {
    throw new TypeError(
      'a secret token is sent in a header, so it must hold no line breaks and no white space around it; look at the end of the secret',
    )
  }
  const ours = plain.map(tokenDigest)
  const standard = signing.length > 0 ? createStandardVerifier(signing, toleranceMs) : undefined

  const verifier: Verifier<GitlabClaim> = {
    examine(request) {
      const { headers } = request
      if (standard !== undefined && (ours.length === 0 || hasHeader(headers, STANDARD_SIGNATURE_HEADER))) {
        const claim = standard.examine(request)
        return claim.ok ? { ok: true, kind: 'signature', claim } : claim
      }
      const value = soleHeader(headers, GITLAB_TOKEN_HEADER)
      if (typeof value !== 'string') return value
      const bytes = headerBytes(value)
      return bytes === undefined ? MALFORMED : { ok: true, kind: 'token', digest: tokenDigest(bytes) }
    },
    // A token could be compared without the body, but then guesses would be answered before the guard against floods
    // of them had its say.
    verify(claim, rawBody, nowMs) {
      if (claim.kind === 'token') return isOurs(claim.digest, ours) ? BELIEVED : WRONG
      return standard?.verify(claim.claim, rawBody, nowMs) ?? WRONG
    },
  }
  return verifier
}

/** What GitLab sends: the token as it is, or the three headers that a signing token signs. */
export function signGitlab(
  secret: Uint8Array,
  id: string,
  timestamp: number,
  rawBody: Uint8Array,
): Record<string, string> {
  if (isSharedKey(secret)) return signStandard(secret, id, timestamp, rawBody)
  return { [GITLAB_TOKEN_HEADER]: Buffer.from(secret).toString('latin1') }
}
