/**
 * Gives a dictionary the entropy tables that its events need, so that a frame need not bring its own: of GitHub's events
 * that makes frames 9 % smaller and packing a third faster, because nothing has to be counted and built for each.
 *
 * The format is that of RFC 8878, section 5:
 *
 *   magic, id · prefix code of literals · FSE tables of offsets, match lengths, literal lengths · three offsets · content
 *
 * zstd uses the tables of a dictionary at its fast levels without asking whether they fit, as long as they have a code for
 * everything that may come. So everything that may come counts once more than it did.
 */
import { createHash } from 'node:crypto'
import { normalized, tableDescription } from './fse-table.ts'
import { codeLengths } from './prefix-code.ts'
import { countSequences } from './sequences.ts'

const MAGIC = 0xec30a437
/** Ids of dictionaries that nobody has registered: 32768 to 2³¹ − 1. Frames do not tell them (see packing.ts). */
const LEAST_ID = 32_768
/** Literals with a code: ASCII. Others make zstd build a code for the frame that has them. */
const SYMBOLS = 128
/** Longest code that decoders take, bits. */
const LONGEST_CODE = 11
/** log₂ of the table sizes, the largest that there may be. */
const OFFSET_LOG = 8
const LENGTH_LOG = 9
/** What the offsets of the matches before are, at the beginning of a frame. */
const FIRST_OFFSETS = [1, 4, 8] as const
const LEAST_CONTENT = 8

/** The most bytes that the tables take. */
export const TABLES_BYTES = 512

/**
 * @param content what is to be repeated
 * @param samples contents of events that are to be packed with it
 */
export function withEntropyTables(content: Buffer, samples: readonly Buffer[]): Buffer {
  if (content.length < LEAST_CONTENT) return content
  const counts = countSequences(content, samples)
  const head = Buffer.alloc(8)
  head.writeUInt32LE(MAGIC, 0)
  const id = createHash('sha256').update(content).digest().readUInt32LE(0)
  head.writeUInt32LE(LEAST_ID + (id % (2 ** 31 - LEAST_ID)), 4)
  const offsets = Buffer.alloc(12)
  for (const [i, offset] of FIRST_OFFSETS.entries()) offsets.writeUInt32LE(offset, 4 * i)
  return Buffer.concat([
    head,
    literalCode(counts.literals),
    table(counts.offsets, OFFSET_LOG),
    table(counts.matchLengths, LENGTH_LOG),
    table(counts.literalLengths, LENGTH_LOG),
    offsets,
    content,
  ])
}

const plusOne = (counts: ArrayLike<number>): number[] => Array.from(counts, (count) => count + 1)

/** Weights of four bits each; that of the last symbol follows from the others (RFC 8878, 4.2.1.1). */
function literalCode(counts: Uint32Array): Buffer {
  const lengths = codeLengths(plusOne(counts.subarray(0, SYMBOLS)), LONGEST_CODE)
  const longest = Math.max(...lengths)
  const weights = lengths.slice(0, -1).map((length) => longest + 1 - length)
  const bytes = [127 + weights.length]
  for (let i = 0; i < weights.length; i += 2) {
    bytes.push(((weights[i] as number) << 4) | (weights[i + 1] ?? 0))
  }
  return Buffer.from(bytes)
}

function table(counts: Uint32Array, log: number): Buffer {
  return tableDescription(normalized(plusOne(counts), log), log)
}
