import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createJsonScanner, type JsonScan } from './scan.ts'

const scanner = createJsonScanner()

/** Scans a text at some place in memory, with rubbish around it. */
function scan(text: string | Buffer, maxDepth = 64, at = 0): JsonScan {
  const bytes = Buffer.from(text as string)
  scanner.memory.fill('"}]x', Math.max(0, at - 32), Math.min(scanner.memory.length, at + bytes.length + 32))
  bytes.copy(scanner.memory, at)
  return scanner.scan(at, at + bytes.length, maxDepth)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const depthOf = (value: unknown): number =>
  typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0

describe('scan says of a text what JSON.parse says', () => {
  it.each([
    '',
    ' ',
    '0',
    '-0',
    '-',
    '01',
    '1.',
    '.1',
    '1.5',
    '1e5',
    '1E+5',
    '1e',
    '1e-',
    '1.e1',
    '+1',
    '1 2',
    '0x1',
    '1e400',
    'NaN',
    'true',
    'tru',
    'truex',
    'nul',
    'null ',
    'false',
    'fals',
    '""',
    '"',
    '"a',
    '"\\"',
    '"\\""',
    '"\\u00e9"',
    '"\\u00g9"',
    '"\\u00"',
    '"\\ud800"',
    '"\\x"',
    '"\t"',
    '"\u007f"',
    '"\0"',
    '\0',
    '{}\0',
    '"é😀"',
    '[]',
    '[',
    ']',
    '[,]',
    '[1,]',
    '[1,2]',
    '[1 2]',
    '[1}',
    '[[],{}]',
    '{',
    '}',
    '{}',
    '{,}',
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{"a":1]',
    '{a:1}',
    '{"a":1}{}',
    '{"a" : [ 1 , { "b" : null } ] }',
    ' \t\r\n{ } ',
    '\u00a0{}',
    '\ufeff{}',
    "{'a':1}",
    '{"a":1 "b":2}',
    '{"a"::1}',
    '[1]//',
  ])('%j', (text) => {
    expect(scan(text).kind).toBe(isJson(text) ? 'valid' : 'not-json')
  })

  it('for texts that are nearly JSON, wherever they stand', () => {
    const token = fc.constantFrom(
      ...['{', '}', '[', ']', ',', ':', ' ', '\n', '"', '\\', '"a"', '"\\u0041"', '\\u12', '"\\\\"', 'a'],
      ...[
        'true',
        'false',
        'null',
        'nul',
        '0',
        '-',
        '12',
        '.5',
        'e',
        'E+1',
        '1.5e-7',
        '\t',
        '\u0001',
        'é',
        '\0',
      ],
      ...['"0123456789abcde"', '"0123456789abcdef"', '"a string longer than sixteen bytes"'],
    )
    fc.assert(
      fc.property(fc.array(token, { maxLength: 12 }), fc.nat(40), (tokens, at) => {
        const text = tokens.join('')
        expect(scan(text, 64, at).kind).toBe(isJson(text) ? 'valid' : 'not-json')
      }),
      { numRuns: 5_000 },
    )
  })

  it('for JSON of any shape, and for what is left when a character is taken out, put in or changed', () => {
    const edit = fc.record({
      at: fc.nat(),
      drop: fc.boolean(),
      add: fc.constantFrom('', '"', ',', '}', ']', '0', ' ', '\\', ':', '{'),
    })
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 8, stringUnit: 'binary' }),
        fc.constantFrom(0, 1, '\t'),
        edit,
        fc.nat(40),
        (value, space, { at, drop, add }, place) => {
          const text = JSON.stringify(value, null, space)
          expect(scan(text, 64, place)).toEqual({ kind: 'valid' })
          const cut = at % (text.length + 1)
          const changed = text.slice(0, cut) + add + text.slice(cut + (drop ? 1 : 0))
          if (changed.isWellFormed())
            expect(scan(changed, 64, place).kind).toBe(isJson(changed) ? 'valid' : 'not-json')
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        // Seen as latin1 every byte is a character, and those above ASCII are as little JSON as they are UTF-8's.
        const text = Buffer.from(bytes).toString('latin1')
        expect(scan(Buffer.from(bytes)).kind).toBe(isJson(text) ? 'valid' : 'not-json')
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('where it is wrong', () => {
  it.each([
    ['{"a":1', 6],
    ['', 0],
    ['{"a" 1}', 5],
    ['[1,2}', 4],
    ['{"é":x}', 6],
    ['["a\\q"]', 3],
    ['{}x', 2],
  ])('in %j: at byte %i', (text, at) => {
    expect(scan(text, 64, 7)).toEqual({ kind: 'not-json', at })
  })
})

describe('the limit of nesting', () => {
  it('counts arrays and objects, whatever the strings hold', () => {
    const tricky = fc.string({ unit: fc.constantFrom('"', '\\', '[', '{', ']', '}', 'a', 'é', '😀') })
    const json = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 5 }, tricky, tie('list'), tie('record')),
      list: fc.array(tie('value'), { maxLength: 4 }),
      record: fc.dictionary(tricky, tie('value'), { maxKeys: 4 }),
    })).value
    fc.assert(
      fc.property(json, fc.nat(4), (value, limit) => {
        expect(scan(JSON.stringify(value), limit).kind).toBe(depthOf(value) > limit ? 'too-deep' : 'valid')
      }),
      { numRuns: 1_000 },
    )
  })

  it('holds for a million levels, and up to the deepest that can be asked for', () => {
    expect(scan('['.repeat(1_000_000)).kind).toBe('too-deep')
    expect(scan(`${'['.repeat(1_000)}${']'.repeat(1_000)}`, 1_000)).toEqual({ kind: 'valid' })
    expect(scan(`${'['.repeat(1_001)}${']'.repeat(1_001)}`, 1_000).kind).toBe('too-deep')
    expect(() => scan('[]', 1_001)).toThrow(RangeError)
  })
})

