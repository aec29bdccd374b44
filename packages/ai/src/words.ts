/** How a text falls into words, for the local embedder and summariser. */

/** A word as features are made of it. */
export interface Word {
  /** Its stem, in lower case. */
  readonly stem: string
  /** A common word that says little. */
  readonly common: boolean
  /** An identifier or part of one (`PROJ-12`, `parseBody`, `acme/site`), or a number: what people search for exactly. */
  readonly exact: boolean
}

/** Words with what joins identifiers, paths and addresses inside: `acme/site#42`, `src/api.ts`, `PROJ-12`. */
const RUNS = /[\p{L}\p{N}\p{M}_]+(?:[-./#:@'’+][\p{L}\p{N}\p{M}_]+)*/gu
const PLAIN = /^[a-z]+$/
const PARTS = /\p{Lu}+(?!\p{Ll})|\p{Lu}?[\p{Ll}\p{Lo}\p{Lm}\p{M}]+|\p{Lu}|\p{Lt}|\p{N}+/gu
const CONTRACTION = /['’](?:s|t|re|ve|ll|d|m)$/i

const COMMON = new Set(
  `a about after again all also am an and any are as at be because been before being but by can could did do does doing
  done down each few for from further get gets got had has have having he her here hers him his how i if in into is it its
  itself just let like me more most my no nor not now of off on once only or other our ours out over own please same she
  should so some such than that the their theirs them then there these they this those through to too under until up us
  very was we were what when where which while who whom why will with would you your yours http https www com`.split(
    /\s+/,
  ),
)

/** The words of a text in their order; an identifier of several parts comes whole, then each part. */
export function wordsOf(text: string): Word[] {
  const words: Word[] = []
  for (const [run] of text.normalize('NFKC').matchAll(RUNS)) {
    const bare = run.replace(CONTRACTION, '')
    const lower = bare.toLowerCase()
    if (PLAIN.test(bare) || (PLAIN.test(lower) && PLAIN.test(bare.slice(1)))) {
      words.push(wordOf(lower, false))
      continue
    }
    const parts = bare.match(PARTS) ?? []
    if (parts.length !== 1 || parts[0] !== bare) words.push({ stem: lower, common: false, exact: true })
    for (const part of parts) words.push(wordOf(part.toLowerCase(), parts.length > 1 || /^\p{N}/u.test(part)))
  }
  return words
}

function wordOf(lower: string, exact: boolean): Word {
  return { stem: stemOf(lower), common: COMMON.has(lower), exact }
}

const VOWEL = /[aeiouy]/

/** A light English stem: plurals, -ed, -ing, -ly, -er, -ion and their doubled letters; other words stay as they are. */
export function stemOf(word: string): string {
  if (word.length < 4 || !PLAIN.test(word)) return word
  let stem = word
  if (stem.endsWith('ies') && stem.length > 4) stem = `${stem.slice(0, -3)}y`
  else if (/(?:ss|x|z|ch|sh)es$/.test(stem)) stem = stem.slice(0, -2)
  else if (/[^su]s$/.test(stem)) stem = stem.slice(0, -1)
  for (const ending of ['ations', 'ation', 'ingly', 'edly', 'ing', 'ed', 'ly', 'ment', 'ion', 'er', 'or']) {
    const rest = stem.slice(0, -ending.length)
    if (stem.endsWith(ending) && rest.length >= 3 && VOWEL.test(rest)) {
      stem = undoubled(rest)
      break
    }
  }
  return stem.length > 3 && stem.endsWith('e') ? stem.slice(0, -1) : stem
}

/** stopp → stop, but fall, pass and buzz as they are. */
function undoubled(stem: string): string {
  return /([bdgkmnprt])\1$/.test(stem) ? stem.slice(0, -1) : stem
}
