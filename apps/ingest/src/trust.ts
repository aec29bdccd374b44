/**
 * Is a request believed? In two steps, because the headers alone often say no, before a byte of the body was read.
 */
import type { IncomingMessage } from 'node:http'
import { isLoopback } from '@weir/security/loopback'
import type { RefusalReason, Claim as Signed, Verdict, Verifier } from '@weir/security/verifier'
import type { RequestHeaders } from './headers.ts'
import { type Problem, type ProblemCode, problem } from './problem.ts'

/** Why a request of a tool is believed. */
export type Trust =
  | { readonly kind: 'signed'; readonly verifier: Verifier }
  /** From this machine, because the configuration says `signature: none`. */
  | { readonly kind: 'local' }
  /** From anywhere, because signature verification is switched off. */
  | { readonly kind: 'anyone' }
  /** Never: there is nothing to verify it with. */
  | { readonly kind: 'nobody'; readonly problem: Problem }

export interface Untrusted {
  readonly ok: false
  /** Label `reason` of webhook_auth_failures_total. */
  readonly reason: RefusalReason | 'no_secret' | 'not_local'
  /** A signature was there, and was wrong. */
  readonly signatureWrong: boolean
  readonly problem: Problem
}

/** Passed the first step; signed requests carry their claim. */
export type Claim = { readonly ok: true; readonly signed: Signed | undefined }

const UNSIGNED: Claim = { ok: true, signed: undefined }
const BELIEVED = { ok: true } as const

const CODES: Readonly<Record<RefusalReason, ProblemCode>> = {
  missing: 'SIGNATURE_MISSING',
  malformed: 'SIGNATURE_MALFORMED',
  duplicated: 'SIGNATURE_REPEATED',
  mismatch: 'SIGNATURE_MISMATCH',
  stale: 'TIMESTAMP_STALE',
  future: 'TIMESTAMP_FUTURE',
}

/** RFC 9110, 11.6.1: a 401 names a scheme. */
export const CHALLENGE = ['WWW-Authenticate', 'Webhook-Signature'] as const

/**
 * Headers that a proxy adds. Behind a proxy on the same machine everybody's address is loopback, so a request that
 * was forwarded does not count as local.
 */
const FORWARDED = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
] as const

/** The step before the body. */
export function examine(
  trust: Trust,
  { method = '', url = '' }: IncomingMessage,
  headers: RequestHeaders,
  address: string | undefined,
): Claim | Untrusted {
  switch (trust.kind) {
    case 'signed': {
      const claim = trust.verifier.examine({ method, url, headers: headers.byName })
      return claim.ok ? { ok: true, signed: claim } : untrusted(claim)
    }
    case 'local':
      if (isLoopback(address) && FORWARDED.every((name) => headers.byName[name] === undefined))
        return UNSIGNED
      return {
        ok: false,
        reason: 'not_local',
        signatureWrong: false,
        problem: problem('UNSIGNED_NOT_LOCAL', undefined, CHALLENGE),
      }
    case 'anyone':
      return UNSIGNED
    case 'nobody':
      return { ok: false, reason: 'no_secret', signatureWrong: false, problem: trust.problem }
  }
}

/** The step with the body. `nowMs` is the wall clock. */
export function verify(
  trust: Trust,
  claim: Claim,
  body: Buffer,
  nowMs: number,
): { readonly ok: true } | Untrusted {
  if (trust.kind !== 'signed' || claim.signed === undefined) return BELIEVED
  const verdict = trust.verifier.verify(claim.signed, body, nowMs)
  return verdict.ok ? BELIEVED : untrusted(verdict)
}

function untrusted({ reason, detail }: Exclude<Verdict, { ok: true }>): Untrusted {
  const signatureWrong = reason === 'mismatch' || reason === 'malformed' || reason === 'duplicated'
  return {
    ok: false,
    reason,
    signatureWrong,
    problem: problem(CODES[reason], capitalised(detail), CHALLENGE),
  }
}

function capitalised(detail: string): string {
  return `${detail.charAt(0).toUpperCase()}${detail.slice(1)}.`
}
