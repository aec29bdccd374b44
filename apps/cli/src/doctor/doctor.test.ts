/** Each thing that can be wrong is made wrong, on real servers. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { reportGateway } from '@weir/core/stream/ledger'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startRedis } from '../../../../scripts/private-redis.ts'
import { status } from '../../../../tests/support/openai.ts'
import { usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis, withRedis } from '../../../../tests/support/redis.ts'
import { withTlsRedis } from '../../../../tests/support/tls.ts'
import { useOpenAi } from '../../../../tests/support/use-openai.ts'
import { useS3 } from '../../../../tests/support/use-s3.ts'
import { run } from '../cli.test-support.ts'
import type { Finding } from './finding.ts'

const redis = useRedis()
const open = usePipeline(redis)
const s3 = useS3()
const openai = useOpenAi()

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-doctor-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const SECRET = 'f00dfeedc0ffee00f00dfeedc0ffee00'
const TOKEN = 'a-token-of-operators-that-is-long'

interface Report {
  readonly healthy: boolean
  readonly findings: readonly Finding[]
}

/** Runs it on a setup in which nothing is wrong, but for what is given. */
async function doctor(given: Record<string, string | undefined> = {}, ...args: string[]) {
  const env = {
    REDIS_URL: redis.url,
    WEIR_DATA_DIR: directory,
    GITHUB_WEBHOOK_SECRET: SECRET,
    OPS_TOKEN: TOKEN,
    ...given,
  }
  const outcome = await run(['doctor', '--json', ...args], { env })
  expect(outcome.err).toBe('')
  const report = outcome.json() as Report
  for (const secret of Object.entries(env).filter(([name]) =>
    /_(?:SECRET|TOKEN|PASSWORD|KEY|KEY_ID)$/.test(name),
  ))
    expect(outcome.out, `shows ${secret[0]}`).not.toContain(secret[1])
  for (const { status: state, finding, fix } of report.findings) {
    expect(finding).not.toMatch(/\n/)
    if (state === 'fail' || state === 'warn') expect(fix, finding).toMatch(/\w/)
  }
  const of = (check: string) => report.findings.filter((each) => each.check === check)
  return { ...outcome, report, of, fails: report.findings.filter((each) => each.status === 'fail') }
}

const bad = (state: 'warn' | 'fail', finding: RegExp, fix: RegExp) => ({
  status: state,
  finding: expect.stringMatching(finding),
  fix: expect.stringMatching(fix),
})

