import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isFault } from '@weir/core/faults'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from '../../../tests/support/process.ts'
import { loadHandlers } from './load-handlers.ts'

const TOOLS = ['github', 'generic']
const core = JSON.stringify(join(root, 'packages/core/src/handlers/handler.ts'))
const defined = (fields: string) =>
  `import { defineHandler } from ${core}\nexport default defineHandler({ ${fields} })\n`
const good = (name: string) => defined(`name: '${name}', tool: 'github', events: ['*'], run() {}`)

let base = ''
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'weir-handlers-'))
})
afterAll(() => rm(base, { recursive: true }))

let directories = 0
/** Writes the files into a new directory; returns its path relative to the base. */
async function handlers(files: Readonly<Record<string, string>>): Promise<string> {
  const name = `handlers-${++directories}`
  const { mkdir } = await import('node:fs/promises')
  await mkdir(join(base, name))
  for (const [file, source] of Object.entries(files)) await writeFile(join(base, name, file), source)
  return name
}
const names = async (path: string) => (await loadHandlers(path, base, TOOLS)).map(({ name }) => name)

async function refusal(files: Readonly<Record<string, string>>): Promise<string> {
  const error: unknown = await loadHandlers(await handlers(files), base, TOOLS).catch(
    (thrown: unknown) => thrown,
  )
  if (!isFault(error, 'HANDLER_INVALID')) throw new Error('it was not refused', { cause: error })
  return error.message
}

describe('loadHandlers', () => {
  it('one file, by a path relative to the base, or an absolute one', async () => {
    const directory = await handlers({ 'one.ts': good('one') })
    expect(await names(`${directory}/one.ts`)).toEqual(['one'])
    expect(await names(join(base, directory, 'one.ts'))).toEqual(['one'])
  })

  it('every module of a directory, in the order of file names; no tests, types or other files', async () => {
    const directory = await handlers({
      'b.ts': good('b'),
      'a.mjs': good('a'),
      'c.js': good('c'),
      'd.mts': good('d'),
      'a.test.ts': 'throw new Error("a test was loaded")',
      'types.d.ts': 'throw new Error("types were loaded")',
      'readme.md': 'nothing',
    })
    expect(await names(directory)).toEqual(['a', 'b', 'c', 'd'])
  })

  it('a module may export a list', async () => {
    const list = `import { defineHandler } from ${core}
      const one = (name) => defineHandler({ name, tool: 'generic', events: ['x'], run() {} })
      export default [one('first'), one('second')]`
    expect(await names(await handlers({ 'list.ts': list }))).toEqual(['first', 'second'])
  })

  it('the example handlers are valid', async () => {
    const loaded = await loadHandlers('examples/handlers', root, ['github', 'alertmanager'])
    expect(loaded.map(({ name }) => name)).toContain('log-opened-pull-requests')
  })
})

describe('what is wrong is said with the file', () => {
  it('a path that is not there', async () => {
    await expect(loadHandlers('nowhere', base, TOOLS)).rejects.toThrow(
      `consumer.handlers: ${join(base, 'nowhere')} does not exist`,
    )
  })

  it('a directory without modules', async () => {
    expect(await refusal({ 'readme.md': '' })).toMatch(/handlers-\d+ holds no handler modules/)
  })

  it.each([
    ['a module that throws', 'throw new Error("no database")', /x\.ts cannot be loaded: no database/],
    ['syntax that is none', 'export default {', /x\.ts cannot be loaded: /],
    [
      'no default export',
      'export const handler = 1',
      /x\.ts: its default export is not a handler; export defineHandler/,
    ],
    [
      'a plain object',
      'export default { name: "x", tool: "github", events: ["*"], run() {} }',
      /default export is not a handler/,
    ],
    ['an empty name', defined(`name: '', tool: 'github', events: ['*'], run() {}`), /a handler needs a name/],
    [
      'an unknown tool',
      defined(`name: 'n', tool: 'gitbub', events: ['*'], run() {}`),
      /tool gitbub is not one of github, generic/,
    ],
    [
      'no events',
      defined(`name: 'n', tool: 'github', events: [], run() {}`),
      /handler n names no events; use \['\*'\] for all/,
    ],
    [
      'events that are no list',
      defined(`name: 'n', tool: 'github', events: 'push', run() {}`),
      /handler n names no events/,
    ],
    [
      'events that are no names',
      defined(`name: 'n', tool: 'github', events: ['push', 7], run() {}`),
      /handler n: its events must be names/,
    ],
    [
      'no run',
      defined(`name: 'n', tool: 'github', events: ['*']`),
      /handler n has no function run\(event, ctx\)/,
    ],
  ])('%s', async (_what, source, message) => {
    expect(await refusal({ 'x.ts': source })).toMatch(message)
  })

  it('a name twice: names are part of idempotency keys', async () => {
    expect(await refusal({ 'a.ts': good('same'), 'b.ts': good('same') })).toMatch(
      /b\.ts: the name same is taken; names are part of idempotency keys/,
    )
  })
})
