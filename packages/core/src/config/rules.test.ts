import { describe, expect, it } from 'vitest'
import { isFault } from '../faults.ts'
import { type LoadInput, loadConfig } from './load.ts'
import { REFUSED } from './not-yet.ts'
import { TIMED_TOOLS, TOOLS } from './tools.ts'

const load = (input: Partial<LoadInput> = {}) => loadConfig({ env: {}, cores: 1, ...input })

async function problemsOf(input: Partial<LoadInput>): Promise<string[]> {
  const error: unknown = await load(input).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!isFault(error, 'CONFIG_INVALID')) throw new Error('it was accepted', { cause: error })
  return error.message
    .split('\n')
    .slice(1)
    .map((line) => line.replace(/^ {2}- /, ''))
}

describe('fields that must fit together', () => {
  it.each([
    [
      { 'observability.tracing.enabled': true },
      'observability.tracing.endpoint: traces are switched on (observability.tracing.enabled), and nothing says where they go; set it, e.g. OTEL_EXPORTER_OTLP_ENDPOINT=http://otel-collector:4318, or switch them off',
    ],
    [
      { 'webhook.consumer.handler_timeout': '60s' },
      'webhook.consumer.reclaim_idle: found 1m; allowed: longer than webhook.consumer.handler_timeout (1m)',
    ],
    [
      { 'webhook.consumer.retry_max_delay': '500ms' },
      'webhook.consumer.retry_max_delay (flag): found 500ms; allowed: at least webhook.consumer.retry_base_delay (1s)',
    ],
    [
      { 'webhook.context_lifecycle.s3.retry_base_delay': '11s' },
      'webhook.context_lifecycle.s3.retry_max_delay: found 10s; allowed: at least webhook.context_lifecycle.s3.retry_base_delay (11s)',
    ],
    [
      {
        'webhook.context_lifecycle.s3.bucket': 'bucket',
        'webhook.context_lifecycle.s3.secret_access_key': 'a',
      },
      'webhook.context_lifecycle.s3.secret_access_key (flag): an access key and its secret belong together; set webhook.context_lifecycle.s3.access_key_id too, or neither',
    ],
    [
      { 'webhook.consumer.dead_consumer_after': '5s' },
      'found 5s; allowed: at least three times webhook.consumer.heartbeat_interval (2s)',
    ],
    [
      { 'webhook.redis.stream': 'x', 'webhook.consumer.dead_letter_stream': 'x' },
      'webhook.consumer.dead_letter_stream (flag): found "x", which is webhook.redis.stream',
    ],
    [
      {
        'webhook.deduplication.window_configs.github.duration': '1m',
        'webhook.deduplication.refresh_interval': '31s',
      },
      'webhook.deduplication.refresh_interval (flag): found 31s; allowed: at most half of the shortest window (1m)',
    ],
    [
      { 'webhook.ingest.spool.max_bytes': '8MiB' },
      'webhook.ingest.spool.segment_bytes: found 16MiB; allowed: at most webhook.ingest.spool.max_bytes (8MiB)',
    ],
  ])('%j: %s', async (flags, sentence) => {
    const [line, ...more] = await problemsOf({ flags })
    expect(more).toEqual([])
    expect(line).toContain(sentence)
  })

  it('fit at their limits', async () => {
    const flags = {
      'webhook.consumer.handler_timeout': '59999ms',
      'webhook.consumer.retry_max_delay': '1s',
      'webhook.consumer.dead_consumer_after': '6s',
      'webhook.security.timestamp_tolerance': '5m',
      'webhook.deduplication.window_configs.github.duration': '1m',
      'webhook.deduplication.refresh_interval': '30s',
      'webhook.ingest.spool.max_bytes': '64MiB',
    }
    await expect(load({ flags })).resolves.toBeDefined()
  })

  it('are not judged by a value that is wrong by itself', async () => {
    const lines = await problemsOf({
      flags: { 'webhook.consumer.handler_timeout': 'long', 'webhook.consumer.reclaim_idle': '1s' },
    })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('webhook.consumer.handler_timeout (flag): found "long"')
  })

  it('have defaults that follow each other', async () => {
    const flags = {
      'webhook.deduplication.window_configs.default.duration': '2m',
      'webhook.deduplication.window_configs.alertmanager.max_size': 7,
      'webhook.data_dir': '/data',
    }
    const { deduplication, ingest } = (await load({ flags })).config.webhook
    expect(deduplication.window_configs.bitbucket).toEqual({ duration: 120_000, max_size: 1 })
    expect(deduplication.window_configs.alertmanager).toEqual({ duration: 120_000, max_size: 7 })
    expect(deduplication.window_configs.github.duration).toBe(300_000)
    expect(deduplication.refresh_interval).toBe(30_000)
    expect(ingest.spool.directory).toBe('/data/spool')
    const spool = await load({ flags: { ...flags, 'webhook.ingest.spool.directory': '/spool' } })
    expect(spool.config.webhook.ingest.spool.directory).toBe('/spool')
  })
})

