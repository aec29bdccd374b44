import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLocalSummariser, summariseLocally } from './local-summariser.ts'
import { SUMMARY_MAX } from './summariser.ts'

const summarise = (entries: readonly string[], previous?: string) =>
  summariseLocally({ subject: 'acme/site#42', previous, entries })

const TIMELINE = [
  '2024-05-01 alice opened: Fix login with Safari (#42). Passwords with umlauts were rejected.',
  '2024-05-01 ci-bot: workflow lint succeeded',
  ...Array.from({ length: 30 }, (_, n) => `2024-05-02 bob commented: pushed commit ${n} to fix-login`),
  '2024-05-03 carol requested changes: the login form must escape umlauts before hashing the password',
  '2024-05-04 ci-bot: workflow deploy failed: login smoke test timed out',
  '2024-05-05 alice merged: Fix login with Safari (#42)',
]

describe('the local summary', () => {
  it('tells how it began, what turned, and how it stands, in this order', () => {
    const lines = summarise(TIMELINE).split('\n')
    expect(lines[0]).toContain('alice opened: Fix login')
    expect(lines.at(-1)).toContain('alice merged')
    expect(lines.join()).toContain('carol requested changes')
    expect(lines.join()).toContain('workflow deploy failed')
    expect(lines.filter((line) => line.includes('pushed commit')).length).toBeLessThan(5)
  })

  it('rolls: what was told before stays beside what is new', () => {
    const before = summarise(TIMELINE.slice(0, -1))
    const after = summarise(['2024-05-05 alice merged: Fix login with Safari (#42)'], before)
    expect(after.split('\n').at(-1)).toBe('2024-05-05 alice merged: Fix login with Safari (#42)')
    expect(after).toContain('alice opened: Fix login')
  })

  it('of nothing is nothing, and of nothing new what was told before', () => {
    expect(summarise([])).toBe('')
    expect(summarise(['', ' \n', '--'])).toBe('')
    expect(summarise([], 'alice opened: A\nbob merged: B')).toBe('alice opened: A\nbob merged: B')
  })

  it('is the same for the same entries, short, and made of what they say', async () => {
    const entry = fc.string({ unit: 'grapheme', maxLength: 300, size: 'max' })
    await fc.assert(
      fc.asyncProperty(
        fc.array(entry, { maxLength: 20 }),
        fc.option(entry, { nil: undefined }),
        async (entries, previous) => {
          const request = { subject: 's', previous, entries }
          const { text, tokens } = await createLocalSummariser().summarise(request)
          expect(text).toBe(summariseLocally(request))
          expect(text.length).toBeLessThanOrEqual(SUMMARY_MAX)
          expect(tokens).toBe(0)
          const said = [previous ?? '', ...entries].map((told) => told.replace(/\s+/g, ' ')).join(' ')
          for (const line of text.split('\n')) expect(said).toContain(line.replace(/…$/, '').trim())
        },
      ),
    )
  })
})
