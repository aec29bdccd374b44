/** What no single field can know: how fields must fit together, what production asks for, what is not built yet. */
import { formatDuration } from './duration.ts'
import { embeddingModel } from './embedding-models.ts'
import { REFUSED, WITHOUT_EFFECT } from './not-yet.ts'
import { fieldsOf, type Outline, valueIn } from './outline.ts'
import type { Problem, Source } from './problems.ts'
import type { Config } from './schema.ts'
import { shortestWindow } from './sections/consumer.ts'
import { formatSize } from './size.ts'
import { TIMED_TOOLS, TOOLS, type Tool } from './tools.ts'

/** A parsed configuration with what is known of how it came to be. */
export interface Judged {
  readonly config: Config
  readonly outline: Outline
  /** Where the value at a path was set; undefined = nowhere, it is the default. */
  source(path: string): Source | undefined
  /** Where a reader finds the path: its source, or the line that names it although it sets nothing. */
  place(path: string): Source | undefined
  /** True when this field, or a field below it, was set. */
  isSet(path: string): boolean
  /** True when the value there could not be read, so that nothing can be said about it. */
  isUnread(path: string): boolean
}

interface Rule {
  /** The fields it looks at; the first one is where the problem is reported. */
  readonly about: readonly [string, ...string[]]
  /** What the documentation says about it. */
  readonly says: string
  /** What is wrong, undefined when nothing is. */
  check(judged: Judged): string | undefined
}

const text = formatDuration

