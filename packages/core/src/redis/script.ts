/**
 * Lua scripts. Each stands beside its only caller, with KEYS, ARGV and reply described above it.
 */
import { createHash } from 'node:crypto'

export type RedisArg = string | number | Buffer

export interface Script {
  readonly name: string
  readonly lua: string
  readonly sha1: string
}

export function defineScript(name: string, lua: string): Script {
  return { name, lua, sha1: createHash('sha1').update(lua).digest('hex') }
}

/**
 * The same script, begun on a Cluster only while its slot is not being moved to another node.
 *
 * While a slot is being moved, Redis takes every key that is not there for one that has gone to the other node, and breaks
 * off a script that touches it. What the script had written stays: one that removed the last parked event to put it back
 * with another time lost it. So it asks first for a key that never is there; where that is refused, nothing was written.
 */
export function begunInPlace({ name, lua }: Script): Script {
  return defineScript(name, `if KEYS[1] then redis.call('EXISTS', KEYS[1] .. ':never') end\n${lua}`)
}
