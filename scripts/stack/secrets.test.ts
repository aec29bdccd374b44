import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { keepSecrets } from './secrets.ts'

const directory = mkdtempSync(join(tmpdir(), 'weir-secrets-'))
afterAll(() => rmSync(directory, { recursive: true }))
const modeOf = (file: string) => statSync(file).mode & 0o777

describe('kept secrets', () => {
  it('are made once, each different, and then stay the same', () => {
    const file = join(directory, 'new/secrets.json')
    const first = keepSecrets(file, ['GITHUB_WEBHOOK_SECRET', 'OPS_TOKEN'])
    expect(first.fresh).toEqual(['GITHUB_WEBHOOK_SECRET', 'OPS_TOKEN'])
    expect(first.values.OPS_TOKEN).toMatch(/^[\w-]{43}$/)
    expect(first.values.OPS_TOKEN).not.toBe(first.values.GITHUB_WEBHOOK_SECRET)

    const second = keepSecrets(file, ['OPS_TOKEN', 'GENERIC_WEBHOOK_SECRET'])
    expect(second.fresh).toEqual(['GENERIC_WEBHOOK_SECRET'])
    expect(second.values.OPS_TOKEN).toBe(first.values.OPS_TOKEN)
    expect(Object.keys(second.values)).toEqual(['OPS_TOKEN', 'GENERIC_WEBHOOK_SECRET'])
    expect(keepSecrets(file, ['GITHUB_WEBHOOK_SECRET']).values).toEqual({
      GITHUB_WEBHOOK_SECRET: first.values.GITHUB_WEBHOOK_SECRET,
    })
  })

  it('can be read by their owner alone, also after somebody opened the file to others', () => {
    const file = join(directory, 'private/secrets.json')
    keepSecrets(file, ['OPS_TOKEN'])
    expect(modeOf(file)).toBe(0o600)
    expect(modeOf(join(directory, 'private'))).toBe(0o700)
    chmodSync(file, 0o644)
    keepSecrets(file, ['OPS_TOKEN'])
    expect(modeOf(file)).toBe(0o600)
  })

  it('leave no file when none is needed', () => {
    expect(keepSecrets(join(directory, 'none/secrets.json'), [])).toEqual({ values: {}, fresh: [] })
    expect(statSync(join(directory, 'none'), { throwIfNoEntry: false })).toBeUndefined()
  })

  it.each(['', '{"OPS_TOKEN":"abc', '["abc"]', '{"OPS_TOKEN":""}', '{"OPS_TOKEN":17}'])(
    'do not replace a file that is not theirs: %s',
    (text) => {
      const file = join(directory, 'foreign.json')
      writeFileSync(file, text)
      expect(() => keepSecrets(file, ['OPS_TOKEN'])).toThrow(
        /foreign\.json is not a JSON object of names and secrets\. Mend it/,
      )
      expect(() => keepSecrets(file, ['OPS_TOKEN'])).not.toThrow(/abc/)
      expect(readFileSync(file, 'utf8')).toBe(text)
    },
  )
})
