/** What goes wrong is told in one sentence that says what to do, with an exit code that is not 0, and no stack trace. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startRedis } from '../../../scripts/private-redis.ts'
import { useRedis, withRedis } from '../../../tests/support/redis.ts'
import { withTlsRedis } from '../../../tests/support/tls.ts'
import { run } from './cli.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const directory = mkdtempSync(join(tmpdir(), 'weir-bad-input-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** Runs it, and expects a complaint and nothing else. */
async function complaintOf(
  args: readonly string[],
  env: Record<string, string> = {},
  code = 2,
): Promise<string> {
  const outcome = await run(args, { env: { REDIS_URL: redis.url, WEIR_DATA_DIR: directory, ...env } })
  expect({ args, code: outcome.code, out: outcome.out }).toEqual({ args, code, out: '' })
  expect(outcome.err).not.toMatch(/\n\s+at /)
  expect(outcome.err).toMatch(/^error: /)
  return outcome.err
}

describe('wrong command lines', () => {
  it.each([
    [['statsu'], "unknown command 'statsu'", 'Did you mean status?'],
    [['dlq', 'lst'], "unknown command 'lst'", 'Did you mean list?'],
    [['event', 'find'], "unknown command 'event'", 'Did you mean events?'],
    [['completions'], 'unknown command', 'Did you mean completion?'],
    [['status', '--wach'], "unknown option '--wach'", 'Did you mean --watch?'],
    [['lag', '--maxx', '3'], 'unknown option', 'Did you mean --max?'],
    [['lag', '--max', '-1'], 'Write a whole number from 0', ''],
    [['lag', '--max', '1e3'], 'Write a whole number from 0', ''],
    [['lag', '--interval', '5'], 'Write a duration with its unit', ''],
    [['tail', '--tool', 'githb'], 'There is no such tool', 'Did you mean github?'],
    [['events', 'find', '--state', 'parkd'], 'There is no such state', 'Did you mean parked?'],
    [['events', 'find', '--since', 'yesterday'], 'Write a time such as', ''],
    [['events', 'find', '--tenant', 'A B'], 'Names have 1 to 63', ''],
    [['events', 'find', '--look', '0', '--tool', 'github'], 'Write a whole number from 1', ''],
    [['events', 'get'], "missing required argument 'id'", ''],
    [['events', 'get', 'evt_'], 'is not an event id', ''],
    [['doctor', '--skip', 'redi'], 'There is no such part', 'Did you mean redis?'],
    [['force-transition'], "required option '--tier <tier>' not specified", ''],
    [['force-transition', '--tier', 'wram'], 'There is no such tier', 'Did you mean warm?'],
    [['limits', 'reset'], 'say whose limit', ''],
    [['limits', 'show', '--near', '101'], 'Write a whole number from 0 to 100', ''],
    [['dlq', 'replay'], 'say which letters', '--all'],
    [['dlq', 'replay', '--all', '--rate', 'fast'], 'Write a number above 0', ''],
    [['dlq', 'list', '--after', 'x'], 'not the id of a dead letter', 'dlq list'],
    [['completion', 'tcsh'], 'There is no such shell', ''],
    [['completion', 'zhs'], 'There is no such shell', 'Did you mean zsh?'],
    [['partitions', 'set', '0'], 'Write a whole number from 1 to 1024', ''],
    [['config', 'show', 'x'], "too many arguments for 'show'", ''],
    [['status', '--config', '/nowhere/config.yaml'], '/nowhere/config.yaml', 'CONFIG_INVALID'],
    [['status', '--config'], "option '--config <file>' argument missing", ''],
    [['send', '--tool', 'github', '--file', '/nowhere', '--event', 'push', '--secret', 's'], '/nowhere', ''],
  ])('%j', async (args, says, advice) => {
    const complaint = await complaintOf(args)
    expect(complaint).toContain(says)
    expect(complaint).toContain(advice)
  })

  it.each([
    ['no YAML', 'a: [', 'config.yaml'],
    ['an unknown key', 'webhook: { redis: { urll: redis://x } }', 'Did you mean url?'],
    ['a wrong value', 'webhook: { redis: { durability: replicas } }', 'Did you mean replica?'],
    [
      'half an access key',
      'webhook: { context_lifecycle: { s3: { bucket: weir-contexts, access_key_id: AKIAEXAMPLE } } }',
      'secret_access_key too, or neither',
    ],
  ])('a configuration with %s', async (_, text, says) => {
    const file = join(directory, 'config.yaml')
    writeFileSync(file, text)
    expect(await complaintOf(['status', '--config', file])).toContain(says)
  })
})

