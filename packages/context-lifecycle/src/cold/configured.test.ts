/** Which cold storage a configuration means. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../../../../scripts/free-port.ts'
import { S3_CREDENTIALS } from '../../../../tests/support/s3.ts'
import { useS3 } from '../../../../tests/support/use-s3.ts'
import { configuredColdStore } from './configured.ts'

const BYTES = Buffer.from('what happened')

let data = ''
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'weir-cold-'))
})
afterEach(() => rm(data, { recursive: true, force: true }))

const openWith = async (flags: Record<string, unknown>) => {
  const { config } = await loadConfig({ env: {}, cores: 1, flags: { 'webhook.data_dir': data, ...flags } })
  return configuredColdStore(config, { clock: systemClock, random: Math.random })
}

const s3 = (settings: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [`webhook.context_lifecycle.s3.${key}`, value]),
  )

describe('the cold storage of a configuration', () => {
  it('is the directory cold in the data directory, where nothing else is said', async () => {
    const store = await openWith({})
    expect(store.place).toBe(join(data, 'cold'))
    await store.put('a/b', BYTES)
    expect(await readdir(join(data, 'cold', 'a'))).toEqual(['b'])
    store.close()
  })

  it('is the directory that is named', async () => {
    const store = await openWith({ 'webhook.context_lifecycle.cold_directory': join(data, 'attic') })
    await store.put('a', BYTES)
    expect(await readdir(data)).toEqual(['attic'])
    store.close()
  })

  describe('with a bucket', () => {
    const server = useS3()

    it('is that bucket, also where a directory is named', async () => {
      const bucket = await server.makeBucket()
      const store = await openWith({
        'webhook.context_lifecycle.cold_directory': join(data, 'attic'),
        ...s3({
          endpoint: server.endpoint,
          bucket,
          access_key_id: S3_CREDENTIALS.accessKeyId,
          secret_access_key: S3_CREDENTIALS.secretAccessKey,
        }),
      })
      expect(store.place).toBe(`s3://${bucket}`)
      await store.put('a', BYTES)
      expect(await store.get('a')).toEqual(BYTES)
      expect(await readdir(data)).toEqual([])
      store.close()
    })
  })

  it('is guarded: a server that is down is left alone after so many operations', async () => {
    const store = await openWith(
      s3({
        endpoint: `http://127.0.0.1:${await freePort()}`,
        bucket: 'attic',
        access_key_id: 'a',
        secret_access_key: 'a',
        attempts: 1,
        'breaker.failure_threshold': 2,
      }),
    )
    for (let i = 0; i < 2; i++) await expect(store.get('a')).rejects.toThrow('ECONNREFUSED')
    expect(store.state).toBe('open')
    await expect(store.get('a')).rejects.toThrow('is left alone for 30000 ms')
    store.close()
  })
})
