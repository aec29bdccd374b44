import { hash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Compressor, Decompressor } from 'zstd-napi'
import { TABLES_BYTES, withEntropyTables } from './entropy.ts'
import { countSequences } from './sequences.ts'

const MAGIC = Buffer.from([0x37, 0xa4, 0x30, 0xec])
/** Structure with values of its own, as events are. */
function event(n: number): Buffer {
  const [sha, tree] = ['commit', 'tree'].map((what) => hash('sha256', `${what} ${n}`).slice(0, 40))
  const action = ['opened', 'closed'][n % 2]
  return Buffer.from(
    `{"action":"${action}","number":${n * 7919},"sha":"${sha}","tree":"${tree}","sender":{"login":"u${n % 7}","type":"User"}}`,
  )
}
const structure = Buffer.from(
  '{"action":"opened","number":,"sha":"","tree":"","sender":{"login":"","type":"User"}}'.repeat(4),
)
const events = (from: number) => Array.from({ length: 200 }, (_, i) => event(from + i))

function sizeWith(dictionary: Buffer, contents: readonly Buffer[], level = 3): number {
  const compressor = new Compressor()
  compressor.setParameters({ compressionLevel: level, checksumFlag: true, dictIDFlag: false })
  compressor.loadDictionary(dictionary)
  const opener = new Decompressor()
  opener.loadDictionary(dictionary)
  return contents.reduce((sum, content) => {
    const frame = compressor.compress(content)
    expect(opener.decompress(frame).equals(content)).toBe(true)
    return sum + frame.length
  }, 0)
}

describe('a dictionary with entropy tables', () => {
  it('makes frames smaller, of events that nothing was counted of', () => {
    const dictionary = withEntropyTables(structure, events(0))
    expect(dictionary.subarray(0, 4)).toEqual(MAGIC)
    expect(dictionary.subarray(-structure.length)).toEqual(structure)
    expect(dictionary.length - structure.length).toBeLessThanOrEqual(TABLES_BYTES)
    expect(sizeWith(dictionary, events(1_000))).toBeLessThan(0.95 * sizeWith(structure, events(1_000)))
  })

  it('is the same for the same content and samples', () => {
    expect(withEntropyTables(structure, events(0))).toEqual(withEntropyTables(structure, events(0)))
  })

  it('packs and opens whatever comes, whatever it was made from', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 2_000 }).map((array) => Buffer.from(array)),
      fc.string({ maxLength: 2_000 }).map((text) => Buffer.from(text)),
      fc.integer({ min: 1, max: 500 }).map((n) => event(n)),
      fc.integer({ min: 1, max: 3_000 }).map((n) => Buffer.alloc(n, 'ab')),
    )
    fc.assert(
      fc.property(
        bytes,
        fc.array(bytes, { maxLength: 8 }),
        fc.array(bytes, { maxLength: 5 }),
        (content, samples, others) => {
          const dictionary = withEntropyTables(content, samples)
          for (const level of [1, 3, 6]) sizeWith(dictionary, [...samples, ...others], level)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('is only the content, where that is too short to have tables', () => {
    expect(withEntropyTables(Buffer.from('short'), events(0))).toEqual(Buffer.from('short'))
  })
})

describe('counting sequences', () => {
  it('sees what a dictionary has as one match, and the rest as literals', () => {
    const { literals, literalLengths, matchLengths, offsets } = countSequences(
      Buffer.from('0123456789abcdefghijklmnopqrstuvwxyz'),
      [Buffer.from('XY56789abcdefghijklmnopqrstuvwxyzZ')],
    )
    const total = (counts: Uint32Array) => counts.reduce((sum, count) => sum + count, 0)
    const seen = Array.from(literals).flatMap((count, code) => (count > 0 ? [code] : []))
    expect(String.fromCharCode(...seen)).toBe('XYZ')
    expect(literalLengths[2]).toBe(1)
    expect(matchLengths[28]).toBe(1) // 31 bytes
    expect(offsets[5]).toBe(1) // 33 bytes back, and 3
    expect([literalLengths, matchLengths, offsets].map(total)).toEqual([1, 1, 1])
  })
})
