/** Text for terminals: tables, ages, sizes, colours. */

/**
 * Control characters (a terminal would obey them) and those that turn the writing direction. Much of what is shown
 * was written by strangers: titles, error messages, header values.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this is about
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g

/** One line of harmless text. */
export function oneLine(text: string): string {
  return text.replaceAll(/\s*[\r\n\t]+\s*/g, ' ').replaceAll(UNSAFE, '�')
}

/** Several lines of harmless text; line ends and tabs stay. */
export function manyLines(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replaceAll(UNSAFE, (found) => (found === '\n' || found === '\t' ? found : '�'))
}

const WIDE =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u
const ZERO = /\p{Mn}|\p{Me}|\p{Cf}/u

/** Columns that a terminal gives the text; good enough to align tables. */
export function widthOf(text: string): number {
  let width = 0
  for (const character of text) width += ZERO.test(character) ? 0 : WIDE.test(character) ? 2 : 1
  return width
}

export interface Column<Row> {
  readonly head: string
  readonly cell: (row: Row) => string | number | null
  readonly align?: 'left' | 'right'
  /** A colour for the cell, where colours are wanted. */
  readonly paint?: (row: Row) => Colour | undefined
}

export type Colour = 'red' | 'green' | 'yellow' | 'dim' | 'bold'

const CODES: Readonly<Record<Colour, readonly [number, number]>> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  dim: [2, 22],
  bold: [1, 22],
}

export type Paint = (text: string, colour: Colour | undefined) => string

/** Paints, or leaves the text as it is. */
export function painter(wanted: boolean): Paint {
  return (text, colour) => {
    if (!wanted || colour === undefined) return text
    const [on, off] = CODES[colour]
    return `\u001b[${on}m${text}\u001b[${off}m`
  }
}

export interface TableStyle {
  readonly paint: Paint
  /** Lines are cut to this; undefined = never. */
  readonly columns?: number | undefined
}

/** What stands for "nothing" in a cell. */
export const NOTHING = '-'
const GAP = '  '

/** Rows in columns as wide as their widest cell, under their heads. Ends with a newline. */
export function tableOf<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  style: TableStyle,
): string {
  const cells = rows.map((row) => columns.map(({ cell }) => cellText(cell(row))))
  const heads = columns.map(({ head }) => head.toUpperCase())
  const widths = heads.map((head, at) =>
    Math.max(widthOf(head), ...cells.map((line) => widthOf(line[at] ?? ''))),
  )
  const lineOf = (texts: readonly string[], row: Row | undefined): string => {
    let line = ''
    let used = 0
    for (const [at, column] of columns.entries()) {
      const text = texts[at] ?? ''
      const last = at === columns.length - 1
      const room = style.columns === undefined ? Number.POSITIVE_INFINITY : style.columns - used
      if (room <= 0) break
      const cutText = cut(text, room)
      const padding = ' '.repeat(Math.max(0, Math.min(widths[at] ?? 0, room) - widthOf(cutText)))
      const shown = column.align === 'right' ? padding + cutText : last ? cutText : cutText + padding
      used += widthOf(shown) + GAP.length
      line += `${style.paint(shown, row === undefined ? 'dim' : column.paint?.(row))}${last ? '' : GAP}`
    }
    return line.trimEnd()
  }
  const lines = [lineOf(heads, undefined), ...rows.map((row, at) => lineOf(cells[at] ?? [], row))]
  return `${lines.join('\n')}\n`
}

/** Names and values, one pair a line; pairs without a value are left out. Ends with a newline. */
export function pairs(
  entries: readonly (readonly [string, string | number | boolean | null | undefined])[],
  style: TableStyle,
): string {
  const shown = entries.filter(([, value]) => value !== null && value !== undefined && value !== '')
  const width = Math.max(0, ...shown.map(([name]) => widthOf(name)))
  return shown
    .map(([name, value]) => `${style.paint(name.padEnd(width), 'dim')}${GAP}${oneLine(String(value))}\n`)
    .join('')
}

function cellText(value: string | number | null): string {
  return value === null || value === '' ? NOTHING : oneLine(String(value))
}

/** At most so many columns of the text, with … where it was cut. */
export function cut(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text
  let kept = ''
  let width = 0
  for (const character of text) {
    width += widthOf(character)
    if (width > columns - 1) break
    kept += character
  }
  return `${kept}…`
}

const AGES = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const

/** A duration to be read at a glance: `340ms`, `12.3s`, `4m 10s`, `2h 5m`, `3d 4h`. Nothing for null. */
export function ageText(ms: number | null): string {
  if (ms === null) return NOTHING
  if (ms < 1000) return `${Math.round(ms)}ms`
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)}s`
  const at = AGES.findIndex(([, length]) => ms >= length)
  const [unit, length] = AGES[at] ?? ['s', 1000]
  const [smaller, smallerLength] = AGES[at + 1] ?? ['s', 1000]
  const rest = Math.floor((ms % length) / smallerLength)
  return `${Math.floor(ms / length)}${unit}${rest > 0 ? ` ${rest}${smaller}` : ''}`
}

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** Bytes to be read at a glance: `812 B`, `9.7 KiB`. Nothing for null. */
export function sizeText(bytes: number | null): string {
  if (bytes === null) return NOTHING
  let [value, at] = [bytes, 0]
  while (value >= 1024 && at < SIZES.length - 1) {
    value /= 1024
    at += 1
  }
  return `${at === 0 ? value : value.toFixed(1)} ${SIZES[at]}`
}

/** `1 event`, `2 events`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
