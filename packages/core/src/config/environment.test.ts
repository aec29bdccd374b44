import { describe, expect, it } from 'vitest'
import { isFault } from '../faults.ts'
import { type LoadInput, loadConfig } from './load.ts'

const load = (input: Partial<LoadInput> = {}) => loadConfig({ env: {}, cores: 4, ...input })

async function problemsOf(input: Partial<LoadInput>): Promise<string> {
  const error: unknown = await load(input).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!isFault(error, 'CONFIG_INVALID')) throw new Error('it was accepted', { cause: error })
  return error.message
}

/** Every variable of the guide, of its companions, and of `start`, with a value and where it must arrive. */
const VARIABLES: readonly (readonly [name: string, value: string, path: string, read: unknown])[] = [
  ['PORT', '1', 'webhook.ingest.port', 1],
  ['OPS_PORT', '0', 'webhook.ops.port', 0],
  ['OPS_TOKEN', 't', 'webhook.ops.token', 't'],
  ['WEIR_DATA_DIR', '/data', 'webhook.data_dir', '/data'],
  ['REDIS_URL', 'redis://r:1/2', 'webhook.redis.url', 'redis://r:1/2'],
  ['REDIS_ADDRESSES', 'a:1, b:2', 'webhook.redis.addresses', ['a:1', 'b:2']],
  ['REDIS_SENTINEL_ENABLED', 'no', 'webhook.redis.sentinel_enabled', false],
  ['REDIS_CLUSTER_ENABLED', 'FALSE', 'webhook.redis.cluster_enabled', false],
  ['REDIS_PARTITIONS', '1', 'webhook.redis.partitions', 1],
  ['REDIS_MASTER_NAME', 'm', 'webhook.redis.master_name', 'm'],
  ['REDIS_PASSWORD', '0123', 'webhook.redis.password', '0123'],
  ['REDIS_SENTINEL_PASSWORD', 'p', 'webhook.redis.sentinel_password', 'p'],
  ['REDIS_TLS_ENABLED', '0', 'webhook.redis.tls_enabled', false],
  ['REDIS_TLS_CERT_FILE', 'c', 'webhook.redis.tls_cert_file', 'c'],
  ['REDIS_TLS_KEY_FILE', 'k', 'webhook.redis.tls_key_file', 'k'],
  ['REDIS_TLS_CA_FILE', 'a', 'webhook.redis.tls_ca_file', 'a'],
  ['REDIS_DURABILITY', 'replica', 'webhook.redis.durability', 'replica'],
  ['REDIS_REPLICAS', '2', 'webhook.redis.replicas', 2],
  ['REDIS_REPLICA_TIMEOUT', '500ms', 'webhook.redis.replica_timeout', 500],
  ['WEBHOOK_SIGNATURE_VERIFICATION', 'false', 'webhook.security.enable_signature_verification', false],
  ['WEBHOOK_RATE_LIMITING', 'off', 'webhook.security.enable_rate_limiting', false],
  ['WEBHOOK_ENCRYPTION_ENABLED', 'false', 'webhook.security.encryption_enabled', false],
  [
    'ENCRYPTION_PREVIOUS_MASTER_KEYS',
    'p'.repeat(32),
    'webhook.security.encryption_previous_master_keys',
    ['p'.repeat(32)],
  ],
  ['WEBHOOK_KEYRING_DIRECTORY', '/keyring', 'webhook.security.keyring_directory', '/keyring'],
  ['WEBHOOK_KEYRING_URL', 'redis://keyring:1', 'webhook.security.keyring_url', 'redis://keyring:1'],
  ['ENCRYPTION_MASTER_KEY', 'k'.repeat(32), 'webhook.security.encryption_master_key', 'k'.repeat(32)],
  ['RATE_LIMIT_RPM', '100', 'webhook.security.rate_limit_rpm', 100],
  ['GITHUB_WEBHOOK_SECRET', 'a,b', 'webhook.security.signature_secrets.github', ['a,b']],
  ['JIRA_WEBHOOK_SECRET', 's', 'webhook.security.signature_secrets.jira', ['s']],
  ['GITLAB_WEBHOOK_SECRET', 's', 'webhook.security.signature_secrets.gitlab', ['s']],
  ['ALERTMANAGER_WEBHOOK_SECRET', 's', 'webhook.security.signature_secrets.alertmanager', ['s']],
  ['GENERIC_WEBHOOK_SECRET', 's', 'webhook.security.signature_secrets.generic', ['s']],
  ['BITBUCKET_WEBHOOK_SECRET', 's', 'webhook.security.signature_secrets.bitbucket', ['s']],
  ['STRIPE_WEBHOOK_SECRET', 'whsec_s', 'webhook.security.signature_secrets.stripe', ['whsec_s']],
  ['SLACK_WEBHOOK_SECRET', 's', 'webhook.security.signature_secrets.slack', ['s']],
  ['SHOPIFY_WEBHOOK_SECRET', 's', 'webhook.security.signature_secrets.shopify', ['s']],
  ['PAGERDUTY_WEBHOOK_SECRET', 's', 'webhook.security.signature_secrets.pagerduty', ['s']],
  ['STANDARD_WEBHOOK_SECRET', 'whsec_s', 'webhook.security.signature_secrets.standard', ['whsec_s']],
  ['HMAC_SECRET', 's', 'webhook.security.signature_secrets.generic', ['s']],
  ['HMAC_SECRET', 's', 'webhook.security.signature_secrets.alertmanager', ['s']],
  ['AI_EMBEDDING_PROVIDER', 'openai', 'webhook.ai.embedding.provider', 'openai'],
  ['AI_EMBEDDING_MODEL', 'm', 'webhook.ai.embedding.model', 'm'],
  ['AI_SUMMARIZATION_MODEL', 'm', 'webhook.ai.summarization.model', 'm'],
  ['AI_BASE_URL', 'http://a:1/v1', 'webhook.ai.base_url', 'http://a:1/v1'],
  ['OPENAI_API_KEY', 'k', 'webhook.ai.openai_api_key', 'k'],
  ['S3_ENDPOINT', 'http://minio:9000', 'webhook.context_lifecycle.s3.endpoint', 'http://minio:9000'],
  ['S3_BUCKET', 'bucket', 'webhook.context_lifecycle.s3.bucket', 'bucket'],
  ['S3_REGION', 'eu-west-1', 'webhook.context_lifecycle.s3.region', 'eu-west-1'],
  ['CONTEXTS_COLD_DIRECTORY', '/cold', 'webhook.context_lifecycle.cold_directory', '/cold'],
  ['AWS_SESSION_TOKEN', 'a', 'webhook.context_lifecycle.s3.session_token', 'a'],
  ['AWS_ACCESS_KEY_ID', 'a', 'webhook.context_lifecycle.s3.access_key_id', 'a'],
  ['AWS_SECRET_ACCESS_KEY', 'a', 'webhook.context_lifecycle.s3.secret_access_key', 'a'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://o:4318', 'observability.tracing.endpoint', 'http://o:4318'],
  ['OTEL_EXPORTER_OTLP_PROTOCOL', 'http/protobuf', 'observability.tracing.protocol', 'http/protobuf'],
  ['OTEL_SERVICE_NAME', 's', 'observability.tracing.service_name', 's'],
  ['OTEL_TRACES_SAMPLER_ARG', '0.25', 'observability.tracing.sampling_rate', 0.25],
  ['PROMETHEUS_PUSHGATEWAY', 'http://p:9091', 'observability.metrics.push_gateway', 'http://p:9091'],
  ['LOG_LEVEL', 'DEBUG', 'observability.logging.level', 'debug'],
  ['DUAL_WRITE_MODE', 'false', 'webhook.migration.dual_write', false],
  ['WEBHOOK_BACKEND', 'redis', 'webhook.migration.backend', 'redis'],
]

describe('the environment', () => {
  it.each(VARIABLES)('%s=%s sets %s', async (name, value, path, read) => {
    // A certificate and its key come together only, and a provider needs a key.
    const other = {
      REDIS_TLS_CERT_FILE: 'REDIS_TLS_KEY_FILE',
      REDIS_TLS_KEY_FILE: 'REDIS_TLS_CERT_FILE',
      AI_EMBEDDING_PROVIDER: 'OPENAI_API_KEY',
      AI_SUMMARIZATION_MODEL: 'OPENAI_API_KEY',
    }[name]
    const env = { ...(other && { [other]: 'its other half' }), [name]: value }
    const { config, sources } = await load({ env })
    const found = path
      .split('.')
      .reduce<unknown>((node, key) => (node as Record<string, unknown>)[key], config)
    expect(found).toEqual(read)
    expect(sources.get(path)).toEqual({ from: 'environment', variable: name })
  })

  it.each(VARIABLES)('%s is no trouble when it is empty, or is refused', async (name, _value, path) => {
    const env = { [name]: '' }
    const dangerous =
      /_WEBHOOK_SECRET$|^HMAC_SECRET$|^OPS_TOKEN$|^ENCRYPTION_MASTER_KEY$|^REDIS_(SENTINEL_)?PASSWORD$/
    if (dangerous.test(name)) expect(await problemsOf({ env })).toContain(`${path}: ${name} is empty: `)
    else expect((await load({ env })).sources.size).toBe(0)
  })

  it('prefers the secret of a tool to HMAC_SECRET', async () => {
    const { config } = await load({ env: { HMAC_SECRET: 'h', GENERIC_WEBHOOK_SECRET: 'g' } })
    expect(config.webhook.security.signature_secrets).toMatchObject({ generic: ['g'], alertmanager: ['h'] })
  })

  it('knows production by either variable, and refuses a misspelt one', async () => {
    for (const name of ['NODE_ENV', 'WEIR_ENV']) {
      expect((await load({ env: { [name]: 'production', OPS_TOKEN: 't' } })).config.production).toBe(true)
      expect((await load({ env: { [name]: 'test' } })).config.production).toBe(false)
    }
    expect(await problemsOf({ env: { WEIR_ENV: 'prod' } })).toContain(
      'WEIR_ENV: found "prod"; allowed: production',
    )
    expect((await load({ env: { NODE_ENV: 'staging' } })).config.production).toBe(false)
  })

  it('gets notices for what was probably meant for it', async () => {
    const env = {
      REDIS_ADRESSES: 'a:1',
      GITHUB_WEBHOOKS_SECRET: 'x',
      TWILIO_WEBHOOK_SECRET: 'x',
      REDIS_PORT: 'tcp://10.0.0.1:6379',
      PATH: '/bin',
      OPS_HOST: 'x',
      CONFIG_FIL: '',
    }
    expect((await load({ env })).notices).toEqual([
      'GITHUB_WEBHOOKS_SECRET: not a variable of Weir, and ignored. Did you mean GITHUB_WEBHOOK_SECRET?',
      'REDIS_ADRESSES: not a variable of Weir, and ignored. Did you mean REDIS_ADDRESSES?',
      'TWILIO_WEBHOOK_SECRET: ignored, as there is no such tool in this version',
    ])
  })
})
