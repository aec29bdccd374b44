import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { enterOwner } from './report.ts'

describe('the owners of a spool directory', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'weir-owners-'))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))
  const written = () => readFileSync(join(directory, 'owners'), 'utf8')

  it('are remembered until one has taken back the reports of those before it', async () => {
    expect((await enterOwner(directory, 'first')).before).toEqual([])
    // Killed before it could.
    expect((await enterOwner(directory, 'second')).before).toEqual(['first'])
    const third = await enterOwner(directory, 'third')
    expect(third.before).toEqual(['first', 'second'])
    await third.settle()
    expect(written()).toBe('third\n')
    expect((await enterOwner(directory, 'fourth')).before).toEqual(['third'])
  })

  it('are an error when the directory cannot be written', async () => {
    await expect(enterOwner(join(directory, 'missing'), 'first')).rejects.toThrow(/ENOENT/)
  })
})