/** Fields that must fit together. */
export const FIT: readonly Rule[] = [
  {
    about: ['observability.tracing.endpoint', 'observability.tracing.enabled'],
    says: 'needed when `observability.tracing.enabled` is true',
    check({ config: { observability } }) {
      const { enabled, endpoint } = observability.tracing
      if (!enabled || endpoint !== null) return undefined
      return 'traces are switched on (observability.tracing.enabled), and nothing says where they go; set it, e.g. OTEL_EXPORTER_OTLP_ENDPOINT=http://otel-collector:4318, or switch them off'
    },
  },
  {
    about: ['webhook.consumer.reclaim_idle', 'webhook.consumer.handler_timeout'],
    says: 'longer than `webhook.consumer.handler_timeout`, or events would be taken from consumers that still work on them',
    check({ config: { webhook } }) {
      const { reclaim_idle: idle, handler_timeout: timeout } = webhook.consumer
      if (idle > timeout) return undefined
      return `found ${text(idle)}; allowed: longer than webhook.consumer.handler_timeout (${text(timeout)}), or events would be taken from consumers that still work on them`
    },
  },
  backoffRule('consumer'),
  {
    about: ['webhook.context_lifecycle.s3.retry_max_delay', 'webhook.context_lifecycle.s3.retry_base_delay'],
    says: 'at least `webhook.context_lifecycle.s3.retry_base_delay`',
    check({ config: { webhook } }) {
      const { retry_base_delay: base, retry_max_delay: max } = webhook.context_lifecycle.s3
      return max >= base
        ? undefined
        : `found ${text(max)}; allowed: at least webhook.context_lifecycle.s3.retry_base_delay (${text(base)})`
    },
  },
  {
    about: ['webhook.consumer.dead_consumer_after', 'webhook.consumer.heartbeat_interval'],
    says: 'at least three times `webhook.consumer.heartbeat_interval`',
    check({ config: { webhook } }) {
      const { dead_consumer_after: dead, heartbeat_interval: beat } = webhook.consumer
      return dead >= 3 * beat
        ? undefined
        : `found ${text(dead)}; allowed: at least three times webhook.consumer.heartbeat_interval (${text(beat)})`
    },
  },
  {
    about: ['webhook.consumer.dead_letter_stream', 'webhook.redis.stream'],
    says: 'not the name of `webhook.redis.stream`',
    check({ config: { webhook } }) {
      return webhook.consumer.dead_letter_stream === webhook.redis.stream
        ? `found ${JSON.stringify(webhook.redis.stream)}, which is webhook.redis.stream; allowed: another name`
        : undefined
    },
  },
  ...TIMED_TOOLS.map(
    (tool): Rule => ({
      about: [
        `webhook.deduplication.window_configs.${tool}.duration`,
        'webhook.security.timestamp_tolerance',
      ],
      says: 'at least twice `webhook.security.timestamp_tolerance`, as long as a captured request stays valid',
      check({ config: { webhook } }) {
        const window = webhook.deduplication.window_configs[tool].duration
        const tolerance = webhook.security.timestamp_tolerance
        if (window >= 2 * tolerance) return undefined
        return `found ${text(window)}; allowed: at least twice webhook.security.timestamp_tolerance (2 × ${text(tolerance)}), as long as a captured request stays valid`
      },
    }),
  ),
  {
    about: ['webhook.deduplication.refresh_interval', 'webhook.deduplication.window_configs'],
    says: 'at most half of the shortest window, so that nothing is forgotten between window and long memory',
    check({ config: { webhook } }) {
      const { refresh_interval: refresh, window_configs: windows } = webhook.deduplication
      const shortest = shortestWindow(windows)
      if (refresh <= shortest / 2) return undefined
      return `found ${text(refresh)}; allowed: at most half of the shortest window (${text(shortest)})`
    },
  },
  {
    about: ['webhook.ingest.spool.segment_bytes', 'webhook.ingest.spool.max_bytes'],
    says: 'at most `webhook.ingest.spool.max_bytes`',
    check({ config: { webhook } }) {
      const { segment_bytes: segment, max_bytes: max } = webhook.ingest.spool
      return segment <= max
        ? undefined
        : `found ${formatSize(segment)}; allowed: at most webhook.ingest.spool.max_bytes (${formatSize(max)})`
    },
  },
  {
    about: ['webhook.redis.addresses', 'webhook.redis.sentinel_enabled', 'webhook.redis.cluster_enabled'],
    says: 'needed with `sentinel_enabled` (the Sentinels) and `cluster_enabled` (the seed nodes)',
    check({ config: { webhook } }) {
      const { addresses, sentinel_enabled: sentinel, cluster_enabled: cluster } = webhook.redis
      if (addresses.length > 0 || !(sentinel || cluster)) return undefined
      return sentinel
        ? 'none given; allowed with webhook.redis.sentinel_enabled: at least one Sentinel (REDIS_ADDRESSES)'
        : 'none given; allowed with webhook.redis.cluster_enabled: at least one node of the Cluster (REDIS_ADDRESSES)'
    },
  },
  {
    about: ['webhook.redis.master_name', 'webhook.redis.sentinel_enabled'],
    says: 'needed with `sentinel_enabled`',
    check({ config: { webhook } }) {
      const { master_name: master, sentinel_enabled: sentinel } = webhook.redis
      return sentinel && master === null
        ? 'none given; allowed with webhook.redis.sentinel_enabled: the name under which the Sentinels know the master (REDIS_MASTER_NAME)'
        : undefined
    },
  },
  {
    about: ['webhook.redis.cluster_enabled', 'webhook.redis.sentinel_enabled'],
    says: 'not together with `sentinel_enabled`',
    check({ config: { webhook } }) {
      return webhook.redis.cluster_enabled && webhook.redis.sentinel_enabled
        ? 'a Cluster has no Sentinels; allowed: either webhook.redis.cluster_enabled or webhook.redis.sentinel_enabled'
        : undefined
    },
  },
  {
    about: ['webhook.redis.partitions', 'webhook.redis.cluster_enabled'],
    says: 'more than 1 only with `cluster_enabled`: one server does not become faster by it',
    check({ config: { webhook } }) {
      const { partitions, cluster_enabled: cluster } = webhook.redis
      return partitions > 1 && !cluster
        ? `found ${partitions}; allowed without webhook.redis.cluster_enabled: 1, as one server does not become faster by more`
        : undefined
    },
  },
  {
    about: ['webhook.redis.replica_timeout', 'webhook.redis.command_timeout', 'webhook.redis.durability'],
    says: 'with `durability: replica`, shorter than `command_timeout`, or replicas that are late would look like a Redis that is silent',
    check({ config: { webhook } }) {
      const { replica_timeout: wait, command_timeout: command, durability } = webhook.redis
      if (durability === 'local' || wait < command) return undefined
      return `found ${text(wait)}; allowed: shorter than webhook.redis.command_timeout (${text(command)}), or replicas that are late would look like a Redis that is silent`
    },
  },
  {
    about: ['webhook.redis.tls_key_file', 'webhook.redis.tls_cert_file'],
    says: 'together with `tls_cert_file`, or not at all',
    check({ config: { webhook } }) {
      const { tls_key_file: key, tls_cert_file: cert } = webhook.redis
      if ((key === null) === (cert === null)) return undefined
      return `a certificate and its key belong together; set webhook.redis.${key === null ? 'tls_key_file' : 'tls_cert_file'} too, or neither`
    },
  },
  {
    about: [
      'webhook.context_lifecycle.s3.secret_access_key',
      'webhook.context_lifecycle.s3.access_key_id',
      'webhook.context_lifecycle.s3.bucket',
    ],
    says: 'with a bucket, together with `access_key_id`, or not at all',
    check({ config: { webhook } }) {
      const { bucket, access_key_id: key, secret_access_key: secret } = webhook.context_lifecycle.s3
      if (bucket === null || (key === null) === (secret === null)) return undefined
      return `an access key and its secret belong together; set webhook.context_lifecycle.s3.${key === null ? 'access_key_id' : 'secret_access_key'} too, or neither`
    },
  },
  {
    about: ['webhook.security.keyring_url', 'webhook.security.keyring_directory'],
    says: 'not together with `keyring_directory`',
    check({ config: { webhook } }) {
      const { keyring_url: url, keyring_directory: directory } = webhook.security
      return url === null || directory === null
        ? undefined
        : 'the keyring is in one place; set webhook.security.keyring_url or keyring_directory, not both'
    },
  },
  {
    about: [
      'webhook.ai.openai_api_key',
      'webhook.ai.enabled',
      'webhook.ai.base_url',
      'webhook.ai.embedding.provider',
      'webhook.ai.summarization.model',
    ],
    says: 'needed with `ai.enabled` and the provider `openai` (or a model for summaries), unless `base_url` names a service that wants none',
    check({ config: { webhook } }) {
      const { enabled, openai_api_key: key, base_url: url, embedding, summarization } = webhook.ai
      if (!enabled || key !== null || url !== null) return undefined
      const wants =
        embedding.provider === 'openai'
          ? 'webhook.ai.embedding.provider: openai'
          : summarization.model !== null && `webhook.ai.summarization.model: ${summarization.model}`
      return wants
        ? `none given, and ${wants} asks OpenAI, which wants one; set OPENAI_API_KEY, or webhook.ai.base_url for a service that wants none`
        : undefined
    },
  },
  {
    about: [
      'webhook.ai.embedding.dimensions',
      'webhook.ai.enabled',
      'webhook.ai.embedding.provider',
      'webhook.ai.embedding.model',
    ],
    says: 'with the provider `openai`, what the model has; needed for a model that is not known here',
    check({ config: { webhook } }) {
      const { provider, model: name, dimensions } = webhook.ai.embedding
      if (!webhook.ai.enabled || provider !== 'openai') return undefined
      const model = embeddingModel(name)
      if (model === undefined) {
        return dimensions === null
          ? `none given; allowed: how long the vectors of ${name} are, which is not known here`
          : undefined
      }
      const { dimensions: most, shortens } = model
      if (dimensions === null || dimensions === most || (shortens && dimensions < most)) return undefined
      return `found ${dimensions}; allowed with ${name}: ${shortens ? `at most ${most}` : most}, or null`
    },
  },
  {
    about: ['webhook.ai.base_url'],
    says: 'without a user and a password: the key goes in a header',
    check({ config: { webhook } }) {
      const { username, password } = new URL(webhook.ai.base_url ?? 'https://none')
      return username === '' && password === ''
        ? undefined
        : 'has a user or a password; allowed: a URL without them, with the key in webhook.ai.openai_api_key'
    },
  },
  backoffRule('ai'),
]

