/**
 * The structure of a payload as it is packed: with its recurring names folded (packages/core/src/folding). What stands for
 * a name is structure; the name itself, where it comes first, is taken out like every other value.
 */
import { createFolder, type RecurringNames } from '../../packages/core/src/folding/fold.ts'
import { blank, textOf, type Vocabulary } from './structure.ts'

/** What folding leaves: the path, the last account, an account's first mention without its name, an earlier account. */
const PATH = '\x01'
const LAST = '\x02'
const FIRST = '\x03\x04'
const EARLIER = '\x05'

export function foldedStructure(json: unknown, names: RecurringNames, vocabulary: Vocabulary): string {
  const folded = createFolder().fold('', Buffer.from(JSON.stringify(json)), names)
  if (folded === undefined) return textOf(blank(json, vocabulary), vocabulary.escapesHtml)
  const text = folded.toString('utf8')
  const withoutNames = withoutAccounts(text.slice(text.indexOf('\n') + 1))
  const left = blank(JSON.parse(map(withoutNames, (code) => JSON.stringify(code).slice(1, -1))), {
    ...vocabulary,
    words: new Set([...vocabulary.words, PATH, LAST, FIRST, EARLIER]),
    urlWords: new Set([...vocabulary.urlWords, PATH, LAST]),
  })
  return textOf(left, vocabulary.escapesHtml).replace(/\\u00../g, (code) => JSON.parse(`"${code}"`))
}

/** Takes the names of first mentions out. Whichever of the earlier accounts it is, one code stands for all. */
function withoutAccounts(text: string): string {
  const parts = text.split(FIRST[0] as string).map((part, i) => {
    const end = i === 0 ? 0 : part.indexOf(FIRST[1] as string) + 1
    return map(part.slice(end), (code) => (code > EARLIER ? EARLIER : code))
  })
  return parts.join(FIRST)
}

/** Changes the control characters of a text. */
function map(text: string, change: (code: string) => string): string {
  return Array.from(text, (c) => (c < ' ' ? change(c) : c)).join('')
}