describe('doctor', () => {
  it('ends with 0 where nothing failed, with a line for everything it looked at', async () => {
    const { accept, read, now, link, keys } = await open()
    await accept()
    await read('consumer-1')
    const report = JSON.stringify({ at: await now(), held: 1, running: 1, metrics: [] })
    await link.call('HSET', keys.consumers, 'consumer-1', report)
    await reportGateway(link, keys, 'gateway-1', '', { spooled: 0, at: await now() })
    await link.call('CONFIG', 'SET', 'maxmemory', '100mb')
    const { code, fails, report: found } = await doctor()
    await link.call('CONFIG', 'SET', 'maxmemory', '0')
    expect(fails).toEqual([])
    expect(code).toBe(0)
    expect(found).toMatchObject({ healthy: true, warn: 0 })
    expect([...new Set(found.findings.map(({ check }) => check))]).toEqual([
      ...['configuration', 'redis', 'redis version', 'redis eviction', 'redis memory', 'redis persistence'],
      ...[
        'redis replicas',
        'redis clock',
        'redis rights',
        'stream',
        'ledger',
        'backlog',
        'consumers',
        'gateways',
      ],
      ...['breakers', 'dead letters', 'secrets', 'keyring', 'cold storage', 'ai provider', 'certificates'],
    ])
  })

  it('prints state, check, finding and fix in one line each, and leaves out what it is told to', async () => {
    const env = { REDIS_URL: 'redis://127.0.0.1:1', WEIR_DATA_DIR: directory, GITHUB_WEBHOOK_SECRET: SECRET }
    const { code, rows, out } = await run(['doctor', '--skip', 'cold', '--skip', 'ai'], { env })
    expect(code).toBe(1)
    expect(rows).toContainEqual([
      'fail',
      'redis',
      expect.stringMatching(
        /^redis:\/\/127\.0\.0\.1:1 cannot be used: .*ECONNREFUSED.*\. FIX: check REDIS_URL/,
      ),
    ])
    expect(rows.map(([, check]) => check)).not.toContain('cold storage')
    expect(out).toMatch(/\n\d+ ok, \d+ warnings, 1 failed, 1 not looked at\n$/)
  })

  it('tells every problem of the configuration, and goes on with the rest where it can', async () => {
    const broken = await doctor({ OPS_PORT: 'x', PORT: '-1' })
    expect(broken.code).toBe(1)
    expect(broken.of('configuration')).toMatchObject([
      bad('fail', /webhook\.(ops|ingest)\.port/, /correct it/),
      bad('fail', /webhook\.(ops|ingest)\.port/, /correct it/),
    ])
    const production = await doctor({ NODE_ENV: 'production', WEBHOOK_SIGNATURE_VERIFICATION: 'false' })
    expect(production.of('configuration')).toContainEqual(
      expect.objectContaining(bad('fail', /production does not believe unsigned/, /./)),
    )
    expect(production.of('redis')).toMatchObject([{ status: 'ok' }])
  })
})

