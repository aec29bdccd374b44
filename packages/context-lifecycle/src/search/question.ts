/**
 * A question as it is looked for: its words without those that say nothing, and beside each what else people call it.
 *
 * The words that mean the same are those of engineers' talk, which a card does not use: it says `pull_request` where people
 * say PR. They count for less than what was really asked.
 */
import { folded, wordsOf } from './tokens.ts'

export interface Term {
  /** As the index has it (tokens.ts). */
  readonly word: string
  /** As it was written. */
  readonly said: string
  /** What else it may be called; each may consist of one word only. */
  readonly others: readonly string[]
}

/** Longest question, characters. */
export const QUERY_MAX = 1_000
/** Words of a question that are looked for: a pasted log would ask for thousands, and its first ones say what it is about. */
export const QUERY_WORDS_MAX = 48

const words = (text: string): readonly string[] => text.split(' ')

/** They say how something is asked, not what. Of English and German; a question of nothing else is taken as it is. */
const UNSAYING = new Set(
  [
    'a an the of on in at to for from with by and or as is are was were be been it its this that these those there any some',
    'who what which when where why how did do does done has have had i we you me my our us he she they them please show find',
    'der die das den dem des ein eine einen einem und oder im am von vom zu zum zur mit ist sind war wer wie wo wann warum',
    'welche welcher welches hat haben wurde wurden auf aus bei nach',
  ].flatMap((line) => words(line).flatMap(wordsOf)),
)

/** Each line: words for one thing. */
const SAME: readonly string[] = [
  'pr pullrequest pull_request merge_request mr',
  'bug issue ticket defect',
  'fail failed failing failure red broken error',
  'success succeeded passed green ok',
  'alert alarm incident outage page',
  'vuln vulnerability cve security advisory',
  'ci workflow pipeline build run job',
  'deploy deployment rollout',
  'typo spelling misspelled misspelling',
  'docs documentation readme',
  'repo repository project',
  'org organization organisation company',
  'removed deleted uninstalled gone',
  'lag backlog behind lagging',
  'waiting queued pending stuck blocked',
  'running in_progress ongoing started',
  'threshold above limit',
  'user account login person',
  'person people member',
  'offen open opened 打开',
  'geschlossen closed done erledigt',
  'kritisch critical urgent',
  'fehler error bug failed',
  'worklog logged hours time',
  'retracted withdrawn revoked',
  'secret credential credentials token password',
  'container docker image',
  'subscription plan purchase marketplace',
  'sponsor sponsorship sponsored',
]

const OTHERS: ReadonlyMap<string, readonly string[]> = sameWords()

function sameWords(): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const line of SAME) {
    const group = [...new Set(words(line).map((word) => wordsOf(word).at(0) as string))]
    for (const word of group) {
      const others = found.get(word) ?? []
      others.push(...group.filter((other) => other !== word && !others.includes(other)))
      found.set(word, others)
    }
  }
  return found
}

/** Throws `RangeError` for a question that is empty or longer than {@link QUERY_MAX}. */
export function checkedQuery(q: string): string {
  const asked = q.trim()
  if (asked === '') throw new RangeError('the question is empty: say what to look for')
  if (asked.length > QUERY_MAX)
    throw new RangeError(`the question has ${asked.length} characters; at most ${QUERY_MAX} are allowed`)
  return asked
}

/** What to look for; each word once, in the order of the question. */
export function termsOf(asked: string): readonly Term[] {
  const said = new Map<string, string>()
  for (const written of asked.split(/\s+/)) {
    const found = wordsOf(written)
    // An identifier is found by its parts too, which have no spelling of their own.
    for (const word of found) if (!said.has(word)) said.set(word, found.length === 1 ? bare(written) : word)
  }
  const saying = [...said].filter(([word]) => !UNSAYING.has(word))
  return (saying.length > 0 ? saying : [...said])
    .slice(0, QUERY_WORDS_MAX)
    .map(([word, written]) => ({ word, said: written, others: OTHERS.get(word) ?? [] }))
}

/** A word without the commas and quotes around it. */
const bare = (written: string): string => written.replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, '')

/** How a subject is compared with a question that names it. */
export function nameOf(text: string): string {
  return folded(text.normalize('NFKC')).replace(/\s+/g, ' ').trim()
}
