import { destroyKeys } from '@weir/core/keyring/changes'
import { NO_KEYRING } from '@weir/core/keyring/keyring'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { useKeyrings } from '../../../../tests/support/keyring.ts'
import { type Card, DIMENSIONS_MAX } from './card.ts'
import { decodeCard, encodeCard, outlineOf } from './card-bytes.ts'
import { card } from './cards.test-support.ts'

const keyrings = useKeyrings()
const text = fc.string({ unit: 'grapheme', maxLength: 60 })
const orNull = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: null })
const anyCard: fc.Arbitrary<Card> = fc
  .record({
    subject: text,
    title: orNull(text),
    link: orNull(text),
    state: orNull(text),
    severity: orNull(
      fc.constantFrom('info' as const, 'warning' as const, 'error' as const, 'critical' as const),
    ),
    people: fc.array(text, { maxLength: 5 }),
    text,
    summary: fc.option(fc.record({ text, events: fc.nat(2 ** 31) }), { nil: undefined }),
    importance: fc.double({ min: 0, max: 1, noNaN: true }).map((value) => Math.abs(value)),
    lastAt: fc.nat(2 ** 31),
    events: fc.nat(2 ** 31),
    embedding: fc.option(fc.record({ model: text, vector: fc.int8Array({ minLength: 1, maxLength: 300 }) }), {
      nil: undefined,
    }),
  })
  .map(({ summary, embedding, ...more }) =>
    card({
      ...more,
      ...(summary === undefined ? {} : { summary }),
      ...(embedding === undefined ? {} : { embedding }),
    }),
  )
const prepared = async () => {
  const keyring = keyrings.open()
  await keyring.prepare('acme')
  return keyring
}
const CORRUPT = expect.objectContaining({ code: 'RECORD_CORRUPT' })

describe('a card in bytes', () => {
  it('comes back as it was, in the clear and encrypted', async () => {
    const keyring = await prepared()
    fc.assert(
      fc.property(anyCard, (one) => {
        expect(decodeCard(one.id, encodeCard(one, undefined), NO_KEYRING)).toEqual(one)
        expect(decodeCard(one.id, encodeCard(one, keyring), keyring)).toEqual(one)
      }),
    )
  })

  it('says in the clear whose it is and when, and no more when it is encrypted', async () => {
    const keyring = await prepared()
    const secret = card({
      subject: 'SECRET-1',
      title: 'SECRET',
      state: 'SECRET',
      people: ['SECRET'],
      text: 'SECRET',
      summary: { text: 'SECRET', events: 1 },
      link: 'https://SECRET',
    })
    const bytes = encodeCard(secret, keyring)
    expect(bytes.includes('SECRET')).toBe(false)
    const { tenant, tool, kind, lastAt, importance, events } = secret
    expect(outlineOf(secret.id, bytes)).toMatchObject({
      tenant,
      tool,
      kind,
      lastAt,
      importance,
      events,
      sealed: true,
    })
  })

  it('is its own context’s and its own tenant’s', async () => {
    const keyring = await prepared()
    const one = card()
    const other = card({ subject: 'acme/site#8' })
    expect(() => decodeCard(other.id, encodeCard(one, keyring), keyring)).toThrow(CORRUPT)
    await destroyKeys(keyrings.store, 'acme', 5)
    const bytes = encodeCard(one, keyring)
    await keyring.lookAgain('acme')
    expect(() => decodeCard(one.id, bytes, keyring)).toThrow(
      expect.objectContaining({ code: 'KEY_DESTROYED' }),
    )
    expect(() => decodeCard(one.id, bytes, NO_KEYRING)).toThrow(
      expect.objectContaining({ code: 'KEY_MISSING' }),
    )
  })

  it('that was cut, changed, or is none is a fault of its own', async () => {
    const keyring = await prepared()
    const decoded = (bytes: Buffer, opener: Parameters<typeof decodeCard>[2]) => {
      try {
        return decodeCard('ctx_x', bytes, opener)
      } catch (error) {
        expect(error).toEqual(CORRUPT)
        return undefined
      }
    }
    fc.assert(
      fc.property(anyCard, fc.nat(), fc.nat(255), (one, at, value) => {
        const bytes = encodeCard(one, undefined)
        // In the clear a card may be another one's after a change, and a shorter embedding is one too; it is never anything else.
        decoded(bytes.subarray(0, at % bytes.length), NO_KEYRING)
        const changed = Buffer.from(bytes)
        changed[at % bytes.length] = value
        decoded(changed, NO_KEYRING)
        const sealed = encodeCard(one, keyring)
        expect(decoded(sealed.subarray(0, at % sealed.length), keyring)).toBeUndefined()
      }),
      { numRuns: 300 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decoded(Buffer.from(bytes), NO_KEYRING)),
    )
    const huge = encodeCard(
      card({ embedding: { model: 'm', vector: new Int8Array(DIMENSIONS_MAX + 1) } }),
      undefined,
    )
    expect(decoded(huge, NO_KEYRING)).toBeUndefined()
  })
})
