/**
 * Takes out of a JSON text the names that recur in it, before it is packed, and puts them back after unpacking.
 *
 * A GitHub event says the full name of its repository sixty times and each login in fourteen addresses. They break up
 * what a dictionary knows: `…/repos/`, the name, `/forks","keys_url":"…/repos/`, the name again, and so on, each piece a
 * match of its own. With one character in place of the name, the member list of a whole repository (5 KB) is one match. Of
 * the GitHub examples that leaves 739 bytes of 1,015, and packing takes a fifth less time, because zstd has less to do.
 *
 * The characters are control characters (fold.wat has the list), which JSON does not have as they are; a text that has
 * any is not folded. Nothing is parsed: a name that is part of a longer word is taken out too, and comes back the same.
 */
import { readFileSync } from 'node:fs'
import { instantiate, type WasmGlobal } from '../wasm.ts'

/** The members of a tool's payloads whose values recur in others, mostly in addresses. */
export interface RecurringNames {
  /** The full name of what the event belongs to, `owner/name`; the last one in the text is taken. */
  readonly path: string
  /** Names of people and organisations. */
  readonly account: string
}

/** What fold.wasm exports; its meaning stands in fold.wat. */
interface FoldExports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly pathKey: WasmGlobal
  readonly accountKey: WasmGlobal
  readonly input: WasmGlobal
  readonly output: WasmGlobal
  readonly capacity: WasmGlobal
  fold(start: number, end: number, to: number, pathKeyLength: number, accountKeyLength: number): number
  unfold(start: number, end: number, to: number, most: number, path: number, pathLength: number): number
}

export interface Folder {
  /**
   * The head, then the path and a newline, then the folded text: in memory that the next call overwrites. undefined for a
   * text that cannot be folded: longer than {@link MAX_TEXT_BYTES}, or with control characters.
   * @param head one line, with its newline
   */
  fold(head: string, text: Buffer, names: RecurringNames): Buffer | undefined
  /** What is to be unfolded is put here. Its size is the most that can be. */
  readonly input: Buffer
  /**
   * Undoes `fold` for what stands in `input` from `start` (behind the head) to `end`. The text is in memory that the next
   * call overwrites; undefined for what `fold` never made.
   */
  unfold(start: number, end: number): Buffer | undefined
}

/** Longer texts are left as they are: the names are the smaller part of them. */
export const MAX_TEXT_BYTES = 256 * 1024
/** A longer head is not put in front of a folded text, characters. */
const MAX_HEAD_CHARACTERS = 20_000
const NEWLINE = 0x0a
/** A member's name with what follows it: longer ones do not fit into fold.wat's registers. */
const MAX_KEY_BYTES = 31

/** A folder with memory of its own (0.8 MB). */
export function createFolder(): Folder {
  const wasm = instantiate(readFileSync(new URL('fold.wasm', import.meta.url))) as FoldExports
  const whole = Buffer.from(wasm.memory.buffer)
  const capacity = wasm.capacity.value
  const from = wasm.input.value
  const to = wasm.output.value
  const input = whole.subarray(from, from + capacity)
  let prepared: RecurringNames | undefined
  let pathKeyLength = 0
  let accountKeyLength = 0

  return {
    input,
    fold(head, text, names) {
      if (text.length > MAX_TEXT_BYTES || head.length > MAX_HEAD_CHARACTERS) return undefined
      if (prepared !== names) {
        pathKeyLength = whole.write(keyOf(names.path), wasm.pathKey.value)
        accountKeyLength = whole.write(keyOf(names.account), wasm.accountKey.value)
        prepared = names
      }
      text.copy(input)
      const behindHead = to + whole.write(head, to)
      const end = wasm.fold(from, from + text.length, behindHead, pathKeyLength, accountKeyLength)
      return end === 0 ? undefined : whole.subarray(to, end)
    },
    unfold(start, end) {
      const newline = input.indexOf(NEWLINE, start)
      if (newline < 0 || newline >= end) return undefined
      const last = wasm.unfold(
        from + newline + 1,
        from + end,
        to,
        to + capacity,
        from + start,
        newline - start,
      )
      // An empty text ends where it begins, which is not 0.
      return last === 0 ? undefined : whole.subarray(to, last)
    },
  }
}

/** `login":"`, as it stands behind a quote. */
function keyOf(member: string): string {
  const key = `${member}":"`
  if (key.length > MAX_KEY_BYTES)
    throw new RangeError(`the member name ${member} is too long to be folded by`)
  return key
}