describe('doctor: Redis', () => {
  const settings: readonly [string, string, string, ReturnType<typeof bad>][] = [
    ['maxmemory-policy', 'allkeys-lru', 'redis eviction', bad('fail', /allkeys-lru.*drops/, /noeviction/)],
    ['appendonly', 'no', 'redis persistence', bad('fail', /appendonly is no/, /appendonly yes/)],
    ['appendfsync', 'everysec', 'redis persistence', bad('warn', /everysec/, /appendfsync always/)],
    ['appendfsync', 'no', 'redis persistence', bad('fail', /appendfsync is no/, /appendfsync always/)],
    ['maxmemory', '0', 'redis memory', bad('warn', /no limit/, /maxmemory/)],
    ['maxmemory', '900000', 'redis memory', bad('fail', /\d+ %\)/, /raise maxmemory/)],
  ]
  it.each(settings)('%s %s', async (name, value, check, finding) => {
    await withRedis(async (client, server) => {
      await client.config('SET', name, value)
      const { of, code } = await doctor({ REDIS_URL: server.url })
      expect(of(check)).toContainEqual(expect.objectContaining(finding))
      expect(code).toBe(finding.status === 'fail' ? 1 : 0)
    })
  })

  it('a wrong password, and none', async () => {
    await withRedis(async (client, server) => {
      await client.config('SET', 'requirepass', 'the-right-password-of-this-one')
      const wrong = await doctor({ REDIS_URL: server.url, REDIS_PASSWORD: 'some-wrong-password' })
      expect(wrong.of('redis')).toMatchObject([
        bad('fail', /does not know this user or password.*REDIS_PASSWORD/, /./),
      ])
      expect(wrong.of('pipeline')).toMatchObject([{ status: 'skip' }])
      const none = await doctor({ REDIS_URL: server.url })
      expect(none.of('redis')).toMatchObject([bad('fail', /wants a password: set REDIS_PASSWORD/, /./)])
      await client.config('SET', 'requirepass', '')
    }, {})
  })

  it('a user who may not do what Weir does, by name of what is missing', async () => {
    await withRedis(async (client, server) => {
      const all = [
        'on',
        '>the-password-of-weir',
        '~webhook-events*',
        '~{webhook-events}*',
        '+@all',
        '-@admin',
        '-@dangerous',
      ]
      const more = ['+info', '+role', '+config|get', '+client|list', '+client|kill', '+client|unblock']
      const url = server.url.replace('redis://', 'redis://weir:the-password-of-weir@')
      await client.call('ACL', 'SETUSER', 'weir', ...all, ...more)
      const enough = await doctor({ REDIS_URL: url })
      expect(enough.of('redis rights')).toMatchObject([{ status: 'ok' }])
      await client.call('ACL', 'SETUSER', 'weir', '-eval', '-client|list', 'resetkeys', '~{webhook-events}*')
      const less = await doctor({ REDIS_URL: url })
      expect(less.of('redis rights')).toMatchObject([
        bad(
          'fail',
          /may not: XDEL webhook-events, XDEL webhook-events-dlq, EVAL, CLIENT LIST$/,
          /ACL SETUSER/,
        ),
      ])
      expect(less.out).not.toContain('the-password-of-weir')
    })
  })

  it('a replica, and replicas that are missing', async () => {
    await withRedis(async (_master, master) => {
      await withRedis(async (client, replica) => {
        const port = Number(new URL(master.url).port)
        await client.call('REPLICAOF', '127.0.0.1', port)
        await expect.poll(() => client.info('replication')).toContain('master_link_status:up')
        const there = await doctor({ REDIS_URL: replica.url })
        expect(there.of('redis replicas')).toMatchObject([bad('fail', /is a replica/, /master/)])
        const durable = { REDIS_URL: master.url, REDIS_DURABILITY: 'replica' }
        const short = await doctor({ ...durable, REDIS_REPLICAS: '2' })
        expect(short.of('redis replicas')).toMatchObject([bad('fail', /1 connected of 2/, /REDIS_REPLICAS/)])
        const loose = await doctor(durable)
        expect(loose.of('redis replicas')).toMatchObject([
          bad('warn', /min-replicas-to-write is 0/, /min-replicas-to-write 1/),
        ])
        await _master.config('SET', 'min-replicas-to-write', '1')
        const right = await doctor(durable)
        expect(right.of('redis replicas')).toMatchObject([{ status: 'ok' }])
        const local = await doctor({ REDIS_URL: master.url })
        expect(local.of('redis replicas')).toMatchObject([
          bad('warn', /durability local/, /REDIS_DURABILITY=replica/),
        ])
        await client.call('REPLICAOF', 'NO', 'ONE')
      })
    })
  })

  it("a clock that is not this machine's", async () => {
    const clock = {
      now: () => Date.now() + 90_000,
      monotonic: () => performance.now(),
      wait: async () => undefined,
    }
    const { json } = await run(['doctor', '--json'], {
      env: { REDIS_URL: redis.url, WEIR_DATA_DIR: directory },
      clock,
    })
    const { findings } = json() as Report
    expect(findings.find(({ check }) => check === 'redis clock')).toMatchObject(
      bad('fail', /1m (29|30)s behind|1m 30s behind/, /NTP/),
    )
  })

  it.skipIf(!process.env.WEIR_OLD_REDIS)('an old Redis', async () => {
    const old = await startRedis({ binary: process.env.WEIR_OLD_REDIS as string })
    try {
      const { of, code } = await doctor({ REDIS_URL: old.url })
      expect(code).toBe(1)
      expect(of('redis version')).toMatchObject([
        bad('fail', /^6\.\d.*needs Redis or Valkey 7\.0/, /newer server/),
      ])
      expect(of('pipeline')).toMatchObject([{ status: 'skip' }])
    } finally {
      await old.stop()
    }
  })
})

