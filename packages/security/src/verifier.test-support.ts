/** How the tests of signature schemes look at a request: as the gateway does, the head first, then the body. */
import type { SignedHeaders, SignedRequest, Verdict, Verifier } from './verifier.ts'

export const BODY = Buffer.from('{"type":"deploy","über":"ünïcode"}')
export const NOW_S = 1_700_000_000
export const TOLERANCE_MS = 300_000

export interface Sent {
  readonly body?: Buffer
  readonly method?: string
  readonly url?: string
  readonly nowMs?: number
}

export function requestWith(
  headers: SignedHeaders,
  { method = 'POST', url = '/' }: Sent = {},
): SignedRequest {
  return { method, url, headers }
}

export function judge(verifier: Verifier, headers: SignedHeaders, sent: Sent = {}): Verdict {
  const claim = verifier.examine(requestWith(headers, sent))
  return claim.ok ? verifier.verify(claim, sent.body ?? BODY, sent.nowMs ?? NOW_S * 1000) : claim
}
