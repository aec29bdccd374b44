/**
 * The files of a run, and their lines. Whoever writes one appends whole lines, so that a kill leaves no half of one behind.
 *
 *   attempts.log        the sender's word:   S <delivery> <sha256 of the body>          before each attempt
 *                                            A <delivery> <status> <event id or ->      its answer; status 0 = there was none
 *                                            P <delivery>                               it is poison: its handler kills its process
 *   runs-<pid>.log      the handler's word:  R <event id> <delivery> <sha256> <key>     before its effect
 *   effects/xx/<key>    its effects: one empty file for each idempotency key, made exclusively
 *   dead-letters.log    the operator's word, from webhook-cli in the end:  D <event id>
 *
 * A delivery is a number, from 0. It is also in the body, so that an effect tells which delivery it belongs to.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'

export const ATTEMPTS_FILE = 'attempts.log'
export const DEAD_LETTERS_FILE = 'dead-letters.log'
export const EFFECTS_DIRECTORY = 'effects'

/** What the sender puts into the payload: which delivery it is, and what its handler is to do. */
export interface Order {
  readonly delivery: number
  /** Its handler fails in so many attempts first. */
  readonly failures?: number
  /** Its handler kills the process that it runs in. */
  readonly deadly?: true
  /** How long the handler works before its effect, ms. */
  readonly takesMs?: number
  readonly padding?: string
}

/** @returns SHA-256 in hexadecimal */
export function hashOf(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex')
}

/** The directories below `effects`: so many files in one would be slow. */
export const SHARDS: readonly string[] = Array.from({ length: 256 }, (_, n) =>
  n.toString(16).padStart(2, '0'),
)

export function effectFile(directory: string, key: string): string {
  const shard = createHash('sha256').update(key).digest('hex').slice(0, 2)
  return join(directory, EFFECTS_DIRECTORY, shard, key)
}
