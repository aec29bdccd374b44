import { gzipSync } from 'node:zlib'
import { ADAPTERS } from '@weir/core/adapters/table'
import { createDictionarySet, dictionaryOf } from '@weir/core/dictionaries'
import { Fault } from '@weir/core/faults'
import { createUnpacker, type Unpacker } from '@weir/core/packing'
import { decodeRecord } from '@weir/core/record'
import { describe, expect, it } from 'vitest'
import { createDecoder, MalformedEvent } from './decode.ts'
import { makeEvent, type TestEvent } from './testing.ts'

const MAX_BODY = 100_000
const known = createDictionarySet(new Map())
/** How often a record was unpacked into memory of its own. */
let unpacked = 0
const unpacker: Unpacker = createUnpacker(known)
const counting: Unpacker = {
  ...unpacker,
  unpack(record) {
    unpacked++
    return unpacker.unpack(record)
  },
}
const decoder = createDecoder(ADAPTERS, counting, MAX_BODY)
const decode = (event: TestEvent, attempt = 1) =>
  decoder.decode(decodeRecord(makeEvent(event).fields), attempt)
const json: [string, string] = ['content-type', 'application/json']

describe('decode', () => {
  it('gives the handler everything that was sent', () => {
    const body =
      '{"action":"opened","issue":{"number":7,"title":"T","html_url":"https://h/7"},"repository":{"full_name":"a/b"}}'
    const receivedAt = Date.UTC(2024, 0, 1)
    const event = decode(
      { body, headers: [json, ['x-github-event', 'issues']], tenant: 'acme', receivedAt },
      3,
    )
    expect(event).toMatchObject({
      tenant: 'acme',
      tool: 'github',
      type: 'issues',
      name: 'issues.opened',
      receivedAt,
      attempt: 3,
      payload: JSON.parse(body),
      subject: { key: 'a/b#7', kind: 'issue', title: 'T', url: 'https://h/7' },
    })
    expect(event.body.toString()).toBe(body)
    expect(event.headers.get('x-github-event')).toBe('issues')
  })

  it('reads the payload out of a form, and keeps the form as the body', () => {
    const payload = '{"action":"opened","text":"ü + & ="}'
    const body = `payload=${encodeURIComponent(payload)}`
    const event = decode({ body, headers: [['content-type', 'application/x-www-form-urlencoded']] })
    expect(event.payload).toEqual(JSON.parse(payload))
    expect(event.name).toBe('issues.opened')
    expect(event.body.toString()).toBe(body)
  })

  it('opens a gzip body, and keeps the bytes as sent', () => {
    const body = gzipSync('{"action":"closed"}')
    const event = decode({ body, headers: [json, ['content-encoding', 'gzip']] })
    expect(event.payload).toEqual({ action: 'closed' })
    expect(event.body.equals(body)).toBe(true)
  })

  it('takes a gzip body of exactly the limit, and refuses one byte more', () => {
    const exactly = (bytes: number) => gzipSync(`"${'x'.repeat(bytes - 2)}"`)
    const headers: TestEvent['headers'] = [json, ['content-encoding', 'gzip']]
    expect(decode({ body: exactly(MAX_BODY), headers }).payload).toHaveLength(MAX_BODY - 2)
    expect(() => decode({ body: exactly(MAX_BODY + 1), headers })).toThrow(MalformedEvent)
  })

  it.each([
    [
      'a gzip bomb',
      gzipSync(Buffer.alloc(50_000_000)),
      [json, ['content-encoding', 'gzip']],
      /within 100000 bytes/,
    ],
    ['gzip that is none', 'not gzip', [json, ['content-encoding', 'gzip']], /gzip body cannot be opened/],
    [
      'a gzip body that ends too early',
      gzipSync('{"a":1}').subarray(0, 15),
      [json, ['content-encoding', 'gzip']],
      /gzip body cannot be opened/,
    ],
    ['JSON that ends too early', '{"action":', [json], /not JSON/],
    ['an empty body', '', [json], /not JSON/],
    ['invalid UTF-8', Buffer.from([0x22, 0xff, 0x22]), [json], /not valid UTF-8/],
    ['JSON nested too deep', '['.repeat(65), [json], /nested deeper than 64/],
    [
      'a form without payload',
      'a=1',
      [['content-type', 'application/x-www-form-urlencoded']],
      /no field 'payload'/,
    ],
    ['another media type', '<a/>', [['content-type', 'text/xml']], /text\/xml/],
  ] as const)('calls %s malformed', (_what, body, headers, message) => {
    const attempt = () => decode({ body: body as Buffer | string, headers })
    expect(attempt).toThrow(MalformedEvent)
    expect(attempt).toThrow(message)
  })

  it('does not know a tool without adapter: permanent, and says why', () => {
    expect(() => decode({ tool: 'sourcehut' })).toThrow(/no adapter for tool sourcehut.*newer gateway/)
  })

  it('a missing dictionary is a fault, and none once it is known', () => {
    const dictionary = dictionaryOf(Buffer.from('a dictionary that only the gateway had'.repeat(20)))
    const event = { dictionaries: createDictionarySet(new Map([['github', dictionary]])) }
    expect(() => decode(event)).toThrow(expect.objectContaining({ code: 'DICTIONARY_MISSING' }))
    known.add(dictionary)
    expect(decode(event).name).toBe('issues.opened')
  })

  it('a body that is no frame is corrupt', () => {
    const record = { ...decodeRecord(makeEvent().fields), packed: Buffer.from('no frame') }
    expect(() => decoder.decode(record, 1)).toThrow(Fault)
    expect(() => decoder.decode(record, 1)).toThrow(expect.objectContaining({ code: 'RECORD_CORRUPT' }))
  })
})