describe('doctor: the pipeline', () => {
  it('a key that is something else', async () => {
    await redis.client().set('webhook-events', 'mine')
    const { of } = await doctor()
    expect(of('stream')).toMatchObject([bad('fail', /webhook-events is a string/, /of its own/)])
  })

  it("Redis' clock behind its own stream", async () => {
    const { accept, link, keys } = await open()
    const { streamId } = await accept()
    await link.call('XSETID', keys.stream, `${Number(streamId.split('-')[0]) + 3_600_000}-0`)
    const { of } = await doctor()
    expect(of('stream clock')).toMatchObject([
      bad('fail', /behind the ids of its own stream/, /docs\/redis\.md/),
    ])
  })

  it('events that are nowhere, silent consumers that hold some, spools, breakers, dead letters', async () => {
    const { accept, read, link, keys, now, kill } = await open()
    await kill()
    for (let n = 0; n < 3; n++) await accept()
    await read('consumer-1', 2)
    const long = (await now()) - 3_600_000
    await link.call(
      'HSET',
      keys.consumers,
      'consumer-1',
      JSON.stringify({ at: long, held: 2, running: 2, metrics: [] }),
    )
    await reportGateway(link, keys, 'gateway-1', '', { spooled: 7, at: long })
    await reportGateway(link, keys, 'gateway-2', '', { spooled: 1, at: await now() })
    await link.call('HSET', keys.ledger, 'settled', 5)
    const { of, code } = await doctor()
    expect(code).toBe(1)
    expect(of('ledger')).toMatchObject([bad('fail', /not accounted for/, /audit ledger/)])
    expect(of('consumers')).toMatchObject([
      bad('fail', /consumer-1 has been silent for 1h.* holds 2 events/, /claim-pending/),
      bad('fail', /none is alive/, /start a consumer/),
    ])
    expect(of('gateways')).toMatchObject([
      bad('fail', /gateway-1 has 7 events in its spool, and has been silent for 1h/, /same spool directory/),
      bad('warn', /gateway-2 has 1 event in its spool/, /drains/),
    ])
    expect(of('dead letters')).toMatchObject([bad('warn', /1 event failed/, /dlq list/)])
  })
})

