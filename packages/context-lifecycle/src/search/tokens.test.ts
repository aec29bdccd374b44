import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { wordsOf } from './tokens.ts'

describe('words', () => {
  it.each([
    ['PROJ-123', 'proj-123 proj 123'],
    ['acme/site#42', 'acme/site#42 acme/site site#42 acme site 42'],
    ['acme/my-site', 'acme/my-site acme my-site my site'],
    ['feature/login', 'feature/login featur login'],
    ['WebhookConsumerLag', 'webhookconsumerlag webhook consumer lag'],
    ['HTTPServer', 'httpserver http server'],
    ['frozen_string_literal', 'frozen_string_literal frozen string literal'],
    ['mia.krystof@example.com', 'mia.krystof@example.com mia.krystof mia krystof example.com exampl com'],
    ['v7.5.2', 'v7.5.2 v7 5 2'],
    ['CVE-2020-27218', 'cve-2020-27218 cve 2020 27218'],
    ['状态打开', '状 状态 态 态打 打 打开 开'],
    ['PR是打开的', 'pr 是 是打 打 打开 开 开的 的'],
    ['Änderung Straße', 'anderung strass'],
    ['ﬁx', 'fix'],
    ['', ''],
    ['… — 🎉', ''],
  ])('%s: %s', (text, words) => {
    expect(wordsOf(text).sort()).toEqual(
      words
        .split(' ')
        .filter((word) => word !== '')
        .sort(),
    )
  })

  it.each([
    ['merge merged merging merges', 'merg'],
    ['failed failing fails fail', 'fail'],
    ['deploy deployed deployment deployments', 'deploy'],
    ['label labels labeled labelled', 'label'],
    ['pushed pushes push', 'push'],
    ['queries query', 'query'],
  ])('of one stem are one: %s', (text, stem) => {
    const words = new Set(wordsOf(text))
    expect([...words].filter((word) => word === stem)).toEqual([stem])
    expect(words.size, [...words].join(' ')).toBeLessThanOrEqual(2)
  })

  it('that only look like it keep their endings', () => {
    expect(wordsOf('status address redis bed thing')).toEqual(['status', 'address', 'redis', 'bed', 'thing'])
  })

  it('are the same in whatever case, for a whole text as for its lines, and bounded', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 40 })), (lines) => {
        const words = wordsOf(lines.join('\n'))
        expect(words).toEqual(lines.flatMap((line) => wordsOf(line)))
        for (const word of words) expect(word.length).toBeLessThanOrEqual(100)
      }),
    )
  })

  it('of a hostile text come in bounded time', () => {
    const started = performance.now()
    for (const text of [
      'a'.repeat(50_000),
      'a-'.repeat(25_000),
      'aB'.repeat(25_000),
      '打'.repeat(50_000),
      '/'.repeat(50_000),
      'a/'.repeat(25_000),
      'é̂'.repeat(16_000),
    ])
      wordsOf(text)
    expect(performance.now() - started).toBeLessThan(2_000)
  })
})
