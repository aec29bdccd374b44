import { section } from '../field.ts'
import { boolean, choice, duration, integer, number, secret, text, url } from '../fields.ts'

/** `webhook.context_lifecycle`: how long contexts stay in which tier. */
export function contextLifecycleSection() {
  return section('How long contexts stay hot (Redis), warm (Redis, compressed) and cold (S3).', {
    enabled: boolean({
      meaning:
        'Remember what events were about: each comes into the context of its subject before its handlers run. Nothing leaves a context yet, so plan the memory of Redis.',
      default: false,
      env: 'CONTEXTS_ENABLED',
    }),
    hot_duration: duration({
      meaning: 'How long a context stays hot after its last event.',
      default: '30m',
      max: '365d',
    }),
    warm_duration: duration({
      meaning: 'How long it stays warm before it goes to cold storage.',
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
    s3: section('Cold storage. Without a bucket, a directory in `webhook.data_dir`.', {
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
