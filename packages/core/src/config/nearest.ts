/** What was probably meant. */
import { distance } from 'fastest-levenshtein'

/**
 * The candidate nearest to what was written, undefined when none is near: up to a third of its letters may be
 * wrong (at least two), or one may begin with the other. Case and the sign between words do not count: `numWorkers` is nearest to `num_workers`.
 */
export function nearest(written: string, candidates: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
  const target = plain(written)
  let best: { candidate: string; steps: number } | undefined
  for (const candidate of candidates) {
    const steps = distance(target, plain(candidate))
    if (steps < (best?.steps ?? Number.POSITIVE_INFINITY)) best = { candidate, steps }
  }
  const most = Math.min(target.length - 1, Math.max(2, Math.floor(target.length / 3)))
  if (best !== undefined && best.steps <= Math.max(0, most)) return best.candidate
  const isBeginning = (short: string, long: string) => short.length >= BEGINNING && long.startsWith(short)
  return candidates.find((candidate) => {
    return isBeginning(plain(candidate), target) || isBeginning(target, plain(candidate))
  })
}

/** Letters from which on a common beginning says that the rest was meant too (`warning` is `warn`). */
const BEGINNING = 4
