/** Files of lines. node:readline is of no use: it also ends lines at U+2028, which JSON has as it is. */
import { createReadStream } from 'node:fs'

/** The lines of a file, one after the other; the end of the last one may be missing. Rejects when it cannot be read. */
export function linesIn(file: string): AsyncGenerator<string, void, undefined> {
  return linesOf(createReadStream(file, 'utf8'))
}

/** The lines of a text that comes in pieces. */
export async function* linesOf(
  pieces: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<string, void, undefined> {
  let rest = ''
  for await (const piece of pieces) {
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest !== '') yield rest
}
