/**
 * Words that a text is found by. The same function reads cards and questions, so that both come to the same words.
 *
 *   acme/site#42        acme/site#42, acme/site, site#42, acme, site, 42
 *   WebhookConsumerLag  webhookconsumerlag, webhook, consumer, lag
 *   merged, merging     merg
 *   状态打开             状, 态, 打, 开, 状态, 态打, 打开: scripts without spaces, by one and two characters
 *   Änderung            anderung: as people type who have no such key
 */

/** Longest word kept, characters: a commit's hash of 64 fits; longer ones are data that nobody types. */
const WORD_MAX = 100
/** Parts of an identifier that are looked at; a long address has no more that matter. */
const PARTS_MAX = 24

/** Words joined by what identifiers are joined by; a single word too. */
const IDENTIFIER = /[\p{L}\p{M}\p{N}_]+(?:[-./#@:!+~][\p{L}\p{M}\p{N}_]+)*/gu
const JOINT = /([-./#@:!+~_]+)/
const CAMEL = /(?<=[\p{Ll}\p{N}])(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/u
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]+/gu
const PLAIN = /^[a-z]+$/

/** Every word of a text, in its order, repeated as it repeats. */
export function wordsOf(text: string): string[] {
  const words: string[] = []
  for (const [found] of text.normalize('NFKC').matchAll(IDENTIFIER)) addIdentifier(words, found)
  return words
}

function addIdentifier(words: string[], found: string): void {
  const rest = found.replace(UNSPACED, (run) => {
    addUnspaced(words, [...run])
    return ' '
  })
  for (const identifier of rest.split(' ')) {
    if (identifier === '') continue
    const pieces = identifier.split(JOINT)
    // Words stand at even positions, what joins them between.
    const parts = pieces.filter((part, at) => at % 2 === 0 && part !== '').slice(0, PARTS_MAX)
    if (parts.length > 1) {
      add(words, folded(identifier))
      if (pieces.length > 3) addPairs(words, pieces)
    }
    for (const part of parts) addWord(words, part)
  }
}

/** `site#42` is asked for where `acme/site#42` is meant. */
function addPairs(words: string[], pieces: readonly string[]): void {
  for (let at = 0; at + 2 < pieces.length && at < 2 * PARTS_MAX; at += 2)
    if (pieces[at] !== '' && pieces[at + 2] !== '') add(words, folded(pieces.slice(at, at + 3).join('')))
}

function addWord(words: string[], word: string): void {
  const camel = word.split(CAMEL)
  add(words, stemOf(folded(word)))
  if (camel.length > 1 && camel.length <= PARTS_MAX) for (const part of camel) add(words, stemOf(folded(part)))
}

function addUnspaced(words: string[], characters: readonly string[]): void {
  for (const [at, character] of characters.entries()) {
    add(words, character)
    const next = characters[at + 1]
    if (next !== undefined) add(words, character + next)
  }
}

function add(words: string[], word: string): void {
  if (word !== '' && word.length <= WORD_MAX) words.push(word)
}

/** Small letters without accents. */
export function folded(text: string): string {
  return text
    .toLowerCase()
    .replaceAll('ß', 'ss')
    .normalize('NFD')
    .replace(/([a-z])\p{Mn}+/gu, '$1')
    .normalize('NFC')
}

/**
 * What an English word is without its ending, so far as titles need it: plurals, `-ed`, `-ing`, `-ment`. Cruder than Porter's
 * rules and enough: `merge`, `merged` and `merging` are one, `status` and `address` stay what they are. What is no word of
 * small letters is left alone.
 */
function stemOf(word: string): string {
  if (word.length < 4 || !PLAIN.test(word)) return word
  const bare = withoutEnding(withoutPlural(word))
  return bare.length > 3 && bare.endsWith('e') ? bare.slice(0, -1) : bare
}

function withoutPlural(word: string): string {
  if (word.endsWith('ies') && word.length > 4) return `${word.slice(0, -3)}y`
  return word.endsWith('s') && !/(ss|us|is)$/.test(word) ? word.slice(0, -1) : word
}

function withoutEnding(word: string): string {
  const ending = /(ment|ing|ed)$/.exec(word)?.[0]
  if (ending === undefined) return word
  const bare = word.slice(0, -ending.length)
  if (bare.length < 3 || !/[aeiouy]/.test(bare)) return word
  return /([^aeiouylsz])\1$/.test(bare) || /ll$/.test(bare) && bare.length > 4 ? bare.slice(0, -1) : bare
}
