/**
 * Words that a text is found by. The same function reads cards and questions, so that both come to the same words.
 *
 *   acme/my-site#42     acme/my-site#42, acme/my-site, my-site#42, acme, my-site, my, site, 42
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
const BETWEEN_NAMES = /([/#@:!]+)/
const WITHIN_NAME = /[-.+~_]+/
const CAMEL = /(?<=[\p{Ll}\p{N}])(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/u
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]+/gu
const PLAIN = /^[a-z]+$/
/** Most words of a text: nothing of them has to be taken apart, which is four fifths of the work. */
const SIMPLE = /^(?:[A-Za-z][a-z]*|[0-9]+)$/
const ASCII = /^[\x20-\x7e]*$/

/** Every word of a text, in its order, repeated as it repeats. */
export function wordsOf(text: string): string[] {
  const words: string[] = []
  for (const [found] of text.normalize('NFKC').matchAll(IDENTIFIER)) {
    if (SIMPLE.test(found)) add(words, stemOf(found.toLowerCase()))
    else addIdentifier(words, found)
  }
  return words
}

function addIdentifier(words: string[], found: string): void {
  const rest = ASCII.test(found) ? found : found.replace(UNSPACED, (run) => addUnspaced(words, [...run]))
  for (const identifier of rest.split(' ')) {
    // Names stand at even positions, what joins them between.
    const pieces = identifier.split(BETWEEN_NAMES).slice(0, 2 * PARTS_MAX)
    if (pieces.length > 3) add(words, folded(identifier))
    // `site#42` is asked for where `acme/site#42` is meant.
    for (let at = 0; at + 2 < pieces.length; at += 2) {
      if (pieces[at] !== '' && pieces[at + 2] !== '') add(words, folded(pieces.slice(at, at + 3).join('')))
    }
    for (const [at, name] of pieces.entries()) if (at % 2 === 0) addName(words, name)
  }
}

function addName(words: string[], name: string): void {
  const parts = name
    .split(WITHIN_NAME)
    .filter((part) => part !== '')
    .slice(0, PARTS_MAX)
  if (parts.length > 1) add(words, folded(name))
  for (const part of parts) addWord(words, part)
}

function addWord(words: string[], word: string): void {
  const camel = word.split(CAMEL)
  add(words, stemOf(folded(word)))
  if (camel.length > 1 && camel.length <= PARTS_MAX)
    for (const part of camel) add(words, stemOf(folded(part)))
}

/** Returns what stands in their place: a space, which divides what is before and after them. */
function addUnspaced(words: string[], characters: readonly string[]): ' ' {
  for (const [at, character] of characters.entries()) {
    add(words, character)
    const next = characters[at + 1]
    if (next !== undefined) add(words, character + next)
  }
  return ' '
}

function add(words: string[], word: string): void {
  if (word !== '' && word.length <= WORD_MAX) words.push(word)
}

/** Small letters without accents. */
export function folded(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase()
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
  return bare.length > 4 && bare.endsWith('e') ? bare.slice(0, -1) : bare
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
  return /([^aeiouylsz])\1$/.test(bare) || (/ll$/.test(bare) && bare.length > 4) ? bare.slice(0, -1) : bare
}
