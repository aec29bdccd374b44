import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { isFault } from '../faults.ts'
import { type LoadInput, loadConfig } from './load.ts'

const GUIDE = new URL('./testdata/guide.config.yaml', import.meta.url)
const SHIPPED = new URL('../../../../config.yaml', import.meta.url)

/** The environment of the deployment guide, as a shell would have it. */
const GUIDE_ENV = {
  REDIS_NODE1: 'redis-node1:6379',
  REDIS_NODE2: 'redis-node2:6379',
  REDIS_NODE3: 'redis-node3:6379',
  REDIS_ADDRESSES: 'redis-node1:6379,redis-node2:6379,redis-node3:6379',
  REDIS_SENTINEL_ENABLED: 'true',
  REDIS_MASTER_NAME: 'webhook-master',
  REDIS_PASSWORD: 'correct horse',
  REDIS_TLS_ENABLED: 'true',
  REDIS_TLS_CERT_FILE: '/etc/redis/certs/client.crt',
  REDIS_TLS_KEY_FILE: '/etc/redis/certs/client.key',
  REDIS_TLS_CA_FILE: '/etc/redis/certs/ca.crt',
  WEBHOOK_SIGNATURE_VERIFICATION: 'true',
  WEBHOOK_RATE_LIMITING: 'true',
  WEBHOOK_ENCRYPTION_ENABLED: 'true',
  ENCRYPTION_MASTER_KEY: 'm'.repeat(32),
  AI_EMBEDDING_PROVIDER: 'openai',
  AI_EMBEDDING_MODEL: 'text-embedding-3-small',
  AI_SUMMARIZATION_MODEL: 'gpt-4-turbo',
  OPENAI_API_KEY: 'sk-1',
  S3_ENDPOINT: 'https://s3.amazonaws.com',
  S3_BUCKET: 'devops-mcp-webhook-contexts',
  S3_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'AKIA',
  AWS_SECRET_ACCESS_KEY: 'aws-secret',
  OTEL_EXPORTER_OTLP_ENDPOINT: 'http://otel-collector:4317',
  OTEL_SERVICE_NAME: 'webhook-processor',
  OTEL_TRACES_SAMPLER_ARG: '0.1',
  PROMETHEUS_PUSHGATEWAY: 'http://prometheus-pushgateway:9091',
}

/** Loads with an empty environment, unless one is given. */
function load(input: Partial<LoadInput> = {}) {
  return loadConfig({ env: {}, cores: 4, ...input })
}

async function problemsOf(input: Partial<LoadInput>): Promise<string> {
  const error: unknown = await load(input).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!isFault(error, 'CONFIG_INVALID')) throw new Error('it was accepted', { cause: error })
  return error.message
}

describe('an empty configuration', () => {
  it('is whole, and the same as no file', async () => {
    const { config, notices, sources, privateRedis, file } = await load()
    expect(config.webhook.redis.url).toBe('redis://127.0.0.1:6379')
    expect(config.webhook.ingest.port).toBe(8080)
    expect(config.webhook.ingest.admission_budget).toBe(1500)
    expect(config.webhook.ingest.spool.directory).toBe('.weir/spool')
    expect(config.webhook.deduplication.window_configs.github).toEqual({ duration: 300_000, max_size: 1 })
    expect(config.webhook.deduplication.window_configs.jira).toEqual({ duration: 600_000, max_size: 3 })
    for (const tool of ['alertmanager', 'bitbucket', 'shopify', 'pagerduty'] as const) {
      expect(config.webhook.deduplication.window_configs[tool]).toEqual({ duration: 300_000, max_size: 1 })
    }
    for (const tool of ['gitlab', 'generic', 'stripe', 'slack', 'standard'] as const) {
      expect(config.webhook.deduplication.window_configs[tool]).toEqual({ duration: 600_000, max_size: 1 })
    }
    expect(config.webhook.deduplication.refresh_interval).toBe(75_000)
    expect(config.webhook.security.signature_secrets.github).toBeNull()
    expect(config.webhook.consumer.num_workers).toBe(10)
    expect(config.production).toBe(false)
    expect(config.observability.metrics.open).toBe(true)
    expect({ notices, sources: sources.size, privateRedis, file }).toEqual({
      notices: [],
      sources: 0,
      privateRedis: true,
      file: undefined,
    })
    for (const text of [
      '',
      '# nothing\n',
      '{}',
      'webhook:\nobservability:\n',
      'webhook:\n  redis:\n    # url: x\n',
    ]) {
      expect((await load({ text })).config).toEqual(config)
    }
  })
})

