/** How contexts are named: by what they are about, so that everybody who knows the subject knows the context. */
import { hash } from 'node:crypto'

/** `ctx_` and 22 characters of base64url (16 bytes). */
export type ContextId = string

const PREFIX = 'ctx_'
/** The last character holds two bits: every id has one spelling. */
export const CONTEXT_ID_PATTERN = /^ctx_[A-Za-z0-9_-]{21}[AQgw]$/

/** The parts are length-delimited, so that no choice of characters in one part can imitate another. */
export function contextIdOf(tenant: string, tool: string, subject: string): ContextId {
  const parts = `context,${tenant.length}:${tenant},${tool.length}:${tool},${subject}`
  return PREFIX + hash('sha256', parts, 'buffer').subarray(0, 16).toString('base64url')
}

/** The 16 bytes inside. */
export function contextIdBytes(id: ContextId): Buffer {
  return Buffer.from(id.slice(PREFIX.length), 'base64url')
}

export function contextIdFromBytes(bytes: Buffer): ContextId {
  return PREFIX + bytes.toString('base64url')
}

/**
 * How many places contexts are spread over on a Cluster. It is fixed, because changing it would move contexts; so many
 * that each of a dozen masters has its part.
 */
const CLUSTER_SHARDS = 16

export function shardCount(cluster: boolean): number {
  return cluster ? CLUSTER_SHARDS : 1
}

/** In which of so many places a context is. */
export function shardOf(id: ContextId, shards: number): number {
  return shards === 1 ? 0 : contextIdBytes(id).readUInt16BE(0) % shards
}
