import { describe, expect, it } from 'vitest'
import { spansOf } from '../../../../tests/support/otlp.ts'
import { createSpanWriter, MAX_TEXT } from './span-writer.ts'
import type { FinishedSpan } from './tracer.ts'

const SPAN: FinishedSpan = {
  name: 'admit',
  kind: 'internal',
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  parentId: 'ffffffffffffffff',
  remoteParent: false,
  startMs: 1_795_762_682_057.5,
  endMs: 1_795_762_682_058.125,
  attributes: {},
  links: [],
  failure: undefined,
}

function written(spans: readonly Partial<FinishedSpan>[], resource = { 'weir.app': 'gateway' }) {
  const writer = createSpanWriter(resource)
  for (const span of spans) writer.write({ ...SPAN, ...span })
  return spansOf(Buffer.from(writer.take().request))
}

describe('spans on the wire', () => {
  it.each([
    ['text', 'github'],
    ['empty text', ''],
    ['text that is not ASCII', 'ünï → 🚀 ö'],
    ['zero', 0],
    ['one byte', 127],
    ['two bytes', 128],
    ['a large number', Number.MAX_SAFE_INTEGER],
    ['a negative number', -5],
    ['a fraction', 0.1],
    ['true', true],
    ['false', false],
  ])('say %s as it is', (_, value) => {
    expect(written([{ attributes: { 'weir.x': value } }])[0]?.attributes).toEqual({ 'weir.x': value })
  })

  it.each([0, 1, 999.999, 1_795_762_682_057.5, 4_294_967_296, 8_640_000_000_000])('say the time %d', (ms) => {
    expect(written([{ startMs: ms }])[0]?.start).toBe(BigInt(Math.round(ms * 1000)) * 1000n)
  })

  it('cut off what is too long, and stay whole', () => {
    const long = 'ü'.repeat(MAX_TEXT + 1)
    const [span] = written([{ name: long, failure: long, attributes: { [long]: long, after: 1 } }])
    const short = 'ü'.repeat(MAX_TEXT)
    expect(span).toMatchObject({
      name: short,
      status: { code: 2, message: short },
      attributes: { [short]: short, after: 1 },
    })
  })

  it('come one after the other, many more than were room for at the beginning', () => {
    const many = Array.from({ length: 5_000 }, (_, n) => ({
      name: `span ${n}`,
      spanId: n.toString(16).padStart(16, '0'),
      failure: n % 2 === 0 ? undefined : '',
      links: n % 3 === 0 ? [{ traceId: 'c'.repeat(32), spanId: 'd'.repeat(16), sampled: true }] : [],
    }))
    const found = written(many)
    expect(found).toHaveLength(5_000)
    expect(found.every(({ name, spanId }, n) => name === many[n]?.name && spanId === many[n]?.spanId)).toBe(
      true,
    )
    expect(found.filter(({ status }) => status.code === 2)).toHaveLength(2_500)
    expect(found.filter(({ links }) => links.length === 1)).toHaveLength(1_667)
    expect(new Set(found.map(({ resource }) => resource['weir.app']))).toEqual(new Set(['gateway']))
  })

  it('are taken once', () => {
    const writer = createSpanWriter({})
    writer.write(SPAN)
    expect(writer.spans).toBe(1)
    expect(writer.take().spans).toBe(1)
    expect([writer.spans, writer.bytes]).toEqual([0, 0])
    writer.write({ ...SPAN, name: 'second' })
    expect(spansOf(Buffer.from(writer.take().request)).map(({ name }) => name)).toEqual(['second'])
  })
})