describe('the shipped config.yaml', () => {
  it('loads with an empty environment, says only defaults, and leaves Redis to start', async () => {
    const { config, notices, privateRedis } = await load({ text: await readFile(SHIPPED, 'utf8') })
    expect(config).toEqual((await load()).config)
    expect(notices).toEqual([])
    expect(privateRedis).toBe(true)
  })

  it('loads in production with a token alone', async () => {
    const env = { NODE_ENV: 'production', OPS_TOKEN: 'token' }
    const { config } = await load({ text: await readFile(SHIPPED, 'utf8'), env })
    expect(config.production).toBe(true)
    expect(config.observability.metrics.open).toBe(false)
    expect(config.webhook.ops.host).toBe('0.0.0.0')
  })
})

describe("the guide's config.yaml with its environment", () => {
  const off = {
    REDIS_SENTINEL_ENABLED: 'false',
    REDIS_TLS_ENABLED: 'false',
  }

  it('is accepted, each key and number, with Sentinels and TLS switched off, for which there are no files', async () => {
    const env = { ...GUIDE_ENV, ...off }
    const { config, notices, privateRedis } = await load({ text: await readFile(GUIDE, 'utf8'), env })
    expect(privateRedis).toBe(false)
    expect(config.webhook.redis).toMatchObject({
      url: 'redis://redis-node1:6379',
      addresses: ['redis-node1:6379', 'redis-node2:6379', 'redis-node3:6379'],
      master_name: 'webhook-master',
      password: 'correct horse',
      pool_size: 100,
      min_idle_conns: 10,
      max_conn_age: 3_600_000,
      tls_cert_file: '/etc/redis/certs/client.crt',
    })
    expect(config.webhook.consumer).toMatchObject({
      consumer_group: 'webhook-processors',
      num_workers: 10,
      batch_size: 100,
      block_timeout: 5_000,
      max_retries: 3,
      dead_letter_stream: 'webhook-events-dlq',
    })
    expect(config.webhook.deduplication).toMatchObject({
      window_configs: {
        github: { duration: 300_000, max_size: 1 },
        jira: { duration: 600_000, max_size: 3 },
      },
      bloom_filter_size: 10_000_000,
      bloom_filter_hash_funcs: 4,
    })
    expect(config.webhook.context_lifecycle).toEqual({
      enabled: true,
      hot_duration: 1_800_000,
      warm_duration: 86_400_000,
      hot_importance_threshold: 0.8,
      warm_importance_threshold: 0.5,
      compression_type: 'zstd',
      compression_level: 6,
      access_threshold: 10,
      segment_size: 4_000_000,
      max_appends: 100,
      promote_size: 8_000_000,
      cold_read_timeout: 5_000,
      curator: {
        interval: 10_000,
        size_interval: 60_000,
        batch_size: 50,
        concurrency: 16,
        ops_port: 8083,
        shutdown_timeout: 25_000,
      },
      cold_directory: null,
      s3: {
        endpoint: 'https://s3.amazonaws.com',
        bucket: 'devops-mcp-webhook-contexts',
        region: 'us-east-1',
        access_key_id: 'AKIA',
        secret_access_key: 'aws-secret',
        session_token: null,
        attempt_timeout: 15_000,
        attempts: 4,
        retry_base_delay: 200,
        retry_max_delay: 10_000,
        breaker: { failure_threshold: 5, open_duration: 30_000 },
        concurrency: 16,
      },
    })
    expect(config.webhook.security).toMatchObject({
      enable_signature_verification: true,
      signature_header: 'x-webhook-signature',
      timestamp_tolerance: 300_000,
      enable_rate_limiting: true,
      global_rate_limit: 10_000,
      per_tool_rate_limits: { github: 5000, jira: 2000 },
      max_payload_size: 10_485_760,
      enable_audit_logging: true,
    })
    expect(config.webhook.ai).toMatchObject({
      openai_api_key: 'sk-1',
      embedding: {
        provider: 'openai',
        model: 'text-embedding-3-small',
        dimensions: 1536,
        batch_size: 100,
        cache_duration: 86_400_000,
      },
      summarization: { model: 'gpt-4-turbo', max_chunk_size: 4000, cache_duration: 604_800_000 },
      prewarming: {
        enabled: true,
        max_predictions: 10,
        confidence_threshold: 0.7,
        lookback_window: 900_000,
        history_window: 1_209_600_000,
        memory_limit: 64_000_000,
      },
    })
    expect(config.observability).toEqual({
      metrics: {
        enabled: true,
        type: 'prometheus',
        open: true,
        push_gateway: 'http://prometheus-pushgateway:9091',
        push_interval: 30_000,
      },
      tracing: {
        enabled: true,
        endpoint: 'http://otel-collector:4317',
        protocol: 'auto',
        service_name: 'webhook-processor',
        sampling_rate: 0.1,
        batch_delay: 5000,
        incoming: 'link',
      },
      logging: { level: 'info', format: 'json' },
    })
    for (const path of ['webhook.redis.pool_size', 'webhook.redis.max_conn_age']) {
      expect(notices.filter((notice) => notice.startsWith(`${path}: accepted`))).toHaveLength(1)
    }
    expect(notices.join('\n')).toContain('only the first of 3 addresses is used')
  })

  it('is accepted as it stands', async () => {
    const { config } = await load({ text: await readFile(GUIDE, 'utf8'), env: GUIDE_ENV })
    expect(config.webhook.redis).toMatchObject({ sentinel_enabled: true, tls_enabled: true })
    expect(config.webhook.security).toMatchObject({ encryption_enabled: true })
  })

  it('understands its tuning advice', async () => {
    const text = 'webhook:\n  consumer:\n    num_workers: ${CORES * 3}\n    prefetch_count: 1000\n'
    expect((await load({ text })).config.webhook.consumer).toMatchObject({
      num_workers: 12,
      prefetch_count: 1000,
    })
    const auto = 'webhook:\n  consumer:\n    num_workers: auto\n'
    expect((await load({ text: auto })).config.webhook.consumer.num_workers).toBe(12)
    // The guide writes the block without its root.
    expect(await problemsOf({ text: 'consumer:\n  batch_size: 100\n' })).toContain(
      'consumer (config.yaml:1): unknown key. Did you mean webhook.consumer?',
    )
  })
})

