/** Does cold storage keep what it is given? A small object is put, read back and deleted. */
import { hostname } from 'node:os'
import { configuredColdStore } from '@weir/context-lifecycle/cold/configured'
import type { Clock } from '@weir/core/clock'
import type { Config } from '@weir/core/config/schema'
import { HALF_S3, HALF_S3_FIX, isHalf } from '../whole-s3.ts'
import { type Finding, fail, ok, skip, warn } from './finding.ts'

const CHECK = 'cold storage'
/** Nothing else of Weir begins so; a probe that was killed half-way leaves its object there. */
const PREFIX = 'doctor'
/** A person waits: one attempt, ms. */
const LIMIT_MS = 5_000

export async function examineCold(config: Config, clock: Clock): Promise<Finding[]> {
  const { context_lifecycle: lifecycle } = config.webhook
  if (!lifecycle.enabled) return [skip(CHECK, 'contexts are switched off (CONTEXTS_ENABLED)')]
  const { s3 } = lifecycle
  if (isHalf(config))
    return [
      fail(CHECK, `half-configured: ${HALF_S3}, so contexts go to a directory of this machine`, HALF_S3_FIX),
    ]
  const quick: Config = structuredClone(config)
  Object.assign(quick.webhook.context_lifecycle.s3, {
    attempts: 1,
    attempt_timeout: Math.min(s3.attempt_timeout, LIMIT_MS),
  })
  const store = await configuredColdStore(quick, { clock, random: Math.random })
  const name = `${PREFIX}/${hostname().replaceAll(/[^A-Za-z0-9.-]/g, '-')}-${process.pid}-${clock.now()}`
  const bytes = Buffer.from(`a probe of webhook-cli doctor, ${new Date(clock.now()).toISOString()}\n`)
  try {
    await store.put(name, bytes)
    const read = await store.get(name)
    await store.delete(name)
    if (read === undefined || !read.equals(bytes))
      return [
        fail(
          CHECK,
          `${store.place}: an object that was put came back ${read === undefined ? 'not at all' : 'changed'}`,
          'see what stands between: a cache, a proxy, a rule of the bucket',
        ),
      ]
    if (s3.bucket === null && (s3.access_key_id !== null || s3.secret_access_key !== null))
      return [
        warn(
          CHECK,
          `${store.place}: put, read and deleted; but there is an access key and no S3_BUCKET`,
          'set S3_BUCKET, where contexts are to go to S3',
        ),
      ]
    return [ok(CHECK, `${store.place}: put, read and deleted`)]
  } finally {
    store.close()
  }
}

/** What to do where the store itself does not say it. */
export const COLD_FIX =
  'check S3_ENDPOINT, S3_BUCKET, S3_REGION and the access key, or the directory and its disk'
