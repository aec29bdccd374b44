/** Medians, spreads and the table that every benchmark prints. */
import { cpus } from 'node:os'

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** `12.3 (11.9–13.0)`: median and extremes. */
export function spread(values: readonly number[], digits = 1): string {
  return `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`
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

/** One line about the machine and the versions, to stand above the tables. */
export function machine(extra: Readonly<Record<string, string>> = {}): string {
  const processors = cpus()
  const parts = [
    `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown'}`,
    `Node ${process.versions.node}`,
    ...Object.entries(extra).map(([name, version]) => `${name} ${version}`),
  ]
  return parts.join(' · ')
}