describe('memory', () => {
  it('takes a text that fills it, and refuses to look beyond it', () => {
    const { length } = scanner.memory
    const text = `"${'x'.repeat(length - 2)}"`
    expect(scan(text)).toEqual({ kind: 'valid' })
    expect(scan(text.slice(0, -1))).toEqual({ kind: 'not-json', at: length - 1 })
    for (const [start, end] of [
      [0, length + 1],
      [-1, 5],
      [6, 5],
    ] as const)
      expect(() => scanner.scan(start, end, 64)).toThrow(RangeError)
  })
})

describe('pick', () => {
  const names = ['action', 'a', 'b', '__proto__']

  it('gives members as JSON.parse does, undefined where it cannot tell', () => {
    const name = fc.constantFrom('action', 'a', 'b', 'ab', '', '__proto__', 'é', 'x"y', 'tab\t')
    const members = fc.array(fc.tuple(name, fc.jsonValue({ maxDepth: 3 })), { maxLength: 8 })
    fc.assert(
      fc.property(members, fc.constantFrom('', ' ', '\n\t'), (list, space) => {
        const text = `${space}{${list
          .map(
            ([key, value]) =>
              `${space}${JSON.stringify(key)}${space}:${space}${JSON.stringify(value, null, 1)}${space}`,
          )
          .join(',')}}${space}`
        expect(scan(text, 64, 11)).toEqual({ kind: 'valid' })
        const picked = scanner.pick(names)
        if (list.some(([key]) => JSON.stringify(key).includes('\\'))) {
          expect(picked).toBeUndefined()
          return
        }
        const whole = JSON.parse(text) as Record<string, unknown>
        const expected = names.filter((key) => Object.hasOwn(whole, key)).map((key) => [key, whole[key]])
        expect(new Map(Object.entries(picked ?? {}))).toEqual(new Map(expected as [string, unknown][]))
      }),
      { numRuns: 1_000 },
    )
  })

  it.each(['[{"a":1}]', '[[1],{"a":2},"a"]', '"a"', '1', '{}', '{"x":{"a":1}}'])(
    'finds nothing in %s',
    (text) => {
      scan('{"a":0,"b":0,"action":0}')
      expect(scan(text)).toEqual({ kind: 'valid' })
      expect(Object.entries(scanner.pick(names) ?? { none: 0 })).toEqual([])
    },
  )

  it('leaves the text alone, however many members it has and wherever it stands', () => {
    const text = `{${'"x":1,'.repeat(100)}"y":2}`
    expect(scan(text)).toEqual({ kind: 'valid' })
    expect(scanner.memory.toString('utf8', 0, text.length)).toBe(text)
  })

  it('sees 64 members, and does not guess beyond them', () => {
    const many = (count: number) =>
      `{${Array.from({ length: count }, (_, n) => `"m${n}":${n}`).join(',')}${count > 0 ? ',' : ''}"a":true}`
    scan(many(63))
    expect(scanner.pick(names)).toMatchObject({ a: true })
    scan(many(64))
    expect(scanner.pick(names)).toBeUndefined()
    scan(many(0))
    expect(scanner.pick(names)).toMatchObject({ a: true })
  })

  it('does not take an escaped name for another one', () => {
    scan('{"\\u0061":1}')
    expect(scanner.pick(names)).toBeUndefined()
  })
})
