/** Making what senders wrote fit to keep and to show on one line. */
import { cut } from '@weir/core/cut'

/**
 * White space and control characters, and the marks that turn the direction of what follows: in a title they make a line
 * of a timeline read as something else.
 */
const FOLDED = /[\s\p{Cc}\p{Z}\u202a-\u202e\u2066-\u2069]+/gu

/** Longest string looked at, characters: what GitHub takes for a body (65,536). Bounds the work that one event can ask for. */
export const READ_MAX = 65_536

/** One line, well-formed, not longer than `max` characters; undefined where nothing is left. */
export function fold(written: string | undefined, max: number): string | undefined {
  if (written === undefined) return undefined
  const folded = cut(written, READ_MAX).toWellFormed().replace(FOLDED, ' ').trim()
  return cut(folded, max).trimEnd() || undefined
}
