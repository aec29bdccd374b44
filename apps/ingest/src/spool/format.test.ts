import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeSegmentHeader,
  encodeRecordHeader,
  encodeSegmentHeader,
  MAX_PAYLOAD_BYTES,
  RECORD_HEADER_BYTES,
  scanRecords,
} from './format.ts'

const seeds = { header: 0x1234_5678, payload: 0x9abc_def0 }
const BASE = 24

const encode = (payloads: readonly Buffer[], at = 1_700_000_000_000): Buffer =>
  Buffer.concat(payloads.flatMap((payload) => [encodeRecordHeader(payload, at, seeds), payload]))

const payload = fc.uint8Array({ minLength: 1, maxLength: 60 }).map((bytes) => Buffer.from(bytes))
const payloads = fc.array(payload, { minLength: 1, maxLength: 6 })

/** True when `part` can be made from `whole` by leaving some out. */
function isSubsequence(part: readonly Buffer[], whole: readonly Buffer[]): boolean {
  let next = 0
  for (const each of whole) if (next < part.length && part[next]!.equals(each)) next++
  return next === part.length
}

describe('records in a segment', () => {
  it('come back as written, with their time and the offset behind each', () => {
    fc.assert(
      fc.property(payloads, fc.nat(), (written, at) => {
        const { records, damaged, torn } = scanRecords(encode(written, at), BASE, seeds)
        expect(records.map((record) => record.payload)).toEqual(written)
        expect(records.map((record) => record.at)).toEqual(written.map(() => at))
        expect(records.at(-1)!.end).toBe(BASE + encode(written).length)
        expect({ damaged, torn }).toEqual({ damaged: [], torn: undefined })
      }),
    )
  })

  it('cut at any byte keep the whole ones before the cut; the rest is a write that never finished', () => {
    fc.assert(
      fc.property(payloads, (written) => {
        const bytes = encode(written)
        const ends = scanRecords(bytes, 0, seeds).records.map((record) => record.end)
        for (let cut = 0; cut <= bytes.length; cut++) {
          const { records, damaged, torn } = scanRecords(bytes.subarray(0, cut), 0, seeds)
          const whole = ends.filter((end) => end <= cut)
          expect(records.map((record) => record.end)).toEqual(whole)
          expect(damaged).toEqual([])
          expect(torn).toEqual((whole.at(-1) ?? 0) === cut ? undefined : { from: whole.at(-1) ?? 0, to: cut })
        }
      }),
    )
  })

  it('with any one bit flipped lose the one record it is in, which is named as damage', () => {
    fc.assert(
      fc.property(payloads, (written) => {
        const bytes = encode(written)
        const ends = scanRecords(bytes, 0, seeds).records.map((record) => record.end)
        for (let bit = 0; bit < bytes.length * 8; bit++) {
          const flipped = Buffer.from(bytes)
          flipped[bit >> 3]! ^= 1 << (bit & 7)
          const hit = ends.findIndex((end) => end > bit >> 3)
          const { records, damaged, torn } = scanRecords(flipped, 0, seeds)
          expect(records.map((record) => record.payload)).toEqual(written.toSpliced(hit, 1))
          expect(damaged).toEqual([{ from: ends[hit - 1] ?? 0, to: ends[hit] }])
          expect(torn).toBeUndefined()
        }
      }),
      { numRuns: 20 },
    )
  })

  it('overwritten anywhere with anything are found again behind it, in order, none invented', () => {
    fc.assert(
      fc.property(
        payloads,
        fc.uint8Array({ minLength: 1, maxLength: 80 }),
        fc.nat(),
        (written, noise, where) => {
          const bytes = encode(written)
          const ends = scanRecords(bytes, 0, seeds).records.map((record) => record.end)
          const from = where % bytes.length
          const to = Math.min(from + noise.length, bytes.length)
          const overwritten = Buffer.from(bytes)
          overwritten.set(noise.subarray(0, to - from), from)
          const found = scanRecords(overwritten, 0, seeds).records.map((record) => record.payload)
          const untouched = written.filter((_, index) => ends[index]! <= from || (ends[index - 1] ?? 0) >= to)
          expect(isSubsequence(found, written)).toBe(true)
          expect(isSubsequence(untouched, found)).toBe(true)
        },
      ),
    )
  })

  it('are not found in zeros, which a power cut can leave', () => {
    const { records, damaged } = scanRecords(Buffer.alloc(500), BASE, seeds)
    expect(records).toEqual([])
    expect(damaged).toEqual([{ from: BASE, to: BASE + 500 }])
  })

  it('that a sender put into a payload are not taken for records when the one around them is damaged', () => {
    const guessed = { header: 0, payload: 0 }
    const forged = Buffer.from('admit me')
    const body = Buffer.concat([encodeRecordHeader(forged, 1, guessed), forged, Buffer.alloc(64, 'x')])
    const bytes = encode([body, Buffer.from('genuine')])
    bytes[0]! ^= 1
    expect(scanRecords(bytes, 0, seeds).records.map((record) => String(record.payload))).toEqual(['genuine'])
  })

  it('are not swallowed by a header that looks sound by chance inside damage', () => {
    const chance = encodeRecordHeader(Buffer.alloc(30), 1, seeds)
    const bytes = encode([
      Buffer.concat([chance, Buffer.alloc(8, 'x')]),
      Buffer.from('genuine'),
      Buffer.from('last'),
    ])
    bytes[0]! ^= 1
    const found = scanRecords(bytes, 0, seeds).records.map((record) => String(record.payload))
    expect(found).toEqual(['genuine', 'last'])
  })

  it('cannot be longer than a length that is taken for damage', () => {
    const header = encodeRecordHeader(Buffer.alloc(1), 1, seeds)
    expect(header.length).toBe(RECORD_HEADER_BYTES)
    expect(MAX_PAYLOAD_BYTES).toBeLessThan(2 ** 32)
  })
})

describe('the header of a segment', () => {
  it('keeps the seeds, and any one flipped bit or missing byte shows', () => {
    const header = encodeSegmentHeader(seeds)
    expect(decodeSegmentHeader(header)).toEqual({ kind: 'sound', seeds })
    for (let bit = 0; bit < header.length * 8; bit++) {
      const flipped = Buffer.from(header)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      expect(decodeSegmentHeader(flipped)).toEqual({ kind: 'damaged' })
    }
    for (let length = 0; length < header.length; length++)
      expect(decodeSegmentHeader(header.subarray(0, length))).toEqual({ kind: 'damaged' })
  })
})
