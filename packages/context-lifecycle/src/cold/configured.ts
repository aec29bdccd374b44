/** The cold storage that the configuration asks for. */
import { join } from 'node:path'
import type { Clock } from '@weir/core/clock'
import type { Config } from '@weir/core/config/schema'
import type { ColdStore } from './cold-store.ts'
import { createDirectoryStore } from './directory-store.ts'
import { createGuardedStore, type GuardDeps, type GuardedStore } from './guarded-store.ts'

export interface ConfiguredColdDeps extends GuardDeps {
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
}

/** A bucket means S3; without one it is a directory. Nothing is asked of either before it is used. */
export async function configuredColdStore(config: Config, deps: ConfiguredColdDeps): Promise<GuardedStore> {
  const { s3 } = config.webhook.context_lifecycle
  const store = s3.bucket === null ? directoryOf(config, deps) : await bucketOf(s3, s3.bucket, deps)
  return createGuardedStore(
    store,
    {
      failureThreshold: s3.breaker.failure_threshold,
      openDurationMs: s3.breaker.open_duration,
      concurrency: s3.concurrency,
    },
    deps,
  )
}

function directoryOf({ webhook }: Config, { clock }: ConfiguredColdDeps): ColdStore {
  const directory = webhook.context_lifecycle.cold_directory ?? join(webhook.data_dir, 'cold')
  return createDirectoryStore(directory, { clock })
}

type S3Config = Config['webhook']['context_lifecycle']['s3']

async function bucketOf(s3: S3Config, bucket: string, deps: ConfiguredColdDeps): Promise<ColdStore> {
  // The SDK takes 36 MB and a tenth of a second to load, which a directory need not pay.
  const { createS3Store } = await import('./s3-store.ts')
  const { access_key_id: id, secret_access_key: secret, session_token: sessionToken } = s3
  return createS3Store(
    {
      endpoint: s3.endpoint,
      bucket,
      region: s3.region,
      credentials:
        id === null || secret === null ? null : { accessKeyId: id, secretAccessKey: secret, sessionToken },
      attemptTimeoutMs: s3.attempt_timeout,
      attempts: s3.attempts,
      retryBaseMs: s3.retry_base_delay,
      retryMaxMs: s3.retry_max_delay,
      connections: s3.concurrency,
    },
    deps,
  )
}
