import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { deriveEventId, locatorOf, mintEventId } from '../event.ts'
import { decodeRecord, encodeRecord, type FieldList } from '../record.ts'
import { createEntryReader, type ReadEntry } from './entries.ts'

const written = (value: string | Buffer) => {
  const bytes = Buffer.from(value as string)
  return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')])
}

type Written = readonly [streamId: string, fields: FieldList | null]

/** The reply as Redis writes it. */
function replyOf(entries: readonly Written[], stream = 'webhook-events'): Buffer {
  const parts = [Buffer.from('*1\r\n*2\r\n'), written(stream), Buffer.from(`*${entries.length}\r\n`)]
  for (const [streamId, fields] of entries) {
    parts.push(Buffer.from('*2\r\n'), written(streamId), Buffer.from(`*${fields?.length ?? -1}\r\n`))
    for (const field of fields ?? []) parts.push(written(field))
  }
  return Buffer.concat(parts)
}

/** Cuts bytes at these places (taken modulo the length). */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % bytes.length))].sort((a, b) => a - b)
  return [0, ...at].map((from, index) => bytes.subarray(from, [...at, bytes.length][index]))
}

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

let number = 0
const recordOf = (
  body: Buffer,
  changes: { derived?: boolean; tenant?: string; type?: string; traceparent?: string } = {},
): FieldList => {
  const { derived = true, tenant = 'default', type = 'push', traceparent = '' } = changes
  const locator = locatorOf(tenant, 'github', { kind: 'delivery-id', value: String(++number) })
  const id = derived ? deriveEventId(locator) : mintEventId(1_700_000_000_000)
  return encodeRecord(
    {
      id,
      tenant,
      tool: 'github',
      type,
      receivedAt: 1_700_000_000_000,
      locator,
      derived,
      headers: [],
      body,
      traceparent,
    },
    { encoding: 'zstd', dictionary: '0123456789abcdef', packed: body },
  )
}

/** What the entry says, in one way: as fields, however it was read. */
const told = (entry: ReadEntry) => {
  if (entry.record !== undefined) return { streamId: entry.streamId, record: entry.record }
  const { streamId, fields } = entry
  try {
    return { streamId, record: decodeRecord(fields ?? []) }
  } catch {
    return { streamId, fields: fields?.map(String) ?? null }
  }
}
const expected = ([streamId, fields]: Written) =>
  told({ streamId, fields: fields?.map((field) => Buffer.from(field as string)) ?? null })

const body = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes))
const name = fc.constantFrom('default', 'acme', 'acme2')
const record = fc
  .record({
    body,
    derived: fc.boolean(),
    tenant: name,
    type: fc.constantFrom('push', 'issues', 'ünïcode', ''),
    traceparent: fc.constantFrom('', TRACEPARENT),
  })
  .map(({ body: bytes, ...changes }) => recordOf(bytes, changes))
const field = fc.constantFrom('v', '1', 'id', 'body', '', '\r\n', 'evt_')
const spoiled = fc
  .tuple(record, fc.nat(), field)
  .map(([fields, at, value]) => fields.with(at % fields.length, value))
const others = fc.array(fc.tuple(field, field), { maxLength: 14 }).map((pairs) => pairs.flat())
const longer = record.map((fields) => [...fields, 'new', 'value'])
const tried = fc
  .tuple(record, fc.constantFrom('0', '3', ''))
  .map(([fields, attempts]) => [...fields, 'n', attempts])
const entries = fc.array(
  fc.tuple(
    fc.tuple(fc.nat(), fc.nat()).map(([ms, sequence]) => `${ms}-${sequence}`),
    fc.oneof({ weight: 4, arbitrary: record }, tried, spoiled, others, longer, fc.constant(null)),
  ),
  { maxLength: 8 },
)

