/** Entries in pieces that a model reads at once. */
import { CHARACTERS_PER_TOKEN, estimateTokens } from './tokens.ts'

/**
 * The entries in their order, in as few chunks as it takes when each is filled before the next is begun. An entry that is longer than a
 * chunk is divided. No chunk is empty, and none has more tokens (as estimated) than `maxTokens`.
 * @param maxTokens at least 1
 */
export function chunksOf(entries: readonly string[], maxTokens: number): string[][] {
  const chunks: string[][] = []
  let chunk: string[] = []
  let tokens = 0
  for (const piece of entries.flatMap((entry) => piecesOf(entry, maxTokens))) {
    const more = estimateTokens(piece)
    if (chunk.length > 0 && tokens + more > maxTokens) {
      chunks.push(chunk)
      chunk = []
      tokens = 0
    }
    chunk.push(piece)
    tokens += more
  }
  if (chunk.length > 0) chunks.push(chunk)
  return chunks
}

/** The beginning of a text, of at most so many tokens. */
export function beginning(text: string, maxTokens: number): string {
  return piecesOf(text, maxTokens)[0] ?? ''
}

function piecesOf(text: string, maxTokens: number): string[] {
  if (estimateTokens(text) <= maxTokens) return text === '' ? [] : [text]
  const pieces: string[] = []
  let begin = 0
  /** In quarters of a token. */
  let size = 0
  for (let at = 0; at < text.length; ) {
    const character = String.fromCodePoint(text.codePointAt(at) as number)
    const more = character.charCodeAt(0) > 0x7f ? character.length * CHARACTERS_PER_TOKEN : 1
    if (size + more > maxTokens * CHARACTERS_PER_TOKEN && at > begin) {
      pieces.push(text.slice(begin, at))
      begin = at
      size = 0
    }
    size += more
    at += character.length
  }
  pieces.push(text.slice(begin))
  return pieces
}
