import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { deriveEventId, type WebhookEvent } from './event.ts'
import { Fault } from './faults.ts'
import {
  decodeRecord,
  encodeRecord,
  type FieldList,
  freezeFields,
  type PackedBody,
  thawFields,
} from './record.ts'

const bytes = (size: { minLength: number; maxLength: number }) =>
  fc.uint8Array(size).map((array) => Buffer.from(array))
const name = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,20}$/)
const event: fc.Arbitrary<WebhookEvent> = fc
  .record({
    idBytes: bytes({ minLength: 16, maxLength: 16 }),
    locator: bytes({ minLength: 16, maxLength: 16 }),
    derived: fc.boolean(),
    tenant: name,
    tool: name,
    type: fc.string({ unit: 'grapheme' }),
    receivedAt: fc.integer({ min: 0, max: 10 ** 15 - 1 }),
    traceparent: fc.constantFrom('', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'),
  })
  .map(({ idBytes, locator, derived, ...rest }) => ({
    ...rest,
    id: deriveEventId(idBytes),
    locator: derived ? idBytes : locator,
    derived,
    headers: [],
    body: Buffer.alloc(0),
  }))
const packed: fc.Arbitrary<PackedBody> = fc.record({
  encoding: fc.constantFrom('zstd' as const, 'plain' as const),
  dictionary: fc.constantFrom('', '0123456789abcdef'),
  packed: bytes({ minLength: 0, maxLength: 200 }),
})

const sample: WebhookEvent = {
  id: 'evt_AAAAAAAAAAAAAAAAAAAAAA',
  tenant: 'default',
  tool: 'github',
  type: 'push',
  receivedAt: 1_700_000_000_000,
  locator: Buffer.alloc(16),
  derived: true,
  headers: [],
  body: Buffer.alloc(0),
  traceparent: '',
}
const samplePacked: PackedBody = { encoding: 'plain', dictionary: '', packed: Buffer.from('[]\n') }

/** The sample's field list with one value changed, or the field left out (undefined). */
function without(field: string, value?: string | Buffer): FieldList {
  const fields = encodeRecord(sample, samplePacked)
  const out: (string | Buffer)[] = []
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== field) out.push(fields[i]!, fields[i + 1]!)
    else if (value !== undefined) out.push(field, value)
  }
  if (value !== undefined && !fields.includes(field)) out.push(field, value)
  return out
}

function corrupt(run: () => unknown): Fault {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(Fault)
    expect(error).toMatchObject({ code: 'RECORD_CORRUPT' })
    return error as Fault
  }
  throw new Error('nothing was thrown')
}

