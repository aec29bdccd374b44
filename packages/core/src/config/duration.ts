/** Durations as people write them: `500ms`, `5s`, `5m`, `168h`, `30d`, `1h30m`. Inside, always whole ms. */

const UNIT_MS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const
type Unit = keyof typeof UNIT_MS
const UNITS = Object.keys(UNIT_MS) as Unit[]

// Each unit at most once, largest first. `ms` stands before `m` so that `5ms` is not read as `5m` and a rest.
const PART = /(\d{1,16})(?:\.(\d{1,9}))?(ms|d|h|m|s)/y

/**
 * The whole milliseconds that `text` names, or undefined when it is not a duration. A bare `0` is a duration,
 * any other bare number is not (seconds and milliseconds are too easily confused). `1.5h` is fine, `0.5ms` is
 * not, because it is no whole number of milliseconds.
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  let total = 0n
  let position = 0
  let previous = -1
  while (position < text.length) {
    PART.lastIndex = position
    const match = PART.exec(text)
    if (match === null) return undefined
    const [part, whole, fraction = '', unit] = match
    const rank = UNITS.indexOf(unit as Unit)
    if (rank <= previous) return undefined
    previous = rank
    // Exact decimal arithmetic: 1.1 * 1000 is 1100.0000000000002 in floating point.
    const scaled = BigInt(whole + fraction) * BigInt(UNIT_MS[unit as Unit])
    const divisor = 10n ** BigInt(fraction.length)
    if (scaled % divisor !== 0n) return undefined
    total += scaled / divisor
    position += part.length
  }
  if (position === 0 || total > BigInt(Number.MAX_SAFE_INTEGER)) return undefined
  return Number(total)
}

/** The shortest single-unit text for whole milliseconds: 90000 → `90s`, 604800000 → `7d`, 0 → `0s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s'
  const unit = UNITS.find((candidate) => ms % UNIT_MS[candidate] === 0) ?? 'ms'
  return `${ms / UNIT_MS[unit]}${unit}`
}
