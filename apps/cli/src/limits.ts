/** A rate limit as the commands show it. */
import type { LimitUse } from '@weir/core/stream/limit-uses'

export interface LimitDocument {
  readonly type: 'global' | 'tool' | 'tenant' | 'address'
  /** Of an address: the beginning of its SHA-256. */
  readonly name: string
  readonly limit: number
  readonly period_ms: number
  readonly used: number
  /** used / limit */
  readonly share: number
}

export function limitDocument({ limit, used }: LimitUse): LimitDocument {
  return {
    type: limit.type === 'ip' ? 'address' : limit.type,
    name: limit.name,
    limit: limit.limit,
    period_ms: limit.periodMs,
    used,
    share: used / limit.limit,
  }
}

export function limitName({ type, name }: Pick<LimitDocument, 'type' | 'name'>): string {
  return type === 'global' ? 'all events together' : `${type} ${name}`
}
