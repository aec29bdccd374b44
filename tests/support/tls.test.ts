import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startRedis } from '../../scripts/private-redis.ts'
import { birthOf } from '../../scripts/run-files.ts'
import { connectTo, type TlsFiles } from './access.ts'
import { useCertificates, withTlsRedis } from './tls.ts'

/** What a client hears when it tries once: the answer to PING, or the error of its connection. */
function tryOnce(port: number, tls?: TlsFiles): Promise<string> {
  const redis = connectTo(
    { port, access: tls ? { tls } : {} },
    { lazyConnect: true, retryStrategy: () => null, enableReadyCheck: false },
  )
  return new Promise<string>((resolve) => {
    redis.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    redis.ping().then(resolve, () => undefined)
  }).finally(() => redis.disconnect())
}

describe('withTlsRedis', () => {
  it('lets in who shows a certificate of the authority, over TLS 1.3, and nobody else', async () => {
    await withTlsRedis(async ({ server, certificates, client }) => {
      expect(server.url).toBe(`rediss://127.0.0.1:${server.port}`)
      expect(await client().ping()).toBe('PONG')
      const hears = (tls?: TlsFiles) => tryOnce(server.port, tls)
      expect(await hears(certificates.client)).toBe('PONG')
      expect(await hears(certificates.anonymous)).toBe('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED')
      expect(await hears(certificates.expired)).toBe('ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED')
      expect(await hears(certificates.stranger)).toBe('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA')
      expect(await hears(certificates.distrustful)).toBe('SELF_SIGNED_CERT_IN_CHAIN')
      expect(await hears()).toMatch(/^(ECONNRESET|EPIPE|Connection is closed.)$/)
    })
  })

  it('ends the server and removes the certificates when the test fails', async () => {
    let pid = 0
    let directory = ''
    const failing = withTlsRedis(async ({ server, certificates }) => {
      pid = server.pid
      directory = dirname(certificates.server.keyFile)
      expect(existsSync(directory)).toBe(true)
      throw new Error('the test failed')
    })
    await expect(failing).rejects.toThrow('the test failed')
    expect(birthOf(pid)).toBeUndefined()
    expect(existsSync(directory)).toBe(false)
  })
})

describe('useCertificates', () => {
  const certificates = useCertificates()

  it('also has a server certificate for another name, which a client refuses', async () => {
    const server = await startRedis({ tls: certificates.current.otherName })
    try {
      expect(await tryOnce(server.port, certificates.current.client)).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    } finally {
      await server.stop()
    }
  })
})
