/** Cold storage in S3, over the network, with servers of others: s3rver always, a second one where there is one. */
import { systemClock } from '@weir/core/clock'
import { beforeEach, describe, expect, it } from 'vitest'
import { otherS3, S3_CREDENTIALS, type S3Server, useS3, withS3 } from '../../../../tests/support/s3.ts'
import { specifyColdStore } from './cold-store.test-support.ts'
import type { ColdStore } from './cold-store.ts'
import { createS3Store, type S3Settings } from './s3-store.ts'

const settings = (endpoint: string, bucket: string): S3Settings => ({
  endpoint,
  bucket,
  region: 'us-east-1',
  credentials: S3_CREDENTIALS,
  attemptTimeoutMs: 20_000,
  attempts: 3,
  retryBaseMs: 10,
  retryMaxMs: 100,
  connections: 16,
})

const deps = { clock: systemClock, random: Math.random }

const placeAt = (server: () => S3Server) => async () => {
  const { endpoint } = server()
  const bucket = await server().makeBucket()
  return { open: () => createS3Store(settings(endpoint, bucket), deps) }
}

describe('s3rver', () => {
  const server = useS3()
  specifyColdStore(
    placeAt(() => server),
    { order: true, wholeReplacement: true },
  )
})

describe.skipIf(otherS3 === undefined)('the server at WEIR_S3_ENDPOINT', () => {
  specifyColdStore(placeAt(() => otherS3 as S3Server))
})
