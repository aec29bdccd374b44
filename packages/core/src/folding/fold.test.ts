import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createFolder, MAX_TEXT_BYTES, type RecurringNames } from './fold.ts'

const github: RecurringNames = { path: 'full_name', account: 'login' }
const folder = createFolder()
const HEAD = '[["a","b"]]\n'

/** Folds and unfolds; undefined when it is not folded. */
function thereAndBack(text: Buffer, names = github, head = HEAD): Buffer | undefined {
  const folded = folder.fold(head, text, names)
  if (folded === undefined) return undefined
  const bytes = Buffer.from(folded)
  const headBytes = Buffer.byteLength(head)
  expect(bytes.toString('utf8', 0, headBytes)).toBe(head)
  bytes.copy(folder.input)
  const unfolded = folder.unfold(headBytes, bytes.length)
  expect(unfolded).toBeDefined()
  return Buffer.from(unfolded as Buffer)
}

/** The folded text, its control characters written in brackets. */
function shown(text: string): string | undefined {
  const folded = folder.fold('', Buffer.from(text), github)?.toString('utf8')
  if (folded === undefined) return undefined
  return Array.from(folded, (c) => (c < ' ' && c !== '\n' ? `<${c.charCodeAt(0).toString(16)}>` : c)).join('')
}

const examples = (
  createRequire(import.meta.url)('@octokit/webhooks-examples') as { examples: unknown[] }[]
).flatMap((event) => event.examples)

