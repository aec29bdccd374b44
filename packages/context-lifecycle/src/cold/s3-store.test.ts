/** Cold storage in S3, over the network, with servers of others: s3rver always, a second one where there is one. */
import { systemClock } from '@weir/core/clock'
import { describe, expect, it } from 'vitest'
import { startProxy } from '../../../../tests/support/proxy.ts'
import { otherS3, S3_CREDENTIALS, type S3Server, withS3 } from '../../../../tests/support/s3.ts'
import { useS3 } from '../../../../tests/support/use-s3.ts'
import { objectsOf } from './cold-objects.test-support.ts'
import { specifyColdStore } from './cold-store.test-support.ts'
import { createS3Store, type S3Settings } from './s3-store.ts'

const BYTES = Buffer.from('what happened around one subject')

const open = (endpoint: string, bucket: string, changes: Partial<S3Settings> = {}) => {
  const settings: S3Settings = {
    endpoint,
    bucket,
    region: 'us-east-1',
    credentials: S3_CREDENTIALS,
    attemptTimeoutMs: 20_000,
    attempts: 3,
    retryBaseMs: 10,
    retryMaxMs: 100,
    connections: 16,
    ...changes,
  }
  return createS3Store(settings, { clock: systemClock, random: Math.random })
}

const placeAt = (server: () => S3Server) => async () => {
  const { endpoint } = server()
  const bucket = await server().makeBucket()
  // moto answers 500 now and then when one object is put by several at once.
  return { open: () => open(endpoint, bucket, { attempts: 10 }) }
}

/** What only real servers can say: what their refusals look like. */
function specifyRefusals(server: () => S3Server): void {
  it('says that there is no such bucket, whatever is asked', async () => {
    const store = open(server().endpoint, 'nobody-made-this-one')
    for (const operation of [
      () => store.put('a', BYTES),
      () => store.get('a'),
      () => store.delete('a'),
      () => objectsOf(store.list('')),
    ]) {
      await expect(operation()).rejects.toMatchObject({
        code: 'COLD_REFUSED',
        message: expect.stringMatching(
          /no bucket nobody-made-this-one at http.*; make it, or correct S3_BUCKET/,
        ),
      })
    }
    store.close()
  })

  it('reads pages of other sizes', async () => {
    const bucket = await server().makeBucket()
    const store = open(server().endpoint, bucket, { pageSize: 2 })
    const names = ['a/1', 'a/2', 'a/3', 'a/4', 'a/5']
    for (const name of names) await store.put(name, BYTES)
    const found = await objectsOf(store.list('a/', 'a/1'))
    expect(found).toEqual(names.slice(1).map((name) => ({ name, bytes: BYTES.length })))
    store.close()
  })
}

describe('s3rver', () => {
  const server = useS3()
  specifyColdStore(
    placeAt(() => server),
    { order: true, wholeReplacement: true, deletesBesidePuts: true },
  )
  specifyRefusals(() => server)

  it('does not know the key, and the fault says which settings to check, and no secret', async () => {
    const credentials = { accessKeyId: 'somebody', secretAccessKey: 'a-secret', sessionToken: null }
    const store = open(server.endpoint, await server.makeBucket(), { credentials })
    await expect(store.put('a', BYTES)).rejects.toMatchObject({
      code: 'COLD_REFUSED',
      message: expect.stringMatching(/^(?!.*a-secret).*check the access key and its secret/),
    })
    store.close()
  })

  it('behind a network that stops: operations end in time, and work again when it does', async () => {
    const proxy = await startProxy(server.port)
    const bucket = await server.makeBucket()
    const store = open(`http://127.0.0.1:${proxy.port}`, bucket, { attemptTimeoutMs: 200, attempts: 2 })
    await store.put('a', BYTES)
    proxy.stall('replies')
    await expect(store.get('a')).rejects.toMatchObject({
      code: 'COLD_UNAVAILABLE',
      message: expect.stringContaining('no whole answer within 200 ms'),
    })
    proxy.resume()
    expect(await store.get('a')).toEqual(BYTES)
    store.close()
    await proxy.close()
  })

  it('that is gone is unavailable', async () => {
    const store = await withS3(async (fresh) => {
      const here = open(fresh.endpoint, await fresh.makeBucket())
      await here.put('a', BYTES)
      return here
    })
    await expect(store.get('a')).rejects.toMatchObject({
      code: 'COLD_UNAVAILABLE',
      message: expect.stringContaining('ECONNREFUSED'),
    })
    store.close()
  })
})

describe.skipIf(otherS3 === undefined)('the server at WEIR_S3_ENDPOINT', () => {
  specifyColdStore(placeAt(() => otherS3 as S3Server))
  specifyRefusals(() => otherS3 as S3Server)
})
