import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  deriveEventId,
  EVENT_ID_PATTERN,
  eventIdBytes,
  eventIdFromBytes,
  locatorOf,
  mintEventId,
  type OccurrenceKey,
} from './event.ts'

const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes))
// Separators and digits turn up often: they are what one part would need to imitate another.
const part = fc.string({ unit: fc.constantFrom(...'0123456789:,ab'), maxLength: 12 })
const occurrence: fc.Arbitrary<OccurrenceKey> = fc.record({
  kind: fc.constantFrom('delivery-id' as const, 'hash' as const),
  value: fc.oneof(part, fc.string({ unit: 'binary' })),
})

describe('locatorOf', () => {
  it('is 16 bytes and the same for the same occurrence', () => {
    fc.assert(
      fc.property(part, part, occurrence, (tenant, tool, key) => {
        const locator = locatorOf(tenant, tool, key)
        expect(locator).toHaveLength(16)
        expect(locatorOf(tenant, tool, { ...key })).toEqual(locator)
      }),
    )
  })

  it('differs as soon as tenant, tool, kind or key differ, however their characters are split', () => {
    fc.assert(
      fc.property(
        part,
        part,
        occurrence,
        part,
        part,
        occurrence,
        (tenant, tool, key, tenant2, tool2, key2) => {
          const same =
            tenant === tenant2 && tool === tool2 && key.kind === key2.kind && key.value === key2.value
          expect(locatorOf(tenant, tool, key).equals(locatorOf(tenant2, tool2, key2))).toBe(same)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('differs for every way to cut one text into tenant, tool and key', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'1:,a'), minLength: 2, maxLength: 14 }), (text) => {
        const seen = new Set<string>()
        let splits = 0
        for (let a = 0; a <= text.length; a++) {
          for (let b = a; b <= text.length; b++) {
            const key = { kind: 'hash', value: text.slice(b) } as const
            seen.add(locatorOf(text.slice(0, a), text.slice(a, b), key).toString('hex'))
            splits++
          }
        }
        expect(seen.size).toBe(splits)
      }),
    )
  })

  it('tells keys apart that differ only in half characters, which UTF-8 cannot write', () => {
    const locators = ['\ud800', '\ud801', '\udfff', '\ufffd'].map((value) =>
      locatorOf('t', 'x', { kind: 'delivery-id', value }).toString('hex'),
    )
    expect(new Set(locators).size).toBe(4)
  })

  it('never changes: ids derived from it name events for ever', () => {
    const locator = locatorOf('default', 'github', {
      kind: 'delivery-id',
      value: '72d3162e-cc78-11e3-81ab-4c9367dc0958',
    })
    expect(deriveEventId(locator)).toBe('evt_3iU33iC2F7kY-CqZ8pbfrg')
  })
})

describe('event ids', () => {
  it('are their 16 bytes', () => {
    fc.assert(
      fc.property(bytes16, (bytes) => {
        const id = eventIdFromBytes(bytes)
        expect(id).toMatch(EVENT_ID_PATTERN)
        expect(eventIdBytes(id)).toEqual(bytes)
        expect(deriveEventId(bytes)).toBe(id)
      }),
    )
  })

  it('have one spelling: whatever is accepted comes back as it was', () => {
    const spelled = fc
      .string({ unit: fc.constantFrom(...'ABCDZabcz019-_QgwBx'), minLength: 22, maxLength: 22 })
      .map((text) => `evt_${text}`)
    fc.assert(
      fc.property(spelled, (id) => {
        fc.pre(EVENT_ID_PATTERN.test(id))
        expect(eventIdFromBytes(eventIdBytes(id))).toBe(id)
      }),
    )
  })

  it('are refused when they are anything else', () => {
    const wrong = [
      '',
      'evt_',
      `evt_${'A'.repeat(21)}`,
      `evt_${'A'.repeat(23)}`,
      `${'A'.repeat(26)}`,
      `evt_${'A'.repeat(20)}+/`,
      `evt_${'A'.repeat(22)}\n`,
      `evt_${'A'.repeat(21)}B`, // more bits than 16 bytes have
    ]
    for (const id of wrong) expect(() => eventIdBytes(id), JSON.stringify(id)).toThrow(RangeError)
  })

  it('when minted, carry their time and sort by it as bytes', () => {
    const ms = fc.integer({ min: 0, max: 2 ** 48 - 1 })
    const random = fc.uint8Array({ minLength: 10, maxLength: 10 }).map((bytes) => Buffer.from(bytes))
    fc.assert(
      fc.property(ms, random, ms, random, (a, randomA, b, randomB) => {
        const [first, second] = [eventIdBytes(mintEventId(a, randomA)), eventIdBytes(mintEventId(b, randomB))]
        expect(first.readUIntBE(0, 6)).toBe(a)
        expect(first.subarray(6)).toEqual(randomA)
        if (a !== b) expect(Math.sign(first.compare(second))).toBe(Math.sign(a - b))
      }),
    )
  })

  it('when minted, are new each time', () => {
    const ids = new Set(Array.from({ length: 1_000 }, () => mintEventId(1_700_000_000_000)))
    expect(ids.size).toBe(1_000)
  })
})
