import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkImports } from './imports.ts'

/** Checks a tree of files, and returns its violations as `where: what`. */
function check(files: Record<string, string>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'weir-imports-'))
  try {
    for (const [file, source] of Object.entries(files)) {
      mkdirSync(dirname(join(root, file)), { recursive: true })
      writeFileSync(join(root, file), source)
    }
    return checkImports(root).map(({ where, what }) => `${where}: ${what}`)
  } finally {
    rmSync(root, { recursive: true })
  }
}

describe('the floors', () => {
  it('let everything through that the house plan allows', () => {
    const violations = check({
      'packages/core/src/a.ts': `import { x } from './b.ts'; import { Redis } from 'ioredis'; export const a = x ?? Redis`,
      'packages/core/src/b.ts': 'export const x = 1',
      'packages/core/src/a.test.ts': `import '../../../tests/support/redis.ts'; import '@weir/security/hmac'; process.env.X`,
      'packages/security/src/hmac.ts': `import { createHmac } from 'node:crypto'; export const h = createHmac`,
      'packages/security/src/hmac.test.ts': `import fc from 'fast-check'; import './hmac.ts'; fc`,
      'packages/ai/src/embed.ts': `import '@weir/core/a'`,
      'packages/context-lifecycle/src/tier.ts': `import '@weir/core/a'`,
      'apps/ingest/src/main.ts': `import './server.ts'; import '@weir/core/a'; process.on('SIGTERM', () => process.exit())`,
      'apps/ingest/src/server.ts': `import '@weir/security/hmac'; import '@weir/ai/embed'; process.hrtime(); process.pid`,
      'scripts/start.ts': `import '@weir/core/a'; process.argv`,
      'tests/support/redis.ts': `import '../../scripts/start.ts'; import '../../apps/ingest/src/server.ts'`,
      'bench/one.ts': `import '@weir/core/a'; import '../apps/ingest/src/server.ts'`,
    })
    expect(violations).toEqual([])
  })

  it.each([
    ['core importing an app', 'packages/core/src/a.ts', `import '../../../apps/ingest/src/main.ts'`],
    ['core importing an app by name', 'packages/core/src/a.ts', `import '@weir/ingest/server'`],
    [
      'core importing a sibling',
      'packages/core/src/a.ts',
      `import type { H } from '@weir/security/hmac'; export type A = H`,
    ],
    ['core importing the tests', 'packages/core/src/a.ts', `import '../../../tests/support/redis.ts'`],
    ['core importing the scripts', 'packages/core/src/a.ts', `import '../../../scripts/start.ts'`],
    ['siblings importing each other', 'packages/ai/src/a.ts', `export * from '@weir/context-lifecycle/tier'`],
    ['a sibling importing security', 'packages/ai/src/a.ts', `await import('@weir/security/hmac')`],
    ['security importing core', 'packages/security/src/a.ts', `export { x } from '@weir/core/a'`],
    ['security importing a package', 'packages/security/src/a.ts', `import ipaddr from 'ipaddr.js'; ipaddr`],
    [
      'security importing a type of a package',
      'packages/security/src/a.ts',
      `export type A = import('zod').ZodType`,
    ],
    ['apps importing apps', 'apps/console/src/a.ts', `import '../../ingest/src/server.ts'`],
    ['apps importing apps by name', 'apps/console/src/a.ts', `import '@weir/ingest/server'`],
    ['apps importing scripts', 'apps/console/src/a.ts', `import '../../../scripts/private-redis.ts'`],
    ["core's tests importing an app", 'packages/core/src/a.test.ts', `import '@weir/ingest/server'`],
    ['sources importing tests', 'packages/core/src/a.ts', `import './b.test.ts'`],
    ['anything outside of the rooms', 'packages/core/src/a.ts', `import '../../../config.ts'`],
  ])('refuse %s', (_name, file, source) => {
    const violations = check({ [file]: `// first line\n${source}` })
    expect(violations).toHaveLength(1)
    expect(violations[0]).toMatch(new RegExp(`^${file}:2: imports `))
  })

  it.each([
    'process.env.HOME',
    `process['argv']`,
    `process.on('SIGTERM', f)`,
    'process.exit(1)',
    `import 'node:process'`,
  ])('keep %s for main.ts', (source) => {
    for (const file of [
      'apps/ingest/src/server.ts',
      'packages/core/src/main.ts',
      'apps/cli/src/commands/main.ts',
    ]) {
      expect(check({ [file]: source })).toEqual([
        expect.stringMatching(/:1: uses (?:process\.|node:process)/),
      ])
    }
    expect(check({ 'apps/ingest/src/main.ts': source })).toEqual([])
    expect(
      check({ 'apps/ingest/src/server.ts': `// ${source}\nexport const text = ${JSON.stringify(source)}` }),
    ).toEqual([])
  })

  it('refuse circles, however long, also of types', () => {
    expect(
      check({
        'packages/core/src/a.ts': `import './b.ts'`,
        'packages/core/src/b.ts': `import type { C } from './c.ts'; export type B = C`,
        'packages/core/src/c.ts': `export type { B as C } from '@weir/core/a'`,
        'packages/core/src/d.ts': `import './a.ts'; import './b.ts'`,
      }),
    ).toEqual([
      'packages/core/src/a.ts: imports itself in a circle: packages/core/src/a.ts → packages/core/src/b.ts → ' +
        'packages/core/src/c.ts → packages/core/src/a.ts',
    ])
  })

  it('report a file that cannot be parsed', () => {
    expect(check({ 'packages/core/src/a.ts': 'import {' })).toEqual([
      expect.stringContaining('cannot be parsed'),
    ])
  })
})