describe('the windows of tools that sign a time', () => {
  const windowsOf = async (flags: Record<string, unknown>) => {
    const { window_configs: windows } = (await load({ flags })).config.webhook.deduplication
    return Object.fromEntries(TIMED_TOOLS.map((tool) => [tool, windows[tool].duration]))
  }
  const all = (ms: number) => Object.fromEntries(TIMED_TOOLS.map((tool) => [tool, ms]))

  it('last as long as a captured request stays valid, whatever the tolerance, and never less than others', async () => {
    expect(await windowsOf({})).toEqual(all(600_000))
    expect(await windowsOf({ 'webhook.security.timestamp_tolerance': '8m' })).toEqual(all(960_000))
    expect(await windowsOf({ 'webhook.security.timestamp_tolerance': '10s' })).toEqual(all(300_000))
    expect(await windowsOf({ 'webhook.deduplication.window_configs.default.duration': '1h' })).toEqual(
      all(3_600_000),
    )
  })

  it.each(TIMED_TOOLS)('must not be set shorter than that for %s', async (tool) => {
    const path = `webhook.deduplication.window_configs.${tool}.duration`
    expect(
      await problemsOf({ flags: { 'webhook.security.timestamp_tolerance': '301s', [path]: '10m' } }),
    ).toEqual([
      `${path} (flag): found 10m; allowed: at least twice webhook.security.timestamp_tolerance (2 × 301s), as long as a captured request stays valid`,
    ])
  })

  it('keep to what is set for one', async () => {
    expect(await windowsOf({ 'webhook.deduplication.window_configs.slack.duration': '20m' })).toEqual({
      ...all(600_000),
      slack: 1_200_000,
    })
  })
})

describe('production', () => {
  const env = { NODE_ENV: 'production', OPS_TOKEN: 'token' }
  const none = 'webhook:\n  tools:\n    jira:\n      signature: none\n'

  it('wants a token for operators', async () => {
    expect(await problemsOf({ env: { WEIR_ENV: 'production' } })).toEqual([
      'webhook.ops.token: production does not run without a token for operators; set OPS_TOKEN',
    ])
    await expect(load({ env })).resolves.toBeDefined()
    await expect(load()).resolves.toBeDefined()
  })

  it('wants signatures to be verified', async () => {
    const unverified = { WEBHOOK_SIGNATURE_VERIFICATION: 'false' }
    expect(await problemsOf({ env: { ...env, ...unverified } })).toEqual([
      'webhook.security.enable_signature_verification (WEBHOOK_SIGNATURE_VERIFICATION): production does not believe unsigned requests; set it to true or leave it unset',
    ])
    expect((await load({ env: unverified })).notices).toEqual([
      expect.stringContaining('every request is believed'),
    ])
  })

  it.each(TOOLS)('wants a secret for %s when it is configured', async (tool) => {
    const variable = `${tool.toUpperCase()}_WEBHOOK_SECRET`
    const text = `webhook:\n  tools:\n    ${tool}:\n      content_encodings: [gzip]\n`
    expect(await problemsOf({ text, env })).toEqual([
      `webhook.tools.${tool} (config.yaml:3): ${tool} is configured and enabled, but has no secret; set ${variable}, or webhook.tools.${tool}.enabled: false`,
    ])
    await expect(load({ text, env: { ...env, [variable]: 's' } })).resolves.toBeDefined()
    await expect(load({ text: `${text}      enabled: false\n`, env })).resolves.toBeDefined()
    await expect(load({ text })).resolves.toBeDefined()
  })

  it('believes unsigned requests only where the file says so', async () => {
    const { notices } = await load({ text: none, env })
    expect(notices).toEqual([
      'webhook.tools.jira.signature: none, so unsigned requests are accepted, from loopback only',
    ])
    const flags = { 'webhook.tools.jira.signature': 'none' }
    expect(await problemsOf({ env, flags })).toEqual([
      'webhook.tools.jira.signature (flag): production takes signature: none from the configuration file only; write it there or leave it out',
    ])
    await expect(load({ flags })).resolves.toBeDefined()
  })
})

