/** The table at the end of `pnpm bench`: every figure that a benchmark told (table.ts, `headline`), beside its goal. */
import { existsSync, readFileSync } from 'node:fs'
import { goalText, type Headline, reached, withUnit } from './table.ts'

export interface Answer {
  /** Of the benchmark. */
  readonly name: string
  readonly headlines: readonly Headline[]
  /** How it failed: undefined = it did not. */
  readonly failure: string | undefined
}

export interface Summary {
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
  readonly met: number
  readonly missed: number
  readonly failed: number
}

/** A figure that is no number, like a ratio to nothing, is JSON's null. */
type Told = Omit<Headline, 'figure'> & { readonly figure: number | null }

/**
 * What a benchmark has told, and whether that is an answer.
 * @param exit how it ended; undefined = well
 */
export function answerOf(name: string, headlinesFile: string, exit: string | undefined): Answer {
  const text = existsSync(headlinesFile) ? readFileSync(headlinesFile, 'utf8') : ''
  const told = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Told)
  const headlines = told.filter((each): each is Headline => each.figure !== null)
  const empty = told.find(({ figure }) => figure === null)
  const silent = headlines.length === 0 ? 'told no figure' : undefined
  return { name, headlines, failure: exit ?? (empty ? `no figure for: ${empty.question}` : silent) }
}

export function summaryOf(answers: readonly Answer[]): Summary {
  const withGoal = answers.flatMap(({ headlines }) =>
    headlines.flatMap(({ figure, goal }) => (goal === undefined ? [] : [reached(figure, goal)])),
  )
  const met = withGoal.filter(Boolean).length
  return {
    head: ['benchmark', 'figure', 'found', 'goal', ''],
    rows: answers.flatMap(({ name, headlines, failure }) => [
      ...headlines.map(({ question, figure, unit, goal }) => [
        name,
        question,
        withUnit(rounded(figure), unit),
        goal === undefined ? '' : goalText(goal, unit),
        goal === undefined ? '' : reached(figure, goal) ? 'met' : 'missed',
      ]),
      ...(failure === undefined ? [] : [[name, `FAILED: ${failure}`, '', '', '']]),
    ]),
    met,
    missed: withGoal.length - met,
    failed: answers.filter(({ failure }) => failure !== undefined).length,
  }
}

/** Three digits, or all before the point. */
function rounded(figure: number): string {
  const size = Math.abs(figure)
  return figure.toFixed(size >= 100 || Number.isInteger(figure) ? 0 : size >= 10 ? 1 : 2)
}
