/**
 * What of a set of payloads a dictionary holds. Knows nothing of how dictionaries are made, so that it can judge
 * them: it only compares bytes.
 */

export interface Sampled {
  /** Whose payload it is: an account, a site. */
  readonly source: string
  readonly json: unknown
}

/** Shorter strings and parts are words of any language, not somebody's. */
const MIN_LENGTH = 6
/** Digits: ids shorter than this are nobody's alone. */
const MIN_DIGITS = 5
/**
 * A word seen at this many sources is the sender's language, not a value of one of them. Only words: numbers, times and
 * sentences are somebody's even if the samples of several accounts were made from one another.
 */
const SHARED_BY = 3
const WORD = /^[A-Za-z_.:{}/-]+$/

/** Members whose values name a person or a thing: theirs leak however many sources have them. */
const IDENTIFYING = new Set(
  'login username user_username user_name full_name path_with_namespace email user_email emailAddress displayName accountId sha head_sha base_sha commit_id checkout_sha before after node_id client_id node'.split(
    ' ',
  ),
)

/**
 * Every value of the payloads that the text holds: strings, their parts, and numbers.
 *
 * @param allowed API words that are values in the samples too
 */
export function leaks(text: string, payloads: readonly Sampled[], allowed: ReadonlySet<string>): string[] {
  const sourcesOf = new Map<string, Set<string>>()
  const identifying = new Set<string>()
  const memberNames = new Set<string>()
  const note = (value: string, source: string) => {
    const known = sourcesOf.get(value)
    if (known === undefined) sourcesOf.set(value, new Set([source]))
    else known.add(source)
  }
  const visit = (value: unknown, key: string, source: string): void => {
    if (typeof value === 'number') {
      const digits = String(Math.abs(value))
      if (digits.length >= MIN_DIGITS) note(digits, source)
    } else if (typeof value === 'string') {
      for (const part of [value, ...value.split(/[^\w.+-]+/)]) {
        if (part.length < MIN_LENGTH) continue
        note(part, source)
        if (IDENTIFYING.has(key)) identifying.add(part)
      }
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, member] of Object.entries(value)) {
        if (!Array.isArray(value)) memberNames.add(name)
        visit(member, Array.isArray(value) ? key : name, source)
      }
    }
  }
  for (const { source, json } of payloads) visit(json, '', source)
  const parts = new Set(text.split(/[^\w.+-]+/))
  return [...sourcesOf]
    .filter(([value, sources]) => identifying.has(value) || sources.size < SHARED_BY || !WORD.test(value))
    .map(([value]) => value)
    .filter((value) => !allowed.has(value) && !memberNames.has(value))
    .filter((value) =>
      /^[\w.+-]+$/.test(value)
        ? parts.has(value) || (value.length >= 12 && text.includes(value))
        : text.includes(value),
    )
    .sort()
}