describe('encryption', () => {
  const enabled = { 'webhook.security.encryption_enabled': true }
  const master = { 'webhook.security.encryption_master_key': 'k'.repeat(32) }
  const production = { NODE_ENV: 'production', OPS_TOKEN: 'token' }

  it('needs a master key, which production does not make', async () => {
    const flags = { ...enabled, 'webhook.security.keyring_directory': '/keyring' }
    expect(await problemsOf({ flags, env: production })).toEqual([
      expect.stringMatching(
        /^webhook\.security\.encryption_master_key.*: production makes no master key; set ENCRYPTION_MASTER_KEY/,
      ),
    ])
    await expect(load({ flags: { ...flags, ...master }, env: production })).resolves.toBeDefined()
    await expect(load({ flags: enabled })).resolves.toBeDefined()
    await expect(load({ flags: master, env: production })).resolves.toBeDefined()
  })

  it('has its keyring in one place, which production wants to be chosen', async () => {
    const directory = { 'webhook.security.keyring_directory': '/keyring' }
    const url = { 'webhook.security.keyring_url': 'rediss://keyring' }
    const flags = { ...enabled, ...master }
    expect(await problemsOf({ flags: { ...flags, ...directory, ...url } })).toEqual([
      expect.stringContaining('set webhook.security.keyring_url or keyring_directory, not both'),
    ])
    expect(await problemsOf({ flags, env: production })).toEqual([
      expect.stringContaining('set WEBHOOK_KEYRING_URL or WEBHOOK_KEYRING_DIRECTORY'),
    ])
    for (const place of [directory, url])
      await expect(load({ flags: { ...flags, ...place }, env: production })).resolves.toBeDefined()
  })

  it('takes several previous master keys, none of them short', async () => {
    const previous = (value: unknown) => ({ 'webhook.security.encryption_previous_master_keys': value })
    const two = ['a'.repeat(32), 'b'.repeat(40)]
    const { config } = await load({ flags: previous(two) })
    expect(config.webhook.security.encryption_previous_master_keys).toEqual(two)
    expect(await problemsOf({ flags: previous(['a'.repeat(32), 'short']) })).toEqual([
      expect.stringContaining('allowed: text of at least 32 characters that is not empty, or a list'),
    ])
  })
})

