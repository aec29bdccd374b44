/** The simplest kind of scheme: one header, one signature, HMAC-SHA256 over the body alone. */
import {
  anyKeySigned,
  BELIEVED,
  type Claim,
  mismatch,
  type Refusal,
  signingKeys,
  soleHeader,
  type Verifier,
} from './verifier.ts'

interface BodyClaim extends Claim {
  /** 32 bytes. */
  readonly signature: Buffer
}

/**
 * Throws a TypeError without a secret, or for an empty one.
 * @param parse the header's value as 32 bytes, or why it is none
 */
export function createBodyVerifier(
  secrets: readonly Uint8Array[],
  header: string,
  parse: (value: string, header: string) => Buffer | Refusal,
): Verifier<BodyClaim> {
  const keys = signingKeys(secrets)
  const wrong = mismatch('this body')
  return {
    examine({ headers }) {
      const value = soleHeader(headers, header)
      if (typeof value !== 'string') return value
      const signature = parse(value, header)
      return Buffer.isBuffer(signature) ? { ok: true, signature } : signature
    },
    verify({ signature }, rawBody) {
      return anyKeySigned(keys, signature, '', rawBody) ? BELIEVED : wrong
    },
  }
}
