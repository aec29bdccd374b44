import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRing } from './ring.ts'

const fields = fc.array(
  fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b)),
  ),
  {
    maxLength: 8,
  },
)

describe('a ring', () => {
  it('gives back every record that it still holds, byte for byte, oldest gone first', () => {
    fc.assert(
      fc.property(
        fc.array(fields, { maxLength: 200 }),
        fc.integer({ min: 100, max: 3000 }),
        (records, maxBytes) => {
          const ring = createRing(maxBytes)
          const pushed: (readonly (string | Buffer)[])[] = []
          for (const [i, record] of records.entries()) {
            if (ring.push(record, `${i + 1}-0`, 1, i)) pushed.push(record)
          }
          const held = ring.before(2)
          expect(held).toHaveLength(ring.size)
          const kept = pushed.slice(pushed.length - held.length)
          expect(held.map(({ index }) => ring.fields(index))).toEqual(kept)
          expect(ring.bytes).toBeLessThanOrEqual(maxBytes)
        },
      ),
    )
  })

  it('remembers the stream id and the connection of each', () => {
    const ring = createRing(10_000)
    ring.push(['a'], '1700000000000-3', 1, 0)
    ring.push(['b'], '', 2, 0)
    ring.push(['c'], '1700000000001-0', 3, 0)
    expect(ring.before(3)).toEqual([
      { index: 0, streamId: '1700000000000-3', connection: 1 },
      { index: 1, streamId: '', connection: 2 },
    ])
    ring.setConnection(0, 7)
    expect(ring.before(3).map(({ index }) => index)).toEqual([1])
  })

  it('lets go of what is too old, and of what is dropped', () => {
    const ring = createRing(10_000)
    for (let i = 0; i < 10; i++) ring.push([String(i)], `${i + 1}-0`, 1, i * 100)
    ring.expire(300)
    expect(ring.size).toBe(7)
    ring.drop(5)
    ring.drop(5)
    expect(ring.size).toBe(6)
    expect(ring.fields(5)).toBeUndefined()
    expect(ring.fields(2)).toBeUndefined()
    expect(ring.fields(6)).toEqual(['6'])
    ring.expire(10_000)
    expect(ring.size).toBe(0)
    expect(ring.bytes).toBe(0)
    expect(ring.push(['again'], '20-0', 1, 0)).toBe(true)
  })

  it('keeps what somebody looks at, and takes nothing more when it is full', () => {
    const ring = createRing(1000)
    const record = [Buffer.alloc(100)]
    for (let i = 0; i < 20; i++) ring.push(record, '1-0', 1, 0)
    const first = ring.before(2)
    expect(first[0]?.index).toBeGreaterThan(0)
    ring.pinned = true
    let taken = 0
    while (taken < 20 && ring.push(record, '1-0', 1, 0)) taken++
    expect(taken).toBeLessThan(2)
    ring.expire(Number.POSITIVE_INFINITY)
    expect(ring.before(2).slice(0, first.length)).toEqual(first)
    ring.pinned = false
    expect(ring.push(record, '1-0', 1, 0)).toBe(true)
    expect(ring.before(2)[0]?.index).toBeGreaterThan(first[0]!.index)
  })

  it('grows with what it holds, up to its limit, in entries and in bytes', () => {
    const ring = createRing(8 * 1024 * 1024)
    for (let i = 0; i < 5000; i++) ring.push([`${i}`, Buffer.alloc(1000, i % 256)], `${i + 1}-0`, 1, i)
    expect(ring.size).toBe(5000)
    const held = ring.before(2)
    expect(ring.fields(held[0]!.index)).toEqual(['0', Buffer.alloc(1000, 0)])
    expect(ring.fields(held[4999]!.index)).toEqual(['4999', Buffer.alloc(1000, 4999 % 256)])
    for (let i = 0; i < 5000; i++) ring.push([Buffer.alloc(1000)], '1-0', 1, i)
    expect(ring.size).toBeLessThan(8500)
  })

  it('of no bytes, or for a record larger than all of it, takes nothing', () => {
    expect(createRing(0).push(['a'], '1-0', 1, 0)).toBe(false)
    const ring = createRing(100)
    ring.push(['small'], '1-0', 1, 0)
    expect(ring.push([Buffer.alloc(200)], '2-0', 1, 0)).toBe(false)
    expect(ring.size).toBe(1)
  })
})