describe('half-configured S3', () => {
  it.each([
    [['context', 'restore', '--dry-run']],
    [['force-transition', '--tier', 'cold']],
    [['retention', 'run', '--yes']],
    [['tenant', 'erase', 'acme', '--yes']],
  ])('keeps %j from taking an empty directory for cold storage', async (args) => {
    expect(await complaintOf(args, { S3_ENDPOINT: 'http://127.0.0.1:9000' })).toBe(
      'error: cold storage is half-configured: S3_ENDPOINT is set and S3_BUCKET is not; set S3_BUCKET too, or unset S3_ENDPOINT.\n',
    )
  })
})

describe('a Redis that cannot be used', () => {
  const held: Socket[] = []
  const silent = createServer((socket) => held.push(socket))
  beforeAll(() => new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve)))
  afterAll(() => {
    for (const socket of held) socket.destroy()
    return new Promise<void>((resolve) => void silent.close(() => resolve()))
  })

  it('is not there, or never answers', async () => {
    const away = await complaintOf(['lag'], { REDIS_URL: 'redis://127.0.0.1:1' })
    expect(away).toMatch(/Redis at redis:\/\/127\.0\.0\.1:1 cannot be reached; check REDIS_URL.*ECONNREFUSED/)
    const { port } = silent.address() as AddressInfo
    expect(await complaintOf(['lag'], { REDIS_URL: `redis://127.0.0.1:${port}` })).toMatch(
      /cannot be reached.*(?:timed out|no connection)/,
    )
    expect(await complaintOf(['lag', '--redis-url', 'http://x'])).toContain('webhook.redis.url')
  })

  it('wants a password, or another one', async () => {
    await withRedis(async (client, server) => {
      await client.config('SET', 'requirepass', 'right')
      expect(await complaintOf(['status'], { REDIS_URL: server.url })).toContain('set REDIS_PASSWORD')
      const wrong = await complaintOf(['status'], { REDIS_URL: server.url, REDIS_PASSWORD: 'wrong-one' })
      expect(wrong).toContain('check webhook.redis.username and REDIS_PASSWORD')
      expect(wrong).not.toContain('wrong-one')
      await client.config('SET', 'requirepass', '')
    })
  })

  it('speaks TLS, or does not', async () => {
    expect(await complaintOf(['status'], { REDIS_URL: redis.url, REDIS_TLS_ENABLED: 'true' })).toMatch(/TLS/)
    await withTlsRedis(async ({ server, certificates }) => {
      const plain = await complaintOf(['status'], { REDIS_URL: server.url.replace('rediss:', 'redis:') })
      expect(plain).toContain('webhook.redis.tls_enabled')
      const untrusted = await complaintOf(['status'], { REDIS_URL: server.url })
      expect(untrusted).toContain('webhook.redis.tls_ca_file')
      const none = await complaintOf(['status'], {
        REDIS_URL: server.url,
        REDIS_TLS_CA_FILE: certificates.anonymous.caFile ?? '',
      })
      expect(none).toContain('client certificate')
    })
  })

  it.skipIf(!process.env.WEIR_OLD_REDIS)('is too old', async () => {
    const old = await startRedis({ binary: process.env.WEIR_OLD_REDIS as string })
    try {
      for (const args of [['status'], ['lag'], ['dlq', 'list'], ['claim-pending', '--dry-run']])
        expect(await complaintOf(args, { REDIS_URL: old.url })).toMatch(
          /^error: the Redis server has version 6\.\d+\.\d+; Weir needs Redis or Valkey 7\.0 or later/,
        )
    } finally {
      await old.stop()
    }
  })
})

describe('--debug', () => {
  it('shows where an error came from, and its cause', async () => {
    const env = { REDIS_URL: 'redis://127.0.0.1:1' }
    const { code, err } = await run(['lag', '--debug'], { env })
    expect(code).toBe(2)
    expect(err).toMatch(/^error: Redis at .*\n/)
    expect(err).toMatch(/\n\s+at .*session\.ts/)
    expect(err).toMatch(/\ncaused by: Error: connect ECONNREFUSED/)
  })

  it('is told of where something happened that nobody expected', async () => {
    const broken = {
      env: { REDIS_URL: redis.url },
      out: () => {
        throw new TypeError('cannot write')
      },
    }
    const { code, err } = await run(['lag'], broken)
    expect({ code, err }).toEqual({
      code: 2,
      err: 'error: cannot write (this was not expected; --debug shows where it came from)\n',
    })
    expect((await run(['lag', '--debug'], broken)).err).toMatch(/TypeError: cannot write\n\s+at /)
  })
})
