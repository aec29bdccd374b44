/** `pnpm bench`: its questions are the scripts and the page, and its table says what was told. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { QUESTIONS } from './questions.ts'
import { type Answer, answerOf, summaryOf } from './summary.ts'

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

describe('the questions', () => {
  it('are the scripts bench:<name>', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const found = Object.entries(scripts).filter(([name]) => name.startsWith('bench:'))
    const expected = QUESTIONS.map(({ name, file }) => [
      `bench:${name}`,
      `node scripts/run.mjs bench/${file}`,
    ])
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected))
  })

  it('are the ones that docs/benchmarks.md names', () => {
    const named = [...read('docs/benchmarks.md').matchAll(/`pnpm bench:([a-z-]+)/g)].map(([, name]) => name)
    expect([...new Set(named)].sort()).toEqual(QUESTIONS.map(({ name }) => name).sort())
  })

  it.each(QUESTIONS)('$file exists', ({ file }) => {
    expect(existsSync(new URL(file, import.meta.url))).toBe(true)
  })
})

describe('an answer', () => {
  /** What a benchmark wrote, if anything. */
  function answered(lines: readonly object[] | undefined, exit?: string): Answer {
    const directory = mkdtempSync(join(tmpdir(), 'weir-summary-'))
    try {
      const file = join(directory, 'one')
      if (lines) writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
      return answerOf('one', file, exit)
    } finally {
      rmSync(directory, { recursive: true })
    }
  }
  const told = { question: 'bytes', figure: 990, unit: 'B', goal: { atMost: 1024 } }

  it('is what was told', () => {
    expect(answered([told])).toEqual({ name: 'one', headlines: [told], failure: undefined })
  })

  it.each([
    ['nothing was told', undefined, undefined, 'told no figure'],
    ['a figure is not a number', [told, { ...told, figure: Number.NaN }], undefined, 'no figure for: bytes'],
    ['it ended badly', [told], 'exit code 1', 'exit code 1'],
  ])('has failed when %s', (_, lines, exit, failure) => {
    expect(answered(lines, exit).failure).toBe(failure)
  })

  it('is a row for each figure, one for a failure, and counted', () => {
    const { rows, met, missed, failed } = summaryOf([
      answered([told, { question: 'ratio', figure: 17.94, unit: '×', goal: { atLeast: 18 } }]),
      answered([{ question: 'rate', figure: 4535.4, unit: 'events/s' }], 'signal SIGKILL'),
    ])
    expect(rows).toEqual([
      ['one', 'bytes', '990 B', '≤ 1024 B', 'met'],
      ['one', 'ratio', '17.9×', '≥ 18×', 'missed'],
      ['one', 'rate', '4535 events/s', '', ''],
      ['one', 'FAILED: signal SIGKILL', '', '', ''],
    ])
    expect({ met, missed, failed }).toEqual({ met: 1, missed: 1, failed: 1 })
  })
})