/** Texts full of what folding looks for, cut and mixed. */
const names = ['o', 'octo', 'octocat', 'a/b', 'octo/site', 'octo/site-2', 'ö', 'x'.repeat(300), '', 'a\\"b']
const pieces = fc.oneof(
  fc.constantFrom(...names),
  fc.constantFrom(...names.map((name) => `"full_name":"${name}"`)),
  fc.constantFrom(...names.map((name) => `"login":"${name}"`)),
  fc.constantFrom(...names.map((name) => `/${name}/`)),
  fc.constantFrom(
    '"',
    '/',
    ':',
    ',',
    '{',
    '}',
    '"full_name":"',
    '"login":"',
    '"login',
    '\n',
    '\t',
    '\r',
    ' ',
    '0123456789abcdef',
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
)
const texts = fc.array(pieces, { maxLength: 60 }).map((parts) => Buffer.from(parts.join('')))

describe('folding', () => {
  it('writes a character for names that recur, and each account once', () => {
    expect(
      shown(
        '{"full_name":"a/b","url":"https://x/a/b/c","login":"bob","u":"/bob/1","login":"eve","u":"/eve","login":"bob"}',
      ),
    ).toBe(
      'a/b\n{"full_name":"<1>","url":"https://x/<1>/c","login":"<3>bob<4>","u":"/<2>/1","login":"<3>eve<4>","u":"/<2>","login":"<5>"}',
    )
  })

  it('takes the last path of several: the repository comes behind what happened in it', () => {
    expect(shown('{"full_name":"fork/b","full_name":"a/b","u":"/a/b /fork/b"}')).toBe(
      'a/b\n{"full_name":"fork/b","full_name":"<1>","u":"/<1> /fork/b"}',
    )
  })

  it('leaves a text with control characters alone, but for those between tokens', () => {
    for (let code = 0; code < 0x20; code++) {
      const text = `{"login":"bob"${String.fromCharCode(code)}}`
      expect(shown(text) === undefined, `${code}`).toBe(![9, 10, 13].includes(code))
    }
  })

  it('gives every GitHub example back byte for byte, from two thirds to nine tenths as long', () => {
    for (const example of examples) {
      const text = Buffer.from(JSON.stringify(example))
      expect(thereAndBack(text)?.equals(text)).toBe(true)
    }
    const sizes = examples.map((example) => {
      const text = Buffer.from(JSON.stringify(example))
      return [text.length, folder.fold('', text, github)?.length ?? 0] as const
    })
    const [whole, folded] = sizes.reduce(([a, b], [c, d]) => [a + c, b + d], [0, 0])
    expect(folded / whole).toBeLessThan(0.9)
    expect(folded / whole).toBeGreaterThan(0.6)
  })

  it('gives any text back byte for byte, or does not fold it', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const back = thereAndBack(text)
        const controls = text.some((byte) => byte < 0x20 && byte !== 9 && byte !== 10 && byte !== 13)
        expect(back === undefined).toBe(controls)
        if (back !== undefined) expect(back.equals(text)).toBe(true)
      }),
      { numRuns: 3000 },
    )
  })

  it('gives bytes back that are no text at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ min: 0x20, maxLength: 500 }), texts, (bytes, tail) => {
        const text = Buffer.concat([bytes, tail])
        const back = thereAndBack(text)
        if (back !== undefined) expect(back.equals(text)).toBe(true)
      }),
    )
  })

  it('knows sixteen accounts, and gives more back all the same', () => {
    const accounts = Array.from(
      { length: 40 },
      (_, i) => `"login":"someone-${i % 23}","u":"/someone-${i % 23}/x"`,
    )
    const text = Buffer.from(`{${accounts.join(',')},${accounts.join(',')}}`)
    expect(thereAndBack(text)?.equals(text)).toBe(true)
  })

  it('grows by at most a fifth, and takes texts up to its limit', () => {
    const worst = Buffer.from(
      Array.from(
        { length: MAX_TEXT_BYTES / 17 },
        (_, i) => `"login":"${i.toString(36).padStart(6, '0')}"`,
      ).join(''),
    )
    expect(worst.length).toBeLessThanOrEqual(MAX_TEXT_BYTES)
    const folded = folder.fold('', worst, github)
    expect((folded as Buffer).length).toBeLessThan(worst.length * 1.2)
    expect(thereAndBack(worst)?.equals(worst)).toBe(true)
    const longest = Buffer.alloc(MAX_TEXT_BYTES, '/octo')
    expect(thereAndBack(longest)?.equals(longest)).toBe(true)
    expect(folder.fold('', Buffer.alloc(MAX_TEXT_BYTES + 1, 'a'), github)).toBeUndefined()
    expect(folder.fold('x'.repeat(100_000), Buffer.from('{}'), github)).toBeUndefined()
  })

  it('is not confused by what an earlier, longer text has left behind', () => {
    folder.fold('', Buffer.from(`{"full_name":"a/b","login":"bob",${'"u":"/bob/a/b",'.repeat(50)}`), github)
    for (const text of [
      '{"full_name":"a/b","u":"/',
      '{"full_name":"a/b","u":"/a',
      '"login":"bo',
      '"login":"bob"/bo',
      '"log',
    ]) {
      expect(thereAndBack(Buffer.from(text))?.toString()).toBe(text)
    }
  })

  it('folds by the names of another tool', () => {
    const gitlab: RecurringNames = { path: 'path_with_namespace', account: 'username' }
    const text = Buffer.from(
      '{"username":"bob","url":"/bob","path_with_namespace":"g/p","web_url":"https://x/g/p"}',
    )
    expect(thereAndBack(text, gitlab)?.equals(text)).toBe(true)
    expect(folder.fold('', text, gitlab)?.toString()).toContain('https://x/\x01"')
  })

  it('says of anything else that it is no folded text, and stays within its memory', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        Buffer.from(bytes).copy(folder.input)
        const text = folder.unfold(0, bytes.length)
        if (text !== undefined) expect(text.length).toBeLessThanOrEqual(folder.input.length)
      }),
    )
    for (const text of [
      'no newline',
      '\n\x01',
      '\n\x02',
      '\n\x05',
      '\n\x03name',
      '\n\x03\x04',
      '\n\x00',
      '\n\x04',
      '\n\x1f',
    ]) {
      folder.input.write(text)
      expect(folder.unfold(0, text.length), JSON.stringify(text)).toBeUndefined()
    }
    const bomb = Buffer.concat([Buffer.from(`${'p'.repeat(250)}\n`), Buffer.alloc(300_000, 1)])
    bomb.copy(folder.input)
    expect(folder.unfold(0, bomb.length)).toBeUndefined()
  })
})