describe('what a handler may want', () => {
  const bodyOf = (n: number) => `{"action":"opened","repository":{"full_name":"a/b"},"n":${n}}`

  it('is made when it is asked for, and once', () => {
    const event = decode({ body: bodyOf(1) })
    expect(event.payload).toBe(event.payload)
    expect(event.body).toBe(event.body)
    expect(event.headers).toBe(event.headers)
  })

  it('is the same at any time: after others were decoded the record is unpacked again, once', () => {
    const events = [1, 2, 3, 4].map((n) => decode({ body: bodyOf(n) }))
    unpacked = 0
    for (const [index, event] of events.entries()) {
      expect(event.payload).toEqual(JSON.parse(bodyOf(index + 1)))
      expect(event.name).toBe('issues.opened')
      expect(event.subject?.key).toBe('a/b')
      expect(event.body.toString()).toBe(bodyOf(index + 1))
    }
    expect(unpacked).toBe(3)
  })

  it('is made again for who asks after its release, whatever it was made of', () => {
    const body = '{"action":"opened","issue":{"number":7},"repository":{"full_name":"a/b"}}'
    const form = `payload=${encodeURIComponent(body)}`
    const events: TestEvent[] = [
      { body: form, headers: [['content-type', 'application/x-www-form-urlencoded']] },
      { body: gzipSync(body), headers: [json, ['content-encoding', 'gzip']] },
      { body },
    ]
    for (const event of events.map((each) => decode(each))) {
      const before = [event.payload, Buffer.from(event.body), event.name, event.subject]
      event.release()
      expect([event.payload, event.body, event.name, event.subject]).toEqual(before)
    }
  })

  it('is not overwritten by the next event', () => {
    const first = decode({ body: bodyOf(1) })
    const { body, payload } = first
    decode({ body: bodyOf(2) })
    expect(body.toString()).toBe(bodyOf(1))
    expect(payload).toEqual(JSON.parse(bodyOf(1)))
  })

  it('the name needs no more of the body than the action', () => {
    const parse = JSON.parse
    const texts: string[] = []
    JSON.parse = (text: string) => {
      texts.push(text)
      return parse(text)
    }
    try {
      expect(decode({ body: bodyOf(1) }).name).toBe('issues.opened')
    } finally {
      JSON.parse = parse
    }
    expect(texts.filter((text) => text.includes('full_name'))).toEqual([])
  })

  it.each([
    ['an escaped member', '{"\\u0061ction":"closed"}', 'issues.closed'],
    ['two of them, of which the last counts', '{"action":"opened","action":"closed"}', 'issues.closed'],
    ['one deeper down', '{"issue":{"action":"opened"}}', 'issues'],
    ['none', '[]', 'issues'],
    ['more members than are noted', `{${'"x":1,'.repeat(100)}"action":"closed"}`, 'issues.closed'],
  ])('the name of a body with %s', (_what, body, name) => {
    expect(decode({ body }).name).toBe(name)
    const earlier = decode({ body })
    decode({})
    expect(earlier.name).toBe(name)
  })

  it('of a body larger than the memory for bodies is there as well', () => {
    const body = JSON.stringify({ action: 'opened', text: 'x'.repeat(3_000_000) })
    const event = decode({ body })
    decode({})
    expect(event.name).toBe('issues.opened')
    expect(event.payload).toEqual(JSON.parse(body))
    expect(event.body.toString()).toBe(body)
    expect(() => decode({ body: `${body}}` })).toThrow(MalformedEvent)
  })

  it('is still its own after a bad event', () => {
    const event = decode({ body: bodyOf(1) })
    expect(() => decode({ body: '{' })).toThrow(MalformedEvent)
    expect(event.payload).toEqual(JSON.parse(bodyOf(1)))
    expect(event.name).toBe('issues.opened')
  })
})
