/** Medians, percentiles, targets, the table that every benchmark prints, and the figures that the summary of all repeats. */
import { appendFileSync } from 'node:fs'

export { machine } from './machine.ts'

/** What a figure should be; a figure that is exactly that has reached it. */
export type Goal = { readonly atMost: number } | { readonly atLeast: number }

/** A figure that answers a benchmark's question. */
export interface Headline {
  /** As docs/benchmarks.md words it. */
  readonly question: string
  readonly figure: number
  /** `µs`, `×`, `B` and so on; `''` = a number of something. */
  readonly unit: string
  /** None: a figure to know, not one to reach. */
  readonly goal?: Goal
}

/** Name of the environment variable with the file that headlines are written to, one line of JSON each. */
export const HEADLINES_FILE = 'WEIR_BENCH_HEADLINES'

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The value that a share (0 to 1) of the sorted values do not exceed; NaN when there are none. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  if (sorted.length === 0) return Number.NaN
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))]!
}

/** `12.3 (11.9–13.0)`: median and extremes. */
export function spread(values: readonly number[], digits = 1): string {
  return `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`
}

/** `≤ 5 · met` or `≥ 5 ms · missed`: a target beside its figure. A missed one is a figure, not an error. */
export function target(value: number, goal: Goal, unit = ''): string {
  return `${goalText(goal, unit)} · ${reached(value, goal) ? 'met' : 'missed'}`
}

/** `≤ 5 ms` */
export function goalText(goal: Goal, unit = ''): string {
  return 'atMost' in goal ? `≤ ${withUnit(goal.atMost, unit)}` : `≥ ${withUnit(goal.atLeast, unit)}`
}

export function reached(value: number, goal: Goal): boolean {
  return 'atMost' in goal ? value <= goal.atMost : value >= goal.atLeast
}

/** `5 ms`; factors are written `5×`. */
export function withUnit(value: number | string, unit: string): string {
  if (unit === '') return String(value)
  return unit === '×' ? `${value}×` : `${value} ${unit}`
}

/** Tells a figure to `pnpm bench`, which ends with a table of all; nothing where a benchmark runs by itself. */
export function headline(told: Headline): void {
  const file = process.env[HEADLINES_FILE]
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(told)}\n`)
}

/** `12.3 (11.9–13.0)`: median and quartiles. */
export function quartiles(values: readonly number[], digits = 1): string {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.round((sorted.length - 1) * share)]!.toFixed(digits)
  return `${at(0.5)} (${at(0.25)}–${at(0.75)})`
}

/** Prints a Markdown table. */
export function printTable(
  title: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => row[column]!.length)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  console.log(`\n### ${title}\n`)
  console.log(line(head))
  console.log(`|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`)
  for (const row of rows) console.log(line(row))
}
