import { section } from '../field.ts'
import { boolean, choice, duration, integer, number, secret, size, text, url } from '../fields.ts'

/** `webhook.context_lifecycle`: how long contexts stay in which tier. */
export function contextLifecycleSection() {
  return section('How long contexts stay hot (Redis), warm (Redis, compressed) and cold (S3).', {
    enabled: boolean({
      meaning:
        'Remember what events were about: each comes into the context of its subject before its handlers run.',
      default: true,
      env: 'CONTEXTS_ENABLED',
    }),
    max_appends: integer({
      meaning:
        'Events of a partition at most that are being put into their contexts, or wait for a worker after that.',
      unit: 'events',
      default: 100,
      min: 1,
      max: 10_000,
    }),
    hot_duration: duration({
      meaning: 'How long a context stays hot after its last event or access.',
      default: '30m',
      max: '365d',
    }),
    warm_duration: duration({
      meaning: 'After how long without an event or an access it goes to cold storage.',
      default: '24h',
      max: '3650d',
    }),
    hot_importance_threshold: number({
      meaning: 'A context at least this important stays hot for longer.',
      default: 0.8,
      min: 0,
      max: 1,
    }),
    warm_importance_threshold: number({
      meaning: 'A context at least this important stays warm for longer.',
      default: 0.5,
      min: 0,
      max: 1,
    }),
    compression_type: choice({
      meaning: 'How the warm tier is compressed.',
      words: ['zstd'],
      default: 'zstd',
    }),
    compression_level: integer({
      meaning: 'Level of that compression; higher is smaller and slower.',
      default: 6,
      min: 1,
      max: 19,
    }),
    access_threshold: integer({
      meaning:
        'A context that was read so often lately stays for longer in the tier where it is; accesses count half after a week.',
      unit: 'accesses',
      default: 10,
      min: 1,
      max: 1_000_000,
    }),
    segment_size: size({
      meaning: 'The most content of one warm segment or cold object that holds several events.',
      default: '4MB',
      min: '64KB',
      max: '64MB',
    }),
    promote_size: size({
      meaning: 'The most content of a context that one access brings nearer: its newest events.',
      default: '8MB',
      min: '64KB',
      max: '256MB',
    }),
    cold_read_timeout: duration({
      meaning: 'How long whoever reads a cold context waits for an object; then its events are withheld.',
      default: '5s',
      min: '10ms',
      max: '1h',
    }),
    curator: section('The curator: the process that moves contexts between the tiers.', {
      interval: duration({ meaning: 'Pause between two sweeps.', default: '10s', min: '100ms' }),
      size_interval: duration({
        meaning: 'How often it asks some of the contexts how large they are (webhook_context_bytes).',
        default: '1m',
      }),
      batch_size: integer({
        meaning: 'Contexts claimed at once; Redis does nothing else meanwhile (6 µs for each).',
        unit: 'contexts',
        default: 50,
        min: 1,
        max: 10_000,
      }),
      concurrency: integer({
        meaning:
          'Contexts moved at the same time, in two groups that take turns; eight at most from hot to warm.',
        unit: 'contexts',
        default: 16,
        min: 1,
        max: 1_000,
      }),
      ops_port: integer({
        meaning: 'Port of its health and metrics; 0 = any free one, off (or null) = none.',
        default: 8083,
        max: 65_535,
        off: true,
      }),
      shutdown_timeout: duration({
        meaning: 'How long it may take to finish the moves in hand when it is stopped.',
        default: '25s',
      }),
    }),
    cold_directory: text({
      meaning:
        'Directory of cold storage where there is no bucket, on a disk that every consumer sees; null = `cold` in `webhook.data_dir`.',
      default: null,
      env: 'CONTEXTS_COLD_DIRECTORY',
    }),
    s3: s3Section(),
  })
}

function s3Section() {
  return section('Cold storage. Without a bucket, `cold_directory`.', {
    endpoint: url({
      meaning: 'S3-compatible endpoint; null = AWS.',
      default: null,
      schemes: ['https:', 'http:'],
      example: 'https://s3.amazonaws.com',
      env: 'S3_ENDPOINT',
    }),
    bucket: text({
      meaning: 'Bucket.',
      default: null,
      allowed: 'the name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens',
      pattern: /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
      env: 'S3_BUCKET',
    }),
    region: text({ meaning: 'Region.', default: 'us-east-1', env: 'S3_REGION' }),
    access_key_id: secret({
      meaning: 'Access key; null = what the machine has (instance or pod role).',
      empty: 'unset',
      env: 'AWS_ACCESS_KEY_ID',
    }),
    secret_access_key: secret({
      meaning: 'Secret of the access key.',
      empty: 'unset',
      env: 'AWS_SECRET_ACCESS_KEY',
    }),
    session_token: secret({
      meaning: 'Session token of the access key, where it is a temporary one.',
      empty: 'unset',
      env: 'AWS_SESSION_TOKEN',
    }),
    attempt_timeout: duration({
      meaning: 'How long one attempt may take, the transfer of the object included.',
      default: '15s',
      max: '1h',
    }),
    attempts: integer({
      meaning:
        'Attempts of one operation, the first included, where the server is away or asks to slow down.',
      unit: 'attempts',
      default: 4,
      min: 1,
      max: 100,
    }),
    retry_base_delay: duration({
      meaning: 'Pause before the first retry; doubles with each, and is chosen at random below that.',
      default: '200ms',
    }),
    retry_max_delay: duration({
      meaning: 'Longest such pause. A server that asks for a longer one ends the attempts.',
      default: '10s',
    }),
    breaker: section('The breaker before cold storage, one in each process; before a directory too.', {
      failure_threshold: integer({
        meaning: 'Operations in a row that failed with all their attempts; then cold storage is left alone.',
        unit: 'operations',
        default: 5,
        min: 1,
        max: 1_000_000,
      }),
      open_duration: duration({
        meaning: 'How long it is left alone before one operation is let through to see.',
        default: '30s',
      }),
    }),
    concurrency: integer({
      meaning: 'Operations of one process at the same time, on a directory too; others wait for their turn.',
      unit: 'operations',
      default: 16,
      min: 1,
      max: 1000,
    }),
  })
}

/** `webhook.migration`: running beside a system on AWS SQS. */
export function migrationSection() {
  return section('Running beside a system on AWS SQS.', {
    backend: choice({
      meaning: 'Which queue the events go to.',
      words: ['redis', 'sqs'],
      default: 'redis',
      env: 'WEBHOOK_BACKEND',
    }),
    dual_write: boolean({
      meaning: 'Write every event to both queues.',
      default: false,
      env: 'DUAL_WRITE_MODE',
    }),
    sqs_queue_url: url({
      meaning: 'The queue.',
      default: null,
      schemes: ['https:', 'http:'],
      example: 'https://sqs.us-east-1.amazonaws.com/123456789012/webhooks',
      env: 'SQS_QUEUE_URL',
    }),
  })
}