describe('the entries of a reply', () => {
  it('are what a decoder without any knowledge of records makes of it, however it is cut', () => {
    const reader = createEntryReader()
    fc.assert(
      fc.property(entries, fc.array(fc.nat(), { maxLength: 8 }), (list, places) => {
        const chunks = cut(replyOf(list), places)
        for (const [index, chunk] of chunks.entries())
          expect(reader.write(Buffer.from(chunk))).toBe(index === chunks.length - 1)
        expect(reader.take().map(told)).toEqual(list.map(expected))
        expect(reader.take()).toEqual([])
      }),
      { numRuns: 1_000 },
    )
  })

  it('come byte by byte, too', () => {
    const list: Written[] = [
      ['1-0', recordOf(Buffer.from('{}'))],
      ['1-1', ['a', 'b']],
    ]
    const bytes = replyOf(list)
    const reader = createEntryReader()
    for (let i = 0; i < bytes.length; i++)
      expect(reader.write(Buffer.from([bytes[i] as number]))).toBe(i === bytes.length - 1)
    expect(reader.take().map(told)).toEqual(list.map(expected))
  })

  it.each<[string, { derived?: boolean; traceparent?: string }]>([
    ['of most events', {}],
    ['of minted ids', { derived: false }],
    ['of traced events', { traceparent: TRACEPARENT }],
    ['of both', { derived: false, traceparent: TRACEPARENT }],
  ])('%s are read by position, without a copy of the body', (_, changes) => {
    const bytes = replyOf([['1-0', recordOf(Buffer.from('the body'), changes)]])
    const reader = createEntryReader()
    expect(reader.write(bytes)).toBe(true)
    const [entry] = reader.take()
    expect(entry?.record?.packed.toString()).toBe('the body')
    expect(entry?.record?.packed.buffer).toBe(bytes.buffer)
    expect(entry?.record?.traceparent).toBe(changes.traceparent ?? '')
  })

  it('of a body of megabytes are put together once, not with every chunk', () => {
    const large = Buffer.alloc(8_000_000, 'x')
    const bytes = replyOf([['1-0', recordOf(large)]])
    const reader = createEntryReader()
    const before = process.memoryUsage().arrayBuffers
    for (let at = 0; at < bytes.length; at += 65_536) reader.write(bytes.subarray(at, at + 65_536))
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(3 * large.length)
    expect(reader.take()[0]?.record?.packed.equals(large)).toBe(true)
  })

  it('of a reply that broke off are forgotten', () => {
    const reader = createEntryReader()
    const bytes = replyOf([
      ['1-0', recordOf(Buffer.from('1'))],
      ['1-1', recordOf(Buffer.from('2'))],
    ])
    for (let length = 0; length < bytes.length; length++) {
      reader.reset()
      expect(reader.write(bytes.subarray(0, length))).toBe(false)
    }
    reader.reset()
    expect(reader.write(replyOf([['2-0', recordOf(Buffer.from('3'))]]))).toBe(true)
    expect(reader.take().map(({ streamId }) => streamId)).toEqual(['2-0'])
  })

  it.each([
    ['another type', '+OK\r\n'],
    ['two streams', '*2\r\n*2\r\n$1\r\na\r\n*0\r\n*2\r\n$1\r\nb\r\n*0\r\n'],
    ['an entry of three parts', '*1\r\n*2\r\n$1\r\na\r\n*1\r\n*3\r\n$3\r\n1-0\r\n'],
    ['a length that is no number', '*1\r\n*2\r\n$x\r\n'],
    ['a list where a string should be', '*1\r\n*2\r\n*1\r\n'],
    ['bytes behind the reply', `${replyOf([])}+OK\r\n`],
  ])('are not made up from %s', (_what, bytes) => {
    expect(() => createEntryReader().write(Buffer.from(bytes))).toThrow(/not what the protocol says/)
  })

  it('never come from noise, and noise never hangs it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('*', '$', '1', '2', '-', '\r\n', '\n', 'a', '9'), { maxLength: 30 }),
        (parts) => {
          const reader = createEntryReader()
          try {
            reader.write(Buffer.from(parts.join('')))
          } catch (error) {
            expect(String(error)).toMatch(/not what the protocol says/)
          }
        },
      ),
    )
  })
})