function backoffRule(part: 'consumer' | 'ai'): Rule {
  const [least, most] = [`webhook.${part}.retry_base_delay`, `webhook.${part}.retry_max_delay`]
  return {
    about: [most, least],
    says: `at least \`${least}\``,
    check({ config: { webhook } }) {
      const { retry_base_delay: base, retry_max_delay: max } = webhook[part]
      return max >= base ? undefined : `found ${text(max)}; allowed: at least ${least} (${text(base)})`
    },
  }
}

/** What production asks for. */
export const PRODUCTION: readonly Rule[] = [
  {
    about: ['webhook.security.encryption_master_key', 'webhook.security.encryption_enabled'],
    says: 'with `encryption_enabled`, must be set (ENCRYPTION_MASTER_KEY)',
    check({ config: { webhook } }) {
      const { encryption_enabled: enabled, encryption_master_key: master } = webhook.security
      return enabled && master === null
        ? 'production makes no master key; set ENCRYPTION_MASTER_KEY to what `openssl rand -base64 48` makes'
        : undefined
    },
  },
  {
    about: [
      'webhook.security.keyring_url',
      'webhook.security.keyring_directory',
      'webhook.security.encryption_enabled',
    ],
    says: 'with `encryption_enabled`, this or `keyring_directory` must be set',
    check({ config: { webhook } }) {
      const { keyring_url: url, keyring_directory: directory, encryption_enabled: enabled } = webhook.security
      return enabled && url === null && directory === null
        ? 'production encrypts only with a keyring in a place that was chosen, which every process sees and no long backup holds; set WEBHOOK_KEYRING_URL or WEBHOOK_KEYRING_DIRECTORY'
        : undefined
    },
  },
  {
    about: ['webhook.ops.token'],
    says: 'must be set (OPS_TOKEN)',
    check: ({ config: { webhook } }) =>
      webhook.ops.token === null
        ? 'production does not run without a token for operators; set OPS_TOKEN'
        : undefined,
  },
  {
    about: ['webhook.security.enable_signature_verification'],
    says: 'must be true',
    check: ({ config: { webhook } }) =>
      webhook.security.enable_signature_verification
        ? undefined
        : 'production does not believe unsigned requests; set it to true or leave it unset',
  },
  ...TOOLS.flatMap(toolRules),
]

