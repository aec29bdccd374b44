import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Compressor } from 'zstd-napi'
import { createDictionarySet, dictionaryOf } from './dictionaries.ts'
import { createFrameMaker, createFrameOpener } from './frames.ts'

const WORDS = [
  'repository',
  'pull_request',
  'full_name',
  'html_url',
  'sender',
  'merged_at',
  'labels',
  'node_id',
]
/** Texts that repeat what others said, with something of their own between. */
const text = fc
  .array(fc.tuple(fc.constantFrom(...WORDS), fc.nat({ max: 100_000 })), { maxLength: 400 })
  .map((pairs) =>
    Buffer.from(pairs.map(([word, n]) => `"${word}":"https://api.example.com/${word}/${n}",`).join('')),
  )
const raw = dictionaryOf(
  Buffer.from(WORDS.map((word) => `"${word}":"https://api.example.com/${word}/1",`).join('')),
)
const opener = createFrameOpener(createDictionarySet(new Map([['github', raw]])), 1024 * 1024)

describe('frames', () => {
  it('open as what went in, at every level, with a dictionary and without', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 19 }), fc.boolean(), (bytes, level, withDictionary) => {
        const frame = createFrameMaker(level)(bytes, withDictionary ? raw : undefined)
        const target = Buffer.alloc(bytes.length)
        expect(opener.sizeOf(frame)).toBe(bytes.length)
        expect(opener.fill(frame, withDictionary ? raw.id : '', target)).toBeUndefined()
        expect(target.equals(bytes)).toBe(true)
      }),
      { numRuns: 200 },
    )
  })

  it('with a dictionary, of the levels 5 to 8, are at most 2 % larger than those of zstd itself', () => {
    const samples = fc.sample(text, { numRuns: 200, seed: 1 })
    for (const level of [5, 6, 7, 8]) {
      const plain = new Compressor()
      plain.setParameters({ compressionLevel: level, checksumFlag: true, dictIDFlag: false })
      plain.loadDictionary(raw.bytes)
      const sum = (pack: (bytes: Buffer) => Buffer) =>
        samples.reduce((bytes, each) => bytes + pack(each).length, 0)
      const make = createFrameMaker(level)
      expect(sum((bytes) => make(bytes, raw)) / sum((bytes) => plain.compress(bytes))).toBeLessThan(1.02)
    }
  })
})
