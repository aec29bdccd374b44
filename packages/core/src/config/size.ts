/**
 * Sizes as people write them: `10485760`, `10MB`, `1GiB`. Inside, always whole bytes.
 * The units are those of IEC 80000-13: kB, MB, GB and TB count in thousands; KiB, MiB, GiB and TiB in 1024s.
 */
const UNIT_BYTES = {
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  tb: 1000 ** 4,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
} as const

const PRINTED = ['KiB', 'MiB', 'GiB', 'TiB', 'kB', 'MB', 'GB', 'TB'] as const

const SIZE = /^(\d{1,16})(?:\.(\d{1,9}))? ?([kmgt]?i?b)?$/i

/**
 * The whole bytes that `text` names, or undefined when it is not a size. A bare number is bytes; the case of
 * the unit does not matter; a fraction is fine where whole bytes come out (`1.5GiB`).
 */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text)
  if (match === null) return undefined
  const [, whole, fraction = '', unit = 'b'] = match
  const factor = UNIT_BYTES[unit.toLowerCase() as keyof typeof UNIT_BYTES]
  if (factor === undefined) return undefined
  const scaled = BigInt(whole + fraction) * BigInt(factor)
  const divisor = 10n ** BigInt(fraction.length)
  if (scaled % divisor !== 0n) return undefined
  const bytes = scaled / divisor
  return bytes > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(bytes)
}

/** The shortest text for whole bytes that parses back to them: 67108864 → `64MiB`, 16000000 → `16MB`, 1500 → `1500`. */
export function formatSize(bytes: number): string {
  const texts = PRINTED.flatMap((unit) => {
    const count = bytes / UNIT_BYTES[unit.toLowerCase() as keyof typeof UNIT_BYTES]
    return count >= 1 && Number.isInteger(count) ? [`${count}${unit}`] : []
  })
  return [...texts, String(bytes)].reduce((best, text) => (text.length < best.length ? text : best))
}
