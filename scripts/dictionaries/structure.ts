/**
 * Takes the values out of a payload and leaves its structure: member names, punctuation, and of the strings only
 * what the tool's vocabulary allows. Everything not allowed by name is dropped; nothing is dropped by looking
 * like a secret. That is what makes a starter dictionary safe to share between tenants.
 */

/** The words that are structure for one tool: all that may ever stand in its dictionary. */
export interface Vocabulary {
  /** Member names. A member with another name is left out, with its value. */
  readonly keys: ReadonlySet<string>
  /** Whole string values: enum-like words of the tool's API. */
  readonly words: ReadonlySet<string>
  /** Parts of URLs between `/ ? & = #`: host names of the vendor, path words, template expressions. */
  readonly urlWords: ReadonlySet<string>
  /** Strings that begin with one of these keep it, and lose the rest, e.g. `refs/heads/`. */
  readonly prefixes: readonly string[]
  /** Whether the sender escapes & < > in JSON strings, as Go and Rails do. */
  readonly escapesHtml: boolean
  /** Structure written down by hand: newer than the samples, or not in any of them. JSON text with holes. */
  readonly extras: readonly string[]
  /** The header line before the body (see packing.ts), in the order that the sender uses. */
  readonly headers: readonly string[]
}

/** Stands for any number but 0; becomes a hole in the text. */
const SOME_NUMBER = 1

const ISO_TIME = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(Z| UTC|[+-]\d\d:?\d\d)?$/

/**
 * The same JSON with its values taken out. Idempotent. Lists keep at most two elements: more say nothing new.
 */
export function blank(value: unknown, vocabulary: Vocabulary): unknown {
  if (value === null || typeof value === 'boolean' || value === 0) return value
  if (typeof value === 'number') return SOME_NUMBER
  if (typeof value === 'string') return blankString(value, vocabulary)
  if (Array.isArray(value)) return value.slice(0, 2).map((element) => blank(element, vocabulary))
  const members = Object.entries(value as object).filter(([key]) => vocabulary.keys.has(key))
  return Object.fromEntries(members.map(([key, member]) => [key, blank(member, vocabulary)]))
}

function blankString(value: string, vocabulary: Vocabulary): string {
  if (vocabulary.words.has(value)) return value
  const time = ISO_TIME.exec(value)
  // The century; then the zone, so that `Z","updated_at":"20` is one match.
  if (time !== null) return value.startsWith('20') ? `20${zoneOf(time[1])}` : ''
  if (/^(https?|git|ssh):\/\//.test(value)) return blankUrl(value, vocabulary.urlWords)
  if (value === '20' || /^20(Z| UTC|\+0)$/.test(value)) return value
  return vocabulary.prefixes.find((prefix) => value.startsWith(prefix)) ?? ''
}

function zoneOf(zone: string | undefined): string {
  if (zone === undefined) return ''
  return zone === 'Z' || zone === ' UTC' ? zone : '+0'
}

/** Keeps scheme, separators and allowed parts: `https://api.github.com/repos///issues{/number}`. */
function blankUrl(url: string, words: ReadonlySet<string>): string {
  return (
    url
      .split(/([/?&=#]|%20|\.(?:git|diff|patch)\b)/)
      // Older payloads spread avatars over numbered hosts; today there is one.
      .map((part) => part.replace(/^avatars\d\./, 'avatars.'))
      .map((part, i) => (i % 2 === 1 || words.has(part) ? part : ''))
      .join('')
  )
}

/** The blanked JSON as the sender would write it, numbers left out. */
export function textOf(blanked: unknown, escapesHtml: boolean): string {
  if (typeof blanked === 'number') return blanked === 0 ? '0' : ''
  if (typeof blanked === 'string') return quote(blanked, escapesHtml)
  if (Array.isArray(blanked)) return `[${blanked.map((element) => textOf(element, escapesHtml)).join(',')}]`
  if (typeof blanked === 'object' && blanked !== null) {
    const members = Object.entries(blanked)
    return `{${members.map(([key, member]) => `${quote(key, escapesHtml)}:${textOf(member, escapesHtml)}`).join(',')}}`
  }
  return JSON.stringify(blanked)
}

function quote(string: string, escapesHtml: boolean): string {
  const quoted = JSON.stringify(string)
  if (!escapesHtml) return quoted
  return quoted.replaceAll('&', '\\u0026').replaceAll('<', '\\u003c').replaceAll('>', '\\u003e')
}