describe('doctor: secrets', () => {
  it.each([
    ['none', { GITHUB_WEBHOOK_SECRET: '' }, bad('fail', /no tool has a secret/, /GITHUB_WEBHOOK_SECRET/)],
    [
      'a word of manuals',
      { GITHUB_WEBHOOK_SECRET: 'changeme' },
      bad('fail', /GITHUB_WEBHOOK_SECRET is a word/, /openssl rand/),
    ],
    [
      'a short one',
      { JIRA_WEBHOOK_SECRET: 'x7Gq2' },
      bad('warn', /JIRA_WEBHOOK_SECRET has fewer than 16/, /openssl rand/),
    ],
    [
      'the same twice',
      { JIRA_WEBHOOK_SECRET: SECRET },
      bad('warn', /GITHUB_WEBHOOK_SECRET and JIRA_WEBHOOK_SECRET are the same/, /own/),
    ],
    ['no token', { OPS_TOKEN: '' }, bad('warn', /OPS_TOKEN is not set/, /OPS_TOKEN/)],
    [
      'no verification',
      { WEBHOOK_SIGNATURE_VERIFICATION: 'false' },
      bad('fail', /every request is believed/, /true/),
    ],
  ] as const)('%s', async (_, env, finding) => {
    const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
    const names = Object.keys(env).filter((name) => !(name in given))
    const all: Record<string, string | undefined> = {
      ...{ REDIS_URL: redis.url, WEIR_DATA_DIR: directory, GITHUB_WEBHOOK_SECRET: SECRET, OPS_TOKEN: TOKEN },
      ...given,
    }
    for (const name of names) all[name] = undefined
    const { json, out } = await run(['doctor', '--json', '--skip', 'redis', '--skip', 'pipeline'], {
      env: all,
    })
    const { findings } = json() as Report
    expect(findings.filter(({ check }) => check === 'secrets')).toContainEqual(
      expect.objectContaining(finding),
    )
    for (const secret of Object.values(given)) if (/\d/.test(secret)) expect(out).not.toContain(secret)
  })

  it('looks at those of single tenants', async () => {
    const file = join(directory, 'tenants.yaml')
    writeFileSync(
      file,
      `webhook: { security: { tenant_secrets: { acme: { gitlab: [x7Gq2, '${SECRET}'] } } } }\n`,
    )
    const { of } = await doctor({ CONFIG_FILE: file })
    const where = 'webhook.security.tenant_secrets.acme.gitlab'
    expect(of('secrets').map(({ finding }) => finding)).toEqual([
      expect.stringMatching(/^there for github, gitlab;/),
      `${where} has fewer than 16 characters`,
      `GITHUB_WEBHOOK_SECRET and ${where} are the same`,
    ])
  })

  it('reads those in files, and says where they cannot be read', async () => {
    const files = join(directory, 'secrets')
    mkdirSync(files)
    writeFileSync(join(files, 'acme.gitlab'), 'tooshort\n')
    const { of } = await doctor({ WEBHOOK_SECRETS_DIRECTORY: files })
    expect(of('secrets')).toContainEqual(
      expect.objectContaining(bad('warn', /secrets\/acme\.gitlab has fewer than 16/, /openssl/)),
    )
    const none = await doctor({ WEBHOOK_SECRETS_DIRECTORY: join(files, 'acme.gitlab') })
    expect(none.of('secrets')).toContainEqual(
      expect.objectContaining(bad('fail', /secrets_directory cannot be read: ENOTDIR/, /path/)),
    )
  })

  it('does not miss what only gateways may have, where none runs', async () => {
    const { of } = await doctor({
      WEBHOOK_SECRETS_DIRECTORY: join(directory, 'nowhere'),
      GITHUB_WEBHOOK_SECRET: undefined,
    })
    expect(of('secrets')).toEqual([
      expect.objectContaining({
        status: 'skip',
        finding: expect.stringMatching(/is not here: ask doctor where a gateway/),
      }),
    ])
  })

  it('knows that HMAC_SECRET is one for two tools', async () => {
    const hmac = 'd1f0a9c2b7e4486f9a35c07e12'
    const of = async (env: Record<string, string>) =>
      (await doctor(env)).of('secrets').map(({ finding }) => finding)
    expect(await of({ HMAC_SECRET: hmac })).toEqual([
      expect.stringMatching(/^there for github, alertmanager, generic;/),
    ])
    expect(await of({ HMAC_SECRET: hmac, JIRA_WEBHOOK_SECRET: hmac })).toContainEqual(
      'JIRA_WEBHOOK_SECRET and HMAC_SECRET are the same',
    )
  })

  it('a master key that is not the one of the keyring, and one that is missing', async () => {
    const encrypted = { WEBHOOK_ENCRYPTION_ENABLED: 'true' }
    const missing = await doctor(encrypted)
    expect(missing.of('keyring')).toMatchObject([bad('fail', /no master key/, /ENCRYPTION_MASTER_KEY/)])
    const { configuredKeyring } = await import('@weir/core/keyring/configured')
    const { loadConfig } = await import('@weir/core/config/load')
    const { createTenantCipher } = await import('@weir/security/tenant-cipher')
    const { systemClock } = await import('@weir/core/clock')
    const first = 'kX9w2Zq7Rt5Yv8Bn3Mc6Lp1Js4Hd0Gf-first'
    const { config } = await loadConfig({
      env: { ...encrypted, ENCRYPTION_MASTER_KEY: first, WEIR_DATA_DIR: directory },
    })
    const made = configuredKeyring(config, {
      ...{
        cipherOf: createTenantCipher,
        name: 'test',
        clock: systemClock,
        tell: () => undefined,
        onError: () => undefined,
      },
    })
    await made!.keyring.prepare('acme')
    await made!.keyring.stop()
    const right = await doctor({ ...encrypted, ENCRYPTION_MASTER_KEY: first })
    expect(right.of('keyring')).toMatchObject([
      { status: 'ok', finding: expect.stringContaining('keys of 1 tenant') },
    ])
    const wrong = await doctor({
      ...encrypted,
      ENCRYPTION_MASTER_KEY: 'Qw8Er5Ty2Ui9Op6As3Df0Gh7Jk4Lz1-other',
    })
    expect(wrong.code).toBe(1)
    expect(wrong.of('keyring')).toMatchObject([
      bad('fail', /keys of tenant acme can be derived/, /ENCRYPTION_MASTER_KEY/),
    ])
  })
})

