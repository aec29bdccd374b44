/** Redis replies as this side of the program wants them. */
import { isFault } from '../faults.ts'
import type { RedisReply } from '../redis/link.ts'

/** A flat list of names and values, as HGETALL and XINFO answer. */
export function pairsOf(reply: RedisReply): Map<string, string> {
  const flat = (reply ?? []) as RedisReply[]
  const pairs = new Map<string, string>()
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.set(String(flat[i]), String(flat[i + 1]))
  return pairs
}

/** The reply, or null where an ACL (or a managed Redis) keeps the command from this user. */
export async function ifAllowed(reply: Promise<RedisReply>): Promise<RedisReply> {
  try {
    return await reply
  } catch (error) {
    if (isFault(error, 'REDIS_UNSUITABLE')) return null
    throw error
  }
}

/** The object that a text of JSON describes; undefined for anything else (it was written by some other program). */
export function objectOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

export function numberIn(object: Readonly<Record<string, unknown>>, name: string): number | null {
  const value = object[name]
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}
