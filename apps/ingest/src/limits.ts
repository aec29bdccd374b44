/**
 * The rate limits that one request counts against, and how a refusal tells of them
 * (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/).
 *
 * Addresses are those of the peer, or what a trusted proxy says (webhook.ingest.trusted_proxies). Only a hash of the address is
 * written anywhere.
 */
import { createHash } from 'node:crypto'
import type { RateLimit } from '@weir/core/stream/limits'
import { type Problem, problem } from './problem.ts'
import type { Sender } from './sender.ts'

const MINUTE_MS = 60_000

/** @param perMinute limit for each tenant and for each address, events/min; 0 = none */
export function createLimits(
  perMinute: number,
): (sender: Sender, tenant: string, address: string | undefined) => readonly RateLimit[] {
  if (perMinute === 0) return (sender) => sender.limits
  const limitOf = (type: 'tenant' | 'ip', name: string): RateLimit => ({
    type,
    name,
    limit: perMinute,
    periodMs: MINUTE_MS,
  })
  return (sender, tenant, address) => [
    ...sender.limits,
    limitOf('tenant', tenant),
    limitOf('ip', hashOf(address ?? '')),
  ]
}

/** 16 hex digits: enough to keep addresses apart, and short in a key. */
function hashOf(address: string): string {
  return createHash('sha256').update(address).digest('hex').slice(0, 16)
}

/** @param status what makes this sender try again */
export function limitedProblem(limit: RateLimit, retryAfterMs: number, status: number): Problem {
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000))
  const window = limit.periodMs / 1000
  return problem(
    'RATE_LIMITED',
    `The limit of ${limit.limit} events in ${window} s (${limit.type}) is reached; send it again after ${seconds} s.`,
    [
      'Retry-After',
      String(seconds),
      'RateLimit-Policy',
      `"${limit.type}";q=${limit.limit};w=${window}`,
      'RateLimit',
      `"${limit.type}";r=0;t=${seconds}`,
    ],
    status,
  )
}