describe('doctor: cold storage', () => {
  const s3Env = (bucket: string, more: Record<string, string> = {}) => ({
    ...{
      S3_ENDPOINT: s3.endpoint,
      S3_BUCKET: bucket,
      AWS_ACCESS_KEY_ID: 'S3RVER',
      AWS_SECRET_ACCESS_KEY: 'S3RVER',
    },
    ...more,
  })

  it('puts, reads and deletes an object, and leaves nothing behind', async () => {
    const bucket = await s3.makeBucket()
    const env = { REDIS_URL: redis.url, WEIR_DATA_DIR: directory, ...s3Env(bucket) }
    const { json } = await run(['doctor', '--json'], { env })
    const { findings } = json() as Report
    expect(findings.find(({ check }) => check === 'cold storage')).toMatchObject({
      status: 'ok',
      finding: `s3://${bucket}: put, read and deleted`,
    })
    expect(await (await fetch(`${s3.endpoint}/${bucket}`)).text()).not.toContain('<Key>')
  })

  it('a wrong key, no such bucket, nobody there, half a configuration', async () => {
    const bucket = await s3.makeBucket()
    const wrong = await doctor(
      s3Env(bucket, { AWS_ACCESS_KEY_ID: 'SOMEBODYELSE', AWS_SECRET_ACCESS_KEY: 'not-the-right-one' }),
    )
    expect(wrong.of('cold storage')).toMatchObject([bad('fail', /refused.*AWS_ACCESS_KEY_ID/, /S3_BUCKET/)])
    const none = await doctor(s3Env('no-such-bucket'))
    expect(none.of('cold storage')).toMatchObject([
      bad('fail', /there is no bucket no-such-bucket/, /S3_BUCKET/),
    ])
    const away = await doctor({
      ...s3Env(bucket),
      S3_ENDPOINT: 'http://127.0.0.1:1',
      AWS_ACCESS_KEY_ID: 'k-e-y',
      AWS_SECRET_ACCESS_KEY: 's-e-c',
    })
    expect(away.of('cold storage')).toMatchObject([
      bad('fail', /ECONNREFUSED.*COLD_UNAVAILABLE/, /S3_ENDPOINT/),
    ])
    const half = await doctor({ S3_ENDPOINT: s3.endpoint })
    expect(half.of('cold storage')).toMatchObject([
      bad('fail', /half-configured: S3_ENDPOINT is set and S3_BUCKET is not/, /S3_BUCKET/),
    ])
    const keys = await doctor({ AWS_ACCESS_KEY_ID: 'k-e-y', AWS_SECRET_ACCESS_KEY: 's-e-c' })
    expect(keys.of('cold storage')).toMatchObject([bad('warn', /no S3_BUCKET/, /S3_BUCKET/)])
  })

  it('a directory that cannot be written', async () => {
    const file = join(directory, 'a-file')
    writeFileSync(file, '')
    const { of } = await doctor({ CONTEXTS_COLD_DIRECTORY: join(file, 'cold') })
    expect(of('cold storage')).toMatchObject([bad('fail', /COLD_/, /directory/)])
  })
})

