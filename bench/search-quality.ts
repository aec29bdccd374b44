/**
 * How well search answers: questions written by hand (testdata/search-queries.json), each with the subjects that answer it, 2 =
 * exactly it, 1 = related. One half was there to choose the weights by, the other is only reported.
 */
import { readFileSync } from 'node:fs'

export interface LabelledQuery {
  readonly q: string
  readonly half: 'tuning' | 'held out'
  /** `tool subject` → grade. */
  readonly answers: Readonly<Record<string, 1 | 2>>
}

export interface Quality {
  /** Share of the questions with an exact answer among the first five. */
  readonly successAt5: number
  /** Mean over the questions: 1 = the best order there is. */
  readonly ndcgAt10: number
  readonly questions: number
}

export function labelledQueries(): readonly LabelledQuery[] {
  return JSON.parse(
    readFileSync(new URL('testdata/search-queries.json', import.meta.url), 'utf8'),
  ) as LabelledQuery[]
}

/** @param answer `tool subject` of the results, best first */
export function qualityOf(
  queries: readonly LabelledQuery[],
  answer: (q: string) => readonly string[],
): Quality {
  let [successes, gains] = [0, 0]
  for (const { q, answers } of queries) {
    const found = answer(q)
    if (found.slice(0, 5).some((subject) => answers[subject] === 2)) successes += 1
    gains += ndcg(
      found.slice(0, 10).map((subject) => answers[subject] ?? 0),
      Object.values(answers),
    )
  }
  return {
    successAt5: successes / queries.length,
    ndcgAt10: gains / queries.length,
    questions: queries.length,
  }
}

function ndcg(found: readonly number[], all: readonly number[]): number {
  return gainOf(found) / gainOf(all.toSorted((a, b) => b - a).slice(0, 10))
}

const gainOf = (grades: readonly number[]): number =>
  grades.reduce((sum, grade, at) => sum + (2 ** grade - 1) / Math.log2(at + 2), 0)