describe('precedence', () => {
  const text = 'webhook:\n  ingest:\n    port: 1\n'

  it('is flag, environment, file, default', async () => {
    const flags = { 'webhook.ingest.port': '3' }
    const portOf = async (input: Partial<LoadInput>) => (await load(input)).config.webhook.ingest.port
    expect(await portOf({})).toBe(8080)
    expect(await portOf({ text })).toBe(1)
    expect(await portOf({ text, env: { PORT: '2' } })).toBe(2)
    expect(await portOf({ text, env: { PORT: '2' }, flags })).toBe(3)
    expect(await portOf({ text, env: { PORT: '2' }, flags: { 'webhook.ingest.port': undefined } })).toBe(2)
    expect(await portOf({ text, env: { PORT: '' } })).toBe(1)
  })

  it('is told for each field', async () => {
    const { sources } = await load({
      text: `${text}    host: ::1\n`,
      env: { OPS_PORT: '2' },
      flags: { 'webhook.consumer.ops_port': null },
    })
    expect(Object.fromEntries(sources)).toEqual({
      'webhook.ingest.port': { from: 'file', file: 'config.yaml', line: 3 },
      'webhook.ingest.host': { from: 'file', file: 'config.yaml', line: 4 },
      'webhook.ops.port': { from: 'environment', variable: 'OPS_PORT' },
      'webhook.consumer.ops_port': { from: 'flag' },
    })
  })

  it('lets a stronger layer replace what is wrong in a weaker one', async () => {
    const wrong = 'webhook:\n  redis:\n    url: ${NOWHERE}\n    partitions: seven\n'
    const { config } = await load({
      text: wrong,
      env: { REDIS_URL: 'redis://r:1' },
      flags: { 'webhook.redis.partitions': 1 },
    })
    expect(config.webhook.redis.url).toBe('redis://r:1')
  })

  it('takes whole sections from flags, key by key', async () => {
    const flags = { 'webhook.ingest': { port: 9, spool: { for: 'never-retrying' } } }
    const { config } = await load({ text, flags })
    expect(config.webhook.ingest).toMatchObject({
      port: 9,
      host: '0.0.0.0',
      spool: { for: 'never-retrying' },
    })
  })
})

describe('the file', () => {
  const at = (name: string) => new URL(`./testdata/${name}`, import.meta.url).pathname

  it('is the named one, else that of CONFIG_FILE, else the default where it exists', async () => {
    const env = {
      ...GUIDE_ENV,
      REDIS_SENTINEL_ENABLED: '',
      REDIS_TLS_ENABLED: '',
      WEBHOOK_ENCRYPTION_ENABLED: '',
    }
    const flags = { 'webhook.redis.sentinel_enabled': false, 'webhook.redis.tls_enabled': false }
    const guide = at('guide.config.yaml')
    expect((await load({ env, flags, file: guide })).file).toBe(guide)
    expect((await load({ env: { ...env, CONFIG_FILE: guide }, flags })).file).toBe(guide)
    expect((await load({ env, flags, defaultFile: guide })).config.webhook.redis.pool_size).toBe(100)
    expect((await load({ defaultFile: at('none.yaml') })).file).toBeUndefined()
    expect((await load({ env: { CONFIG_FILE: '' }, defaultFile: at('none.yaml') })).file).toBeUndefined()
  })

  it('must exist when it was named', async () => {
    const none = at('none.yaml')
    expect(await problemsOf({ file: none })).toContain(`${none}: the configuration file does not exist`)
    expect(await problemsOf({ env: { CONFIG_FILE: none } })).toContain(
      'which CONFIG_FILE names, does not exist',
    )
    expect(await problemsOf({ file: at('.') })).toContain('cannot be read: EISDIR')
  })
})

