import { readFileSync } from 'node:fs'
import { FAULTS } from '@weir/core/faults'
import { describe, expect, it } from 'vitest'
import { PROBLEMS, type ProblemCode, problem, problemDocument } from './problem.ts'

const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')

/** Rows of the table below this heading row, as cells. */
function rowsBelow(heading: string): string[][] {
  const lines = page.split('\n')
  const start = lines.indexOf(heading) + 2
  const length = lines.slice(start).findIndex((line) => !line.startsWith('|'))
  return lines.slice(start, start + length).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

describe('docs/errors.md', () => {
  it('lists every problem, and no other', () => {
    const expected = Object.entries(PROBLEMS).map(([code, kind]) => [
      String(kind.status),
      `\`${code}\``,
      kind.title,
      kind.advice,
    ])
    expect(rowsBelow('| status | code | title | what to do |')).toEqual(expected)
  })

  it('lists every fault, and no other', () => {
    const expected = Object.entries(FAULTS).map(([code, meaning]) => [`\`${code}\``, meaning])
    expect(rowsBelow('| code | meaning |')).toEqual(expected)
  })
})

describe('a problem', () => {
  it.each(Object.keys(PROBLEMS) as ProblemCode[])(
    '%s is a document of RFC 9457 that says what to do',
    (code) => {
      const document = JSON.parse(problemDocument(problem(code)))
      const { status, title, advice } = PROBLEMS[code]
      expect(document).toEqual({ type: `urn:weir:problem:${code}`, title, status, code, detail: advice })
      expect(status).toBeGreaterThanOrEqual(400)
      expect(title).toMatch(/^[A-Z][^.]+$/)
      expect(advice).toMatch(/^[A-Z].*\.$/)
    },
  )

  it('may say more exactly what to do, and with which status the sender tries again', () => {
    const limited = problem('RATE_LIMITED', 'Wait.', ['Retry-After', '3'], 503)
    expect(JSON.parse(problemDocument(limited))).toMatchObject({ status: 503, detail: 'Wait.' })
    expect(limited.headers).toEqual(['Retry-After', '3'])
  })
})
