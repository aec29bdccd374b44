/** docs/audit.md says what is recorded, and what `audit verify` may say. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../support/process.ts'

const read = (path: string) => readFileSync(join(root, path), 'utf8')
const page = read('docs/audit.md')

/** What stands in the first column of a table that has this head. */
function firstColumn(head: string): string[] {
  const table = page.slice(page.indexOf(`| ${head} |`)).split('\n\n')[0] ?? ''
  return [...table.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  )
}

describe('docs/audit.md', () => {
  it('names every action that is recorded, and no other', () => {
    const sources = globSync(
      ['apps/*/src/**/*.ts', 'packages/core/src/audit/*.ts', 'packages/core/src/keyring/configured.ts'],
      { cwd: root },
    ).filter((path) => !/\.test\.ts$|test-support/.test(path))
    const actions = sources.flatMap((path) => {
      const text = read(path)
      if (!/audit/i.test(text)) return []
      return [...text.matchAll(/(?:action: |ACTION = |namedLetters\()'([a-z]+\.[a-z]+)'/g)].map(
        ([, name]) => name,
      )
    })
    expect(new Set(actions).size).toBeGreaterThan(8)
    expect([...new Set(firstColumn('Action'))].sort()).toEqual([...new Set(actions)].sort())
  })

  it('explains everything that is found wrong', () => {
    const kinds = ['packages/security/src/audit-chain.ts', 'apps/cli/src/audit-check.ts'].flatMap((path) =>
      [...read(path).matchAll(/^ {2}\| '([a-z-]+)'$/gm)].map(([, kind]) => kind),
    )
    expect(firstColumn('It says').sort()).toEqual(kinds.sort())
  })
})
