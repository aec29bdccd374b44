/** Cold storage in S3 over TLS: whom we talk to. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { systemClock } from '@weir/core/clock'
import { describe, expect, it } from 'vitest'
import { type TestCertificates, useCertificates } from '../../../../tests/support/tls.ts'
import { createS3Store } from './s3-store.ts'
import { ok, useScriptedS3 } from './scripted-s3.test-support.ts'

const certificates = useCertificates()
const plain = useScriptedS3()

const open = (endpoint: string) =>
  createS3Store(
    {
      endpoint,
      bucket: 'attic',
      region: 'us-east-1',
      credentials: { accessKeyId: 'a', secretAccessKey: 'a', sessionToken: null },
      attemptTimeoutMs: 20_000,
      attempts: 3,
      retryBaseMs: 1,
      retryMaxMs: 1,
      connections: 1,
    },
    { clock: systemClock, random: Math.random },
  )

/** What a get from a server with this certificate ends with. */
async function getFrom({ keyFile, certFile }: TestCertificates['server']): Promise<unknown> {
  let requests = 0
  const server = createServer({ key: readFileSync(keyFile), cert: readFileSync(certFile) }, (_, response) => {
    requests++
    response.end('stolen')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const store = open(`https://127.0.0.1:${(server.address() as AddressInfo).port}`)
  try {
    return await store.get('a').catch((error: unknown) => error)
  } finally {
    store.close()
    server.close()
    server.closeAllConnections()
    expect(requests, 'requests that it heard').toBe(0)
  }
}

describe('a server over TLS', () => {
  it('is not believed with a certificate of an authority that nobody named', async () => {
    expect(await getFrom(certificates.current.server)).toMatchObject({
      code: 'COLD_REFUSED',
      message: expect.stringMatching(/the certificate of https:.* is not trusted; .*NODE_EXTRA_CA_CERTS/),
    })
  })

  it('that speaks none is not S3', async () => {
    plain.script(ok('x'))
    const store = open(plain.endpoint.replace('http:', 'https:'))
    await expect(store.get('a')).rejects.toMatchObject({
      code: 'COLD_REFUSED',
      message: expect.stringContaining('is not S3; correct S3_ENDPOINT'),
    })
    store.close()
  })
})