describe('a variable inside the file that is not set', () => {
  const lineOf = (key: string, value: string) => `webhook:\n  redis:\n    ${key}: ${value}\n`

  it('leaves out a field that may be without a value', async () => {
    const { config, sources } = await load({ text: lineOf('password', '${NOPE}') })
    expect(config.webhook.redis.password).toBeNull()
    expect(sources.size).toBe(0)
    const off = 'webhook:\n  consumer:\n    ops_port: ${NOPE}\n'
    expect((await load({ text: off })).config.webhook.consumer.ops_port).toBe(8082)
    expect(
      (await load({ text: lineOf('master_name', '${NOPE:-}') })).config.webhook.redis.master_name,
    ).toBeNull()
    const env = { NOPE: '' }
    expect(
      (await load({ text: lineOf('master_name', '${NOPE}'), env })).config.webhook.redis.master_name,
    ).toBeNull()
  })

  it('is a problem anywhere else', async () => {
    const sentence = 'the environment variable NOPE is not set; set it, or give a default: ${NOPE:-…}'
    expect(await problemsOf({ text: lineOf('url', '${NOPE}') })).toBe(
      `The configuration has 1 problem:\n  - webhook.redis.url (config.yaml:3): ${sentence}`,
    )
    expect(await problemsOf({ text: lineOf('password', 'x${NOPE}') })).toContain(sentence)
    expect(await problemsOf({ text: lineOf('addresses', '["${NOPE}"]') })).toContain(
      `webhook.redis.addresses[0] (config.yaml:3): ${sentence}`,
    )
  })

  it('never makes an empty secret', async () => {
    const text = 'webhook:\n  security:\n    signature_secrets:\n      github: ${MINE}\n'
    expect(await problemsOf({ text, env: { MINE: '' } })).toContain(
      'webhook.security.signature_secrets.github (config.yaml:4): found a value that is not shown, which is empty',
    )
    expect((await load({ text })).config.webhook.security.signature_secrets.github).toBeNull()
    expect(
      (await load({ text, env: { MINE: 'x' } })).config.webhook.security.signature_secrets.github,
    ).toEqual(['x'])
  })
})

describe('the choice of the Redis server', () => {
  const addresses = 'webhook:\n  redis:\n    addresses: [a:1]\n'
  const both = `${addresses}    url: redis://u:2\n`

  it.each([
    ['nothing', {}, 'redis://127.0.0.1:6379', true],
    ['a url', { env: { REDIS_URL: 'redis://u:2' } }, 'redis://u:2', false],
    ['addresses', { env: { REDIS_ADDRESSES: 'a' } }, 'redis://a', false],
    ['IPv6 addresses', { env: { REDIS_ADDRESSES: '[::1]:7' } }, 'redis://[::1]:7', false],
    ['both on one layer', { text: both }, 'redis://u:2', false],
    ['addresses above a url', { text: both, env: { REDIS_ADDRESSES: 'b:3' } }, 'redis://b:3', false],
    ['a url above addresses', { text: addresses, env: { REDIS_URL: 'redis://u:2' } }, 'redis://u:2', false],
    ['a password alone', { env: { REDIS_PASSWORD: 'x' } }, 'redis://127.0.0.1:6379', false],
    ['an empty list', { text: 'webhook:\n  redis:\n    addresses: []\n' }, 'redis://127.0.0.1:6379', true],
    ['null', { text: 'webhook:\n  redis:\n    password: null\n' }, 'redis://127.0.0.1:6379', true],
  ])('with %s', async (_name, input, url, privateRedis) => {
    const loaded = await load(input)
    expect(loaded.config.webhook.redis.url).toBe(url)
    expect(loaded.privateRedis).toBe(privateRedis)
  })

  it('says when addresses do nothing', async () => {
    expect((await load({ text: both })).notices).toEqual([
      'webhook.redis.addresses: accepted, no effect while webhook.redis.url is set',
    ])
  })
})