describe('a record', () => {
  it('says the same after encoding and decoding', () => {
    fc.assert(
      fc.property(event, packed, (original, body) => {
        const asStored = encodeRecord(original, body).map((field) => Buffer.from(field as string))
        for (const fields of [encodeRecord(original, body), asStored]) {
          expect(decodeRecord(fields)).toEqual({
            id: original.id,
            tenant: original.tenant,
            tool: original.tool,
            type: original.type,
            receivedAt: original.receivedAt,
            locator: original.locator,
            derived: original.derived,
            encoding: body.encoding,
            dictionary: body.dictionary,
            packed: body.packed,
            traceparent: original.traceparent,
            attempts: 0,
          })
        }
      }),
    )
  })

  it('has the same fields in the same order whatever the event, and others only where they say something', () => {
    const usual = ['v', 'id', 'tenant', 'tool', 'type', 'at', 'enc', 'dict', 'body']
    fc.assert(
      fc.property(event, packed, (original, body) => {
        const names = encodeRecord(original, body).filter((_, index) => index % 2 === 0)
        const more = [...(original.derived ? [] : ['k']), ...(original.traceparent === '' ? [] : ['tp'])]
        expect(names).toEqual([...usual, ...more])
      }),
    )
  })

  it('says the same as one with all its fields, as they were written before', () => {
    const before = [
      ...['v', '1', 'id', sample.id, 'tenant', 'default', 'tool', 'github', 'type', 'push'],
      ...['at', '1700000000000', 'k', '', 'enc', 'plain', 'dict', '', 'body', '[]\n', 'tp', '', 'n', '0'],
    ]
    expect(decodeRecord(before)).toEqual(decodeRecord(encodeRecord(sample, samplePacked)))
  })

  it('may have fields that this version does not know', () => {
    const fields = [...encodeRecord(sample, samplePacked), 'new', 'value']
    expect(decodeRecord(fields)).toMatchObject({ id: sample.id })
  })

  it.each(['v', 'id', 'tenant', 'tool', 'at', 'enc', 'body'])('is corrupt without its field %s', (field) => {
    corrupt(() => decodeRecord(without(field)))
  })

  it.each(['2', '9', '10', '9999'])(
    'of the later version %s is packed in a way that nobody here knows',
    (version) => {
      expect(decodeRecord(without('v', version))).toMatchObject({ id: sample.id, encoding: `v${version}` })
    },
  )

  it.each<[string, string | Buffer]>([
    ['v', ''],
    ['v', '0'],
    ['v', '01'],
    ['v', '1.1'],
    ['v', '10000'],
    ['id', 'evt_short'],
    ['id', '../../etc'],
    ['tenant', 'UPPER'],
    ['tool', 'a b'],
    ['tool', ''],
    ['at', ''],
    ['at', 'soon'],
    ['at', '1.5'],
    ['at', '-1'],
    ['at', '99999999999999999999'],
    ['k', Buffer.alloc(3)],
    ['k', Buffer.alloc(17)],
    ['enc', 'gzip!'],
    ['enc', ''],
    ['dict', 'other:key'],
    ['n', 'many'],
    ['n', '-1'],
  ])('is corrupt with %s %j', (field, value) => {
    expect(corrupt(() => decodeRecord(without(field, value))).message).toContain('cannot be read')
  })

  it('takes defaults for what may be missing', () => {
    const fields = [
      'v',
      '1',
      'id',
      sample.id,
      'tenant',
      'default',
      'tool',
      'github',
      'at',
      '5',
      'enc',
      'plain',
      'body',
      '',
    ]
    expect(decodeRecord(fields)).toMatchObject({
      type: '',
      dictionary: '',
      traceparent: '',
      attempts: 0,
      derived: true,
    })
  })

  it('never fails otherwise, whatever the field list is', () => {
    const names = fc.constantFrom('v', 'id', 'tenant', 'tool', 'at', 'k', 'enc', 'dict', 'body', 'n', 'x')
    const value = fc.oneof(
      bytes({ minLength: 0, maxLength: 20 }),
      fc.constantFrom('1', sample.id, 'plain', ''),
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(names, value), { maxLength: 30 }), (fields) => {
        try {
          decodeRecord(fields)
        } catch (error) {
          expect(error).toMatchObject({ code: 'RECORD_CORRUPT' })
        }
      }),
    )
  })
})

describe('a frozen field list', () => {
  const fields = fc
    .array(fc.tuple(fc.string(), bytes({ minLength: 0, maxLength: 40 })), { maxLength: 8 })
    .map((pairs) => pairs.flat())

  it('thaws to the same bytes', () => {
    fc.assert(
      fc.property(fields, (list) => {
        expect(thawFields(freezeFields(list))).toEqual(list.map((field) => Buffer.from(field as string)))
      }),
    )
  })

  it('is corrupt when cut anywhere', () => {
    fc.assert(
      fc.property(fields, fc.nat(), (list, at) => {
        const frozen = freezeFields(list)
        corrupt(() => thawFields(frozen.subarray(0, at % frozen.length)))
      }),
    )
  })

  it('is corrupt with bytes behind it', () => {
    corrupt(() => thawFields(Buffer.concat([freezeFields(['a', 'b']), Buffer.from('x')])))
  })

  it('is corrupt with a name and no value', () => {
    corrupt(() => thawFields(freezeFields(['a'])))
  })

  it('never fails otherwise, whatever the bytes are, and never asks for much memory', () => {
    fc.assert(
      fc.property(bytes({ minLength: 0, maxLength: 60 }), (noise) => {
        try {
          thawFields(noise)
        } catch (error) {
          expect(error).toMatchObject({ code: 'RECORD_CORRUPT' })
        }
      }),
    )
    corrupt(() => thawFields(Buffer.from('ffffffff00000000', 'hex')))
  })
})
