import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Adapter } from './adapter.ts'
import { github } from './github.ts'
import { MAX_JSON_DEPTH, type ParsedBody, parseBody } from './parse.ts'
import { adapterFor } from './table.ts'

const jira = adapterFor('jira') as Adapter
const JSON_TYPE = 'application/json'
const FORM = 'application/x-www-form-urlencoded'
const parse = (body: string | Buffer, type: string | undefined = JSON_TYPE): ParsedBody =>
  parseBody(github, type, Buffer.from(body as string))
const codeOf = (parsed: ParsedBody) => (parsed.ok ? 'ok' : parsed.code)

describe('parsing a body', () => {
  it('gives back any JSON, as JSON and as a form', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 20 }), (value) => {
        const sent = JSON.stringify(value)
        const expected = { ok: true, json: JSON.parse(sent) }
        expect(parse(sent)).toEqual(expected)
        expect(parse(`payload=${encodeURIComponent(sent).replaceAll('%20', '+')}`, FORM)).toEqual(expected)
      }),
    )
  })

  it('never throws, whatever the bytes', () => {
    const type = fc.oneof(fc.constantFrom(JSON_TYPE, FORM, undefined, ''), fc.string())
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), type, (bytes, mediaType) => {
        const parsed = parseBody(github, mediaType, Buffer.from(bytes))
        if (!parsed.ok) expect(parsed.reason).not.toBe('')
      }),
      { numRuns: 500 },
    )
  })

  it.each(['application/json; charset=utf-8', 'Application/JSON', ' application/json ;x', undefined, ''])(
    'reads the media type %j as JSON',
    (type) => {
      expect(codeOf(parse('{}', type))).toBe('ok')
    },
  )

  it('refuses media types that the tool does not send', () => {
    expect(parse('{}', 'text/plain')).toEqual({
      ok: false,
      code: 'media_type',
      reason: 'github sends application/json or application/x-www-form-urlencoded, this is text/plain',
    })
    expect(codeOf(parseBody(jira, FORM, Buffer.from('payload={}')))).toBe('media_type')
  })

  it.each([
    [`${'['.repeat(MAX_JSON_DEPTH)}${']'.repeat(MAX_JSON_DEPTH)}`, 'ok'],
    [`${'['.repeat(MAX_JSON_DEPTH + 1)}${']'.repeat(MAX_JSON_DEPTH + 1)}`, 'too_deep'],
    ['['.repeat(2_000_000), 'too_deep'],
    ['{"a":'.repeat(1_000_000), 'too_deep'],
    [JSON.stringify({ text: `${'[{'.repeat(500)}\\"[[` }), 'ok'],
    [`["${'\\"'.repeat(100)}",${'['.repeat(70)}`, 'too_deep'],
  ])('counts the nesting (case %#)', (body, expected) => {
    expect(codeOf(parse(body))).toBe(expected)
  })

  it.each([
    ['a lone continuation byte', Buffer.from([0x22, 0x80, 0x22])],
    ['an overlong form', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
    ['a surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ['UTF-16', Buffer.from('\ufeff{}', 'utf16le')],
  ])('refuses %s', (_what, body) => {
    expect(codeOf(parse(body))).toBe('not_utf8')
  })

  it.each([
    ['', 'not_json'],
    ['{"a":1', 'not_json'],
    ['{"a":1}{}', 'not_json'],
    ["{'a':1}", 'not_json'],
    ['NaN', 'not_json'],
    ['\ufeff{}', 'not_json'],
  ])('refuses %j', (body, expected) => {
    expect(codeOf(parse(body))).toBe(expected)
  })

  it('does not repeat the payload in its reason', () => {
    const parsed = parse('{"email":"someone@example.com",}')
    expect(parsed).toMatchObject({ ok: false, code: 'not_json' })
    expect(JSON.stringify(parsed)).not.toContain('someone')
  })

  it('leaves Object.prototype alone', () => {
    const parsed = parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}')
    expect(codeOf(parsed)).toBe('ok')
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })

  describe('of a form', () => {
    it('finds payload among other fields', () => {
      expect(parse('a=1&payload=%7B%22x%22%3A1%7D&b', FORM)).toEqual({ ok: true, json: { x: 1 } })
    })

    it.each([
      ['no payload', 'data=%7B%7D', 'no_payload'],
      ['two payloads', 'payload=%7B%7D&payload=%5B%5D', 'no_payload'],
      ['a broken escape', 'payload=%7', 'not_utf8'],
      ['escaped invalid UTF-8', 'payload=%22%ff%22', 'not_utf8'],
      ['unescaped bytes', 'payload="é"', 'not_utf8'],
      ['deep nesting', `payload=${'%5B'.repeat(65)}`, 'too_deep'],
      ['an empty payload', 'payload=', 'not_json'],
    ])('refuses %s', (_what, body, expected) => {
      expect(codeOf(parse(body, FORM))).toBe(expected)
    })
  })
})

describe('the limit of nesting', () => {
  const depthOf = (value: unknown): number =>
    typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0

  it('counts arrays and objects, whatever brackets, quotes and backslashes the strings hold', () => {
    const tricky = fc.string({ unit: fc.constantFrom('"', '\\', '[', '{', ']', '}', 'a', 'é', '😀') })
    const json = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 5 }, tricky, tie('list'), tie('record')),
      list: fc.array(tie('value'), { maxLength: 4 }),
      record: fc.dictionary(tricky, tie('value'), { maxKeys: 4 }),
    })).value
    fc.assert(
      fc.property(json, fc.integer({ min: 1, max: 4 }), (value, limit) => {
        const parsed = parseBody(github, 'application/json', Buffer.from(JSON.stringify(value)), limit)
        expect(parsed.ok ? 'ok' : parsed.code).toBe(depthOf(value) > limit ? 'too_deep' : 'ok')
      }),
      { numRuns: 500 },
    )
  })
})
