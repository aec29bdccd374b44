import { X509Certificate } from 'node:crypto'
import {
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { useCertificates } from '../../../../tests/support/tls.ts'
import { createCertificates } from './certificates.ts'

const certificates = useCertificates()
let directory = ''
let path = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-expiry-'))
  path = join(directory, 'one.pem')
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** As openssl reads it, through another way than the one under test. */
const endOf = (file: string) => Date.parse(new X509Certificate(readFileSync(file)).validTo) / 1000
/** 2020-01-02, as the test certificate says. */
const EXPIRED = Date.UTC(2020, 0, 2) / 1000

describe('the certificates of a process', () => {
  it('are told by the name of their setting, with the time when they end', async () => {
    const { certFile, caFile } = certificates.current.client
    const watched = createCertificates([
      { name: 'redis.cert', path: certFile },
      { name: 'redis.ca', path: caFile },
      { name: 'other', path: certificates.current.expired.certFile },
    ])
    expect(Object.fromEntries(await watched.expiries())).toEqual({
      'redis.cert': endOf(certFile),
      'redis.ca': endOf(caFile),
      other: EXPIRED,
    })
    expect(endOf(certFile)).toBeGreaterThan(EXPIRED)
  })

  it('are read again when the file changes: written over, replaced, or linked elsewhere', async () => {
    const { client, expired } = certificates.current
    writeFileSync(path, readFileSync(expired.certFile))
    const watched = createCertificates([{ name: 'redis.cert', path }])
    const now = async () => (await watched.expiries()).get('redis.cert')
    expect(await now()).toBe(EXPIRED)
    writeFileSync(path, readFileSync(client.certFile))
    expect(await now()).toBe(endOf(client.certFile))
    writeFileSync(`${path}.new`, readFileSync(expired.certFile))
    renameSync(`${path}.new`, path)
    expect(await now()).toBe(EXPIRED)
    unlinkSync(path)
    symlinkSync(client.certFile, path)
    expect(await now()).toBe(endOf(client.certFile))
  })

  it('keep the last known time while the file is gone or damaged, as connections keep the last good one', async () => {
    const { client, expired } = certificates.current
    writeFileSync(path, readFileSync(client.certFile))
    const watched = createCertificates([{ name: 'redis.cert', path }])
    const now = async () => (await watched.expiries()).get('redis.cert')
    const good = await now()
    unlinkSync(path)
    expect(await now()).toBe(good)
    writeFileSync(path, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    expect(await now()).toBe(good)
    writeFileSync(path, readFileSync(expired.certFile))
    expect(await now()).toBe(EXPIRED)
  })

  it('of a file with several are as good as the first of them to end', async () => {
    const { client, expired } = certificates.current
    writeFileSync(path, `${readFileSync(client.certFile, 'utf8')}${readFileSync(expired.certFile, 'utf8')}`)
    expect([...(await createCertificates([{ name: 'redis.ca', path }]).expiries()).values()]).toEqual([
      EXPIRED,
    ])
  })

  it('that were never readable are left out: no time is not the time 0', async () => {
    writeFileSync(path, 'no certificate at all')
    const watched = createCertificates([
      { name: 'redis.cert', path },
      { name: 'redis.ca', path: join(directory, 'nowhere') },
    ])
    expect([...(await watched.expiries())]).toEqual([])
  })
})