describe('the provider of embeddings and summaries', () => {
  const enabled = { 'webhook.ai.enabled': true }
  const openai = { ...enabled, 'webhook.ai.embedding.provider': 'openai' }
  const key = { 'webhook.ai.openai_api_key': 'sk-1' }
  const unknown = { ...openai, ...key, 'webhook.ai.embedding.model': 'nomic-embed-text' }

  it('has a key, unless it is a service that wants none', async () => {
    expect(await problemsOf({ flags: openai })).toEqual([
      'webhook.ai.openai_api_key: none given, and webhook.ai.embedding.provider: openai asks OpenAI, which wants one; set OPENAI_API_KEY, or webhook.ai.base_url for a service that wants none',
    ])
    expect(await problemsOf({ flags: { ...enabled, 'webhook.ai.summarization.model': 'gpt-4o' } })).toEqual([
      expect.stringContaining('none given, and webhook.ai.summarization.model: gpt-4o asks OpenAI'),
    ])
    for (const more of [key, { 'webhook.ai.base_url': 'http://127.0.0.1:11434/v1' }])
      await expect(load({ flags: { ...openai, ...more } })).resolves.toBeDefined()
    await expect(load({ flags: enabled })).resolves.toBeDefined()
    await expect(load({ flags: { ...openai, 'webhook.ai.enabled': false } })).resolves.toBeDefined()
  })

  it.each([
    [
      { 'webhook.ai.embedding.dimensions': 1537 },
      'allowed with text-embedding-3-small: at most 1536, or null',
    ],
    [
      { 'webhook.ai.embedding.dimensions': 256, 'webhook.ai.embedding.model': 'text-embedding-ada-002' },
      'allowed with text-embedding-ada-002: 1536, or null',
    ],
    [unknown, 'allowed: how long the vectors of nomic-embed-text are, which is not known here'],
  ])('has vectors as long as its model has them: %j', async (flags, says) => {
    const [problem, ...more] = await problemsOf({ flags: { ...openai, ...key, ...flags } })
    expect(more).toEqual([])
    expect(problem).toMatch(/^webhook\.ai\.embedding\.dimensions/)
    expect(problem).toContain(says)
  })

  it.each([
    { 'webhook.ai.embedding.dimensions': 1536 },
    { 'webhook.ai.embedding.dimensions': 512 },
    {
      'webhook.ai.embedding.model': 'openai/text-embedding-3-large',
      'webhook.ai.embedding.dimensions': 3072,
    },
    { ...unknown, 'webhook.ai.embedding.dimensions': 768 },
    { 'webhook.ai.embedding.provider': 'local', 'webhook.ai.embedding.dimensions': 4096 },
  ])('is accepted with %j', async (flags) => {
    await expect(load({ flags: { ...openai, ...key, ...flags } })).resolves.toBeDefined()
  })

  it('has no password in its URL', async () => {
    const [problem, ...more] = await problemsOf({
      flags: { 'webhook.ai.base_url': 'https://me:hidden@ai.example/v1' },
    })
    expect(more).toEqual([])
    expect(problem).toContain('webhook.ai.base_url (flag): has a user or a password')
    expect(problem).not.toContain('hidden')
  })

  it('has pauses that follow each other', async () => {
    expect(await problemsOf({ flags: { 'webhook.ai.retry_max_delay': '499ms' } })).toEqual([
      'webhook.ai.retry_max_delay (flag): found 499ms; allowed: at least webhook.ai.retry_base_delay (500ms)',
    ])
  })
})

describe('what does not exist yet', () => {
  it.each([
    ['webhook.migration.backend', 'sqs', 'WEBHOOK_BACKEND', 'sqs'],
    ['webhook.migration.dual_write', true, 'DUAL_WRITE_MODE', 'true'],
    [
      'webhook.migration.sqs_queue_url',
      'https://q',
      'SQS_QUEUE_URL',
      'https://sqs.eu-west-1.amazonaws.com/1/q',
    ],
  ])('is refused with what brings it: %s: %s', async (path, value, variable?: string, text?: string) => {
    const row = REFUSED.find((candidate) => candidate.path === path)
    const sentence = `${row?.comes}; ${row?.until}`
    expect(sentence).toMatch(/ comes with the [^;]+; (leave it unset)/)
    expect(await problemsOf({ flags: { [path]: value } })).toEqual([`${path} (flag): ${sentence}`])
    if (variable === undefined) return
    expect(await problemsOf({ env: { [variable]: text } })).toEqual([`${path} (${variable}): ${sentence}`])
  })

  it('is all in the table that this test went through', () => {
    expect(REFUSED.map(({ path }) => path)).toHaveLength(3)
  })
})

describe('notices', () => {
  it('say what has no effect in this runtime', async () => {
    expect((await load({ flags: { 'webhook.redis.pool_size': 100 } })).notices).toEqual([
      'webhook.redis.pool_size: accepted, no effect in this runtime (commands share one connection for each role)',
    ])
  })

  it('warn of white space around a secret, without telling it', async () => {
    const { notices } = await load({ env: { GITHUB_WEBHOOK_SECRET: 'hunter2\n' } })
    expect(notices).toEqual([
      'webhook.security.signature_secrets.github: white space at its beginning or end counts as part of it',
    ])
  })
})

