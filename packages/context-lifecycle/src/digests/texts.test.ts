import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fold } from './fold.ts'
import { withoutBlocks, withoutComments } from './markdown.ts'
import { peopleIn } from './mentions.ts'
import { referencesIn } from './references.ts'
import { wordsOf } from './words.ts'

describe('folding', () => {
  it.each([
    ['  a\r\n\tb\u0000c\u2028d  ', 'a b c d'],
    ['user\u202egnp.exe', 'user gnp.exe'],
    ['a\ud800b', 'a\ufffdb'],
    [' \n ', undefined],
    [undefined, undefined],
  ])('%j becomes %j', (written, expected) => {
    expect(fold(written, 100)).toBe(expected)
  })

  it('cuts between characters, not within one', () => {
    expect(fold('ab😀', 3)).toBe('ab')
    expect(fold('ab😀', 4)).toBe('ab😀')
    expect(fold('ab\ud83d', 4)).toBe('ab')
  })

  it('always gives one well-formed line within its limit, and folds nothing twice', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 20 }), (written, max) => {
        const folded = fold(written, max)
        if (folded === undefined) return
        expect(folded.length).toBeLessThanOrEqual(max)
        expect(folded.isWellFormed()).toBe(true)
        expect(folded).not.toMatch(/[\p{Cc}\n]|\s\s|^\s|\s$/u)
        expect(fold(folded, max)).toBe(folded)
      }),
    )
  })
})

describe('people in texts', () => {
  it.each([
    ['Thanks @Alice, @bob-2 and (@carol).', ['Alice', 'bob-2', 'carol']],
    ['mail a@b.example or @example.com', []],
    ['uses: actions/checkout@v4, https://medium.com/@someone', []],
    ['bump @types/node; ping @acme/security', []],
    ['@Injectable() class, `@Input` and ```\n@Override\n``` but @dave', ['dave']],
    ['@param x, @here, @all', []],
    ['[~mia] and @zoe, [~accountid:5b10]', ['mia', 'zoe', '5b10']],
    ['@@x @1 @', []],
    ['<!-- @nobody --> @eve_acme.', ['eve_acme']],
  ])('%j names %j', (written, expected) => {
    expect(peopleIn(withoutComments(written))).toEqual(expected)
  })
})

const keys = (written: string, tool = 'github') =>
  referencesIn(written, tool, { repository: 'acme/site', host: 'git.acme.example' }).map(
    (one) => `${one.tool} ${one.key}`,
  )

describe('references in texts', () => {
  it.each([
    [
      'Fixes #42, GH-43 and acme/docs#7.',
      ['github acme/site#42', 'github acme/site#43', 'github acme/docs#7'],
    ],
    ['a#1 &#39; /#2 #0 #1.5 #7x `#8` [#9](#10)', ['github acme/site#9', 'github acme/site#10']],
    ['!12', []],
    ['PROJ-123, `AB-1`, feature/AB-2-x, fix-AB-3', ['jira PROJ-123', 'jira AB-1', 'jira AB-2', 'jira AB-3']],
    [
      'UTF-8 SHA-256 ISO-8601 RFC-2119 CVE-2021-20191 CWE-79 GPL-3.0 TLS-1.3 AES-256 X86-64 Q3-2026 HTTP-2',
      [],
    ],
    ['USN-5000-1 NEW-2024-12345 X-AB-12 AB-0 AB-12345678 ab-12 A-1 AB-1a AB-1.2 MY_AB-3', []],
    ['ABCDEF12-1234-4ABC-8DEF-1234567890AB', []],
    ['```\n#3 AB-4\n```', []],
    [
      'see https://github.com/acme/site/pull/7#issuecomment-1, (https://github.com/acme/site/issues/8).',
      ['github acme/site#7', 'github acme/site#8'],
    ],
    ['https://github.com/acme/site/tree/#9 https://example.com/AB-1', []],
  ])('of GitHub: %j', (written, expected) => {
    expect(keys(written)).toEqual(expected)
  })

  it.each([
    [
      'gitlab',
      '#7 !8 acme/sub/docs!9',
      ['gitlab acme/site#7', 'gitlab acme/site!8', 'gitlab acme/sub/docs!9'],
    ],
    [
      'bitbucket',
      'pull request #7, #8, acme/x#9',
      ['bitbucket acme/site/pull-requests/7', 'bitbucket acme/site/issues/8'],
    ],
    ['jira', '#7 !8 acme/site#9 acme/sub/site!10', ['github acme/site#9', 'gitlab acme/sub/site!10']],
  ])('of %s: %j', (tool, written, expected) => {
    expect(keys(written, tool)).toEqual(expected)
  })

  it('take no time to speak of for texts made to take long', () => {
    const nasty = ['`', '```', '<!--', '@', '#', 'a/', 'a.', 'A', '-', 'AB-1', 'http://', 'http://a/b/', '[~']
    const started = performance.now()
    for (const part of nasty) {
      const written = part.repeat(Math.ceil(65_536 / part.length))
      referencesIn(withoutComments(written), 'github', { repository: 'a/b' })
      peopleIn(withoutBlocks(written))
      fold(written, 2000)
    }
    // About 250 ms here; a quadratic expression takes minutes.
    expect(performance.now() - started).toBeLessThan(5_000)
  })
})

describe('words for what was done', () => {
  it.each([
    ['pull_request.opened', 'opened'],
    ['push', 'push'],
    ['orders.create', 'created'],
    ['invoice.payment_failed', 'payment failed'],
    ['jira:issue_created', 'issue created'],
    ['repo:push', 'push'],
    ['system.project_create', 'project created'],
    ['unknown', 'sent an event'],
    ['', 'sent an event'],
    ['constructor.__proto__', 'proto'],
  ])('%s reads: %s', (name, expected) => {
    expect(wordsOf(name)).toBe(expected)
  })
})
