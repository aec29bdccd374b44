/** Medians, percentiles, targets, and the table that every benchmark prints. */
export { machine } from './machine.ts'

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

/** `≤ 5 · met` or `≤ 5 · missed`: a target beside its figure. A missed one is a figure, not an error. */
export function target(value: number, atMost: number, unit = ''): string {
  return `≤ ${atMost}${unit === '' ? '' : ` ${unit}`} · ${value <= atMost ? 'met' : 'missed'}`
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