describe('the topology of Redis', () => {
  const sentinels = { 'webhook.redis.sentinel_enabled': true, 'webhook.redis.addresses': 's1:26379,s2:26379' }

  it('is complete with what each needs', async () => {
    await load({ flags: { ...sentinels, 'webhook.redis.master_name': 'm' } })
    await load({ flags: { 'webhook.redis.cluster_enabled': true, 'webhook.redis.addresses': 'n1,n2' } })
    await load({ flags: { 'webhook.redis.url': 'rediss://r:6380' } })
  })

  it.each<[Record<string, unknown>, string, string]>([
    [
      { 'webhook.redis.sentinel_enabled': true, 'webhook.redis.master_name': 'm' },
      'addresses',
      'REDIS_ADDRESSES',
    ],
    [{ 'webhook.redis.cluster_enabled': true }, 'addresses', 'REDIS_ADDRESSES'],
    [sentinels, 'master_name', 'REDIS_MASTER_NAME'],
    [
      { ...sentinels, 'webhook.redis.master_name': 'm', 'webhook.redis.cluster_enabled': true },
      'cluster_enabled',
      'either',
    ],
    [{ 'webhook.redis.partitions': 2 }, 'partitions', 'webhook.redis.cluster_enabled'],
    [
      { 'webhook.redis.tls_enabled': true, 'webhook.redis.tls_cert_file': 'c' },
      'tls_key_file',
      'tls_key_file',
    ],
    [
      { 'webhook.redis.tls_enabled': true, 'webhook.redis.tls_key_file': 'k' },
      'tls_key_file',
      'tls_cert_file',
    ],
  ])('that does not fit together is refused with what is missing: %j', async (flags, key, says) => {
    const [problem, ...more] = await problemsOf({ flags })
    expect(more).toEqual([])
    expect(problem).toContain(`webhook.redis.${key}`)
    expect(problem).toContain(says)
  })

  it('says of TLS files that they do nothing without TLS', async () => {
    const { notices } = await load({ flags: { 'webhook.redis.tls_ca_file': 'ca.pem' } })
    expect(notices.join()).toContain(
      'webhook.redis.tls_ca_file: accepted, no effect while webhook.redis.tls_enabled',
    )
  })
})

describe('durability on replicas', () => {
  const replica = { 'webhook.redis.durability': 'replica' }

  it('waits for one replica, one second, unless told otherwise', async () => {
    const { redis } = (await load({ flags: replica })).config.webhook
    expect(redis).toMatchObject({ durability: 'replica', replicas: 1, replica_timeout: 1_000 })
    expect((await problemsOf({ flags: { ...replica, 'webhook.redis.replicas': 0 } })).join()).toContain(
      'webhook.redis.replicas (flag): found 0',
    )
  })

  it('is given up before the command is, so that late replicas do not look like a silent server', async () => {
    const times = { 'webhook.redis.replica_timeout': '500ms', 'webhook.redis.command_timeout': '500ms' }
    expect(await problemsOf({ flags: { ...replica, ...times } })).toEqual([
      'webhook.redis.replica_timeout (flag): found 500ms; allowed: shorter than webhook.redis.command_timeout (500ms), or replicas that are late would look like a Redis that is silent',
    ])
    await load({ flags: { ...replica, ...times, 'webhook.redis.command_timeout': '501ms' } })
    await load({ flags: { 'webhook.redis.command_timeout': '100ms' } })
  })

  it('says of its numbers that they do nothing without it', async () => {
    expect((await load({ env: { REDIS_REPLICAS: '2' } })).notices).toEqual([
      'webhook.redis.replicas: accepted, no effect while webhook.redis.durability is local',
    ])
    expect((await load({ env: { REDIS_REPLICAS: '2', REDIS_DURABILITY: 'replica' } })).notices).toEqual([])
  })
})
