import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { Fault } from '@weir/core/faults'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSecrets, type SecretsOptions } from './secrets.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-secrets-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const put = (name: string, text: string) => writeFileSync(join(directory, name), text)
const lines: Record<string, unknown>[] = []
const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) })

async function open(
  settings: Record<string, unknown> = {},
  check: SecretsOptions['check'] = () => undefined,
) {
  const { config } = await loadConfig({
    text: JSON.stringify({
      webhook: { security: { secrets_directory: directory, secrets_refresh: '100ms', ...settings } },
    }),
    env: {},
  })
  return openSecrets({ security: config.webhook.security, check, clock: systemClock, log })
}

describe('the secrets of a tool', () => {
  it('are those of the configuration and those of its file, one a line', async () => {
    put('github', 'from a file\nand another\n')
    const secrets = await open({ signature_secrets: { github: ['configured'] } })
    expect(secrets.of('github', 'acme')).toEqual(['configured', 'from a file', 'and another'])
    expect(secrets.of('jira', 'acme')).toEqual([])
  })

  it('are for a tenant that has its own for that tool only these', async () => {
    put('acme.github', 'of acme, in a file\r\n')
    const secrets = await open({
      signature_secrets: { github: 'of all', jira: 'of all' },
      tenant_secrets: { globex: { github: ['of globex'] } },
    })
    expect(secrets.of('github', 'acme')).toEqual(['of acme, in a file'])
    expect(secrets.of('github', 'globex')).toEqual(['of globex'])
    expect(secrets.of('github', 'default')).toEqual(['of all'])
    expect(secrets.of('jira', 'acme')).toEqual(['of all'])
  })

  it('are read again when a file changes, appears or goes', async () => {
    put('github', 'old')
    const secrets = await open()
    secrets.start()
    try {
      put('github', 'new\nold')
      await expect.poll(() => secrets.of('github', 'a')).toEqual(['new', 'old'])
      put('acme.jira', 'appeared')
      await expect.poll(() => secrets.of('jira', 'acme')).toEqual(['appeared'])
      rmSync(join(directory, 'github'))
      await expect.poll(() => secrets.of('github', 'a')).toEqual([])
      expect(secrets.edition).toBeGreaterThanOrEqual(3)
    } finally {
      await secrets.stop()
    }
  })

  it('go on to count while what is in the files cannot be used, which is said once', async () => {
    put('github', 'old')
    const secrets = await open()
    secrets.start()
    try {
      lines.length = 0
      put('github', ' \n\n')
      await expect.poll(() => lines.filter(({ event }) => event === 'secrets')).toHaveLength(1)
      expect(lines[0]).toMatchObject({
        level: 50,
        reason: expect.stringMatching(/github is empty; write one secret a line/),
      })
      expect(secrets.of('github', 'a')).toEqual(['old'])
      put('github', 'good')
      await expect.poll(() => secrets.of('github', 'a')).toEqual(['good'])
    } finally {
      await secrets.stop()
    }
  })

  it('may have what Kubernetes keeps beside its files', async () => {
    mkdirSync(join(directory, '..2026_11_26'))
    put('github', 's')
    expect((await open()).of('github', 'a')).toEqual(['s'])
  })
})

describe('a start is refused', () => {
  it.each([
    ['no file of a tool', 'slakc', /slakc is neither <tool> nor <tenant>\.<tool>; the tools are github, /],
    ['no name of a tenant', 'Acme Inc.github', /is neither <tool> nor/],
  ])('for %s', async (_, name, sentence) => {
    put(name, 's')
    await expect(open()).rejects.toThrow(sentence)
  })

  it('without the directory, and for a file that is no secret', async () => {
    await expect(open({ secrets_directory: join(directory, 'none') })).rejects.toThrow(
      /cannot be read \(ENOENT/,
    )
    put('github', 'x'.repeat(70_000))
    await expect(open()).rejects.toThrow(/has 70000 bytes; that is no secret/)
  })

  it('for what is no secret of its tool', async () => {
    const check = (tool: string, secrets: readonly string[]) => {
      if (tool === 'github' && secrets.includes('short')) throw new Fault('CONFIG_INVALID', 'too short')
    }
    await expect(open({ signature_secrets: { github: 'short' } }, check)).rejects.toThrow('too short')
    put('acme.github', 'short')
    await expect(open({}, check)).rejects.toThrow('too short')
  })
})
