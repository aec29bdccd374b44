import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)

describe('config', () => {
  const directories: string[] = []
  afterEach(() => {
    for (const directory of directories.splice(0)) rmSync(directory, { recursive: true })
  })
  const fileWith = (text: string): string => {
    const directory = mkdtempSync(join(tmpdir(), 'weir-cli-'))
    directories.push(directory)
    mkdirSync(directory, { recursive: true })
    const file = join(directory, 'weir.yaml')
    writeFileSync(file, text)
    return file
  }

  it('check says ok, with notices, and needs no Redis', async () => {
    const file = fileWith('webhook:\n  redis:\n    pool_size: 50\n')
    const { code, out } = await run(['config', 'check', file])
    expect(code).toBe(0)
    expect(out).toContain(`${file}: ok`)
    expect(out).toContain('note: webhook.redis.pool_size')
    expect((await run(['config', 'check', '--config', file, '--json'])).json()).toMatchObject({
      ok: true,
      file,
      problems: [],
      notices: [expect.any(String)],
    })
  })

  it('check says that a master key is weak, and not what it is', async () => {
    const env = { ENCRYPTION_MASTER_KEY: 'hunter2'.repeat(5) }
    const { code, out } = await run(['config', 'check'], { env })
    expect(code).toBe(1)
    expect(out).toMatch(/encryption_master_key.* only repeats 7 characters; make one with `openssl rand/)
    expect(out).not.toContain('hunter2')
  })

  it('check names every problem and ends with 1', async () => {
    const file = fileWith('webhook:\n  consumer:\n    num_wrkers: 3\n    batch_size: many\n')
    const { code, out } = await run(['config', 'check', file])
    expect(code).toBe(1)
    expect(out).toContain('webhook.consumer.num_wrkers')
    expect(out).toContain('Did you mean num_workers?')
    expect((await run(['config', 'check', file, '--json'])).json()).toMatchObject({
      ok: false,
      problems: expect.arrayContaining([
        expect.stringContaining('num_wrkers'),
        expect.stringContaining('batch_size'),
      ]),
    })
    expect(await run(['config', 'check', '/nowhere.yaml'])).toMatchObject({
      code: 1,
      out: expect.stringContaining('does not exist'),
    })
  })

  it('check asks for what production needs; other commands do not', async () => {
    await open()
    const production = { NODE_ENV: 'production', REDIS_URL: redis.url }
    expect(await run(['config', 'check'], { env: production })).toMatchObject({
      code: 1,
      out: expect.stringContaining('OPS_TOKEN'),
    })
    expect(await run(['status'], { env: production })).toMatchObject({ code: 0 })
  })

  it('show prints every setting with its source, and no secrets', async () => {
    const file = fileWith('webhook:\n  consumer:\n    num_workers: 7\n')
    const env = { GITHUB_WEBHOOK_SECRET: 'hunter2', REDIS_URL: 'redis://u:hunter2@h:1', OPS_PORT: '9000' }
    const { code, out, rows } = await run(['config', 'show', '--config', file], { env })
    expect(code).toBe(0)
    expect(out).not.toContain('hunter2')
    expect(rows).toContainEqual(['webhook.consumer.num_workers', '7', `${file}:3`])
    expect(rows).toContainEqual(['webhook.ops.port', '9000', 'OPS_PORT'])
    expect(rows).toContainEqual(['webhook.consumer.block_timeout', '5s', 'default'])
    expect(rows).toContainEqual([
      'webhook.security.signature_secrets.github',
      '["***"]',
      'GITHUB_WEBHOOK_SECRET',
    ])
    const changed = (await run(['config', 'show', '--changed', '--config', file, '--json'], { env })).json()
    expect(changed).toMatchObject({ file, production: false })
    const { settings } = changed as { settings: { path: string; value: unknown; source: string }[] }
    expect(settings).toContainEqual({ path: 'webhook.consumer.num_workers', value: 7, source: `${file}:3` })
    expect(settings.map(({ path }) => path)).not.toContain('webhook.consumer.block_timeout')
  })
})