describe('doctor: the AI provider', () => {
  /** A configuration that asks the stub; the model's vectors have so many numbers. */
  const asking = (dimensions: number) => {
    const file = join(directory, 'ai.yaml')
    writeFileSync(
      file,
      `webhook: { ai: { base_url: '${openai.url}', embedding: { provider: openai, model: small, dimensions: ${dimensions} } } }\n`,
    )
    return { CONFIG_FILE: file, OPENAI_API_KEY: 'sk-0123456789abcdef0123456789abcdef' }
  }

  it('asks for one embedding', async () => {
    const { of } = await doctor(asking(8))
    expect(of('ai provider')).toMatchObject([
      { status: 'ok', finding: expect.stringMatching(/^small: a vector of 8 numbers/) },
    ])
    expect(openai.texts).toEqual(['webhook-cli doctor'])
  })

  it('a key that is refused, and vectors of another length', async () => {
    openai.next(status(401))
    const refused = await doctor(asking(8))
    expect(refused.code).toBe(1)
    expect(refused.of('ai provider')).toMatchObject([bad('fail', /AI_REFUSED/, /OPENAI_API_KEY/)])
    const length = await doctor(asking(16))
    expect(length.of('ai provider')).toMatchObject([bad('fail', /8 numbers instead of 16/, /embedding/)])
  })

  it('nobody there, with one attempt only', async () => {
    const { of } = await doctor({ ...asking(8), AI_BASE_URL: 'http://127.0.0.1:1/v1' })
    expect(of('ai provider')).toMatchObject([bad('fail', /AI_UNAVAILABLE/, /AI_BASE_URL/)])
  })
})

describe('doctor: certificates', () => {
  const files = (of: {
    caFile?: string | undefined
    certFile?: string | undefined
    keyFile?: string | undefined
  }) => ({
    REDIS_TLS_CA_FILE: of.caFile ?? '',
    REDIS_TLS_CERT_FILE: of.certFile ?? '',
    REDIS_TLS_KEY_FILE: of.keyFile ?? '',
  })

  it("ours that is expired, the server's, and the authority's", async () => {
    await withTlsRedis(async ({ server, certificates }) => {
      const good = await doctor({ REDIS_URL: server.url, ...files(certificates.client) })
      expect(good.of('certificates').map(({ status: state }) => state)).toEqual(['ok', 'ok', 'ok'])
      const expired = await doctor({ REDIS_URL: server.url, ...files(certificates.expired) })
      expect(expired.of('redis')).toMatchObject([bad('fail', /our client certificate.*expired/, /./)])
      expect(expired.of('certificates')).toContainEqual(
        expect.objectContaining(bad('fail', /tls_cert_file .*expired on 2020-01-02/, /generate-redis-certs/)),
      )
      // A month before the end of what the script makes.
      const soon = { now: () => Date.now(), monotonic: () => performance.now(), wait: async () => undefined }
      const until = /valid until (\S+)/.exec(good.of('certificates')[0]?.finding ?? '')?.[1] ?? ''
      soon.now = () => Date.parse(until) - 10 * 86_400_000
      const env = { REDIS_URL: server.url, WEIR_DATA_DIR: directory, ...files(certificates.client) }
      const { json } = await run(['doctor', '--json'], { env, clock: soon })
      const { findings } = json() as Report
      expect(findings).toContainEqual(
        expect.objectContaining(bad('warn', /tls_cert_file .*expires on .* in (9|10) days/, /renew/)),
      )
    })
  })

  it("the server's, although it keeps us out", async () => {
    await withTlsRedis(async ({ server, certificates, client }) => {
      const redisOverTls = client()
      const show = ({ certFile, keyFile }: { certFile: string; keyFile: string }) =>
        redisOverTls.call('CONFIG', 'SET', 'tls-cert-file', certFile, 'tls-key-file', keyFile)
      await show(certificates.expired)
      const { of } = await doctor({ REDIS_URL: server.url, ...files(certificates.client) })
      expect(of('redis')).toMatchObject([bad('fail', /server's certificate has expired/, /./)])
      expect(of('certificates')).toContainEqual(
        expect.objectContaining(bad('fail', /^Redis at \S+: expired on 2020-01-02$/, /renew/)),
      )
      // The bracket connects once more.
      await show(certificates.server)
    })
  })
})