function toolRules(tool: Tool): Rule[] {
  const path = `webhook.tools.${tool}`
  const variable = `${tool.toUpperCase()}_WEBHOOK_SECRET`
  return [
    {
      about: [path, `webhook.security.signature_secrets.${tool}`],
      says: `when configured and enabled, needs a secret (${variable}) or \`signature: none\``,
      check({ config: { webhook }, isSet }) {
        const { enabled, signature } = webhook.tools[tool]
        const hasSecret = webhook.security.signature_secrets[tool] !== null
        if (!isSet(path) || !enabled || signature === 'none' || hasSecret) return undefined
        return `${tool} is configured and enabled, but has no secret; set ${variable}, or ${path}.enabled: false`
      },
    },
    {
      about: [`${path}.signature`],
      says: '`none` only when the file says so',
      check({ config: { webhook }, source }) {
        const from = source(`${path}.signature`)?.from
        if (webhook.tools[tool].signature !== 'none' || from === 'file') return undefined
        return 'production takes signature: none from the configuration file only; write it there or leave it out'
      },
    },
  ]
}

/** Every problem that rules find in a configuration whose fields are right by themselves. */
export function brokenRules(judged: Judged): Problem[] {
  const rules = judged.config.production ? [...FIT, ...PRODUCTION] : FIT
  const broken: Problem[] = []
  const report = (where: string, message: string | undefined) => {
    if (message !== undefined) broken.push({ where, source: judged.place(where), message })
  }
  for (const rule of rules) {
    if (!rule.about.some(judged.isUnread)) report(rule.about[0], rule.check(judged))
  }
  for (const { path, when, comes, until } of REFUSED) {
    if (when(valueIn(judged.config, path.split('.')))) report(path, `${comes}; ${until}`)
  }
  return broken
}

/** Sentences about a configuration that is right, but does less or allows more than one might think. */
export function noticesOf(judged: Judged): string[] {
  const { config, isSet } = judged
  const { security, tools } = config.webhook
  const notices: string[] = []
  for (const { path, until } of WITHOUT_EFFECT) {
    if (isSet(path)) notices.push(`${path}: ${until}`)
  }
  if (!security.enable_signature_verification) {
    notices.push(
      'webhook.security.enable_signature_verification: false, so every request is believed, whoever sends it',
    )
  }
  if (security.enable_audit_logging && security.audit_signing_key_file === null) {
    notices.push(
      'webhook.security.enable_audit_logging: without audit_signing_key_file, so checkpoints of the audit trail are not signed, and whoever can write to Redis can write all of it anew',
    )
  }
  const { redis } = config.webhook
  if (!redis.tls_enabled && !redis.url.startsWith('rediss:')) {
    for (const key of ['tls_cert_file', 'tls_key_file', 'tls_ca_file', 'tls_server_name'] as const) {
      if (redis[key] !== null)
        notices.push(`webhook.redis.${key}: accepted, no effect while webhook.redis.tls_enabled is false`)
    }
  }
  if (redis.durability === 'local') {
    for (const key of ['replicas', 'replica_timeout'] as const) {
      const path = `webhook.redis.${key}`
      if (isSet(path)) notices.push(`${path}: accepted, no effect while webhook.redis.durability is local`)
    }
  }
  for (const tool of TOOLS) {
    if (tools[tool].enabled && tools[tool].signature === 'none') {
      notices.push(
        `webhook.tools.${tool}.signature: none, so unsigned requests are accepted, from loopback only`,
      )
    }
  }
  for (const [path, meta] of fieldsOf(judged.outline)) {
    if (!meta.secret) continue
    const values = [valueIn(config, path)].flat()
    if (values.some((value) => typeof value === 'string' && value !== value.trim())) {
      notices.push(`${path.join('.')}: white space at its beginning or end counts as part of it`)
    }
  }
  return notices
}
