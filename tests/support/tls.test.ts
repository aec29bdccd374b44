import { existsSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { startRedis } from '../../scripts/private-redis.ts'
import { birthOf } from '../../scripts/run-files.ts'
import { ask, type TlsFiles } from './access.ts'
import { useCertificates, withTlsRedis } from './tls.ts'

/**
 * Why the connection of a client that says nothing ends. With TLS 1.3 the client's side of the handshake is done before
 * the server has judged its certificate: one that speaks at once may see ECONNRESET instead of the reason.
 */
function refusal(port: number, { caFile, certFile, keyFile }: TlsFiles): Promise<string> {
  const pem = (file: string | undefined) => (file === undefined ? undefined : readFileSync(file))
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    ca: pem(caFile),
    cert: pem(certFile),
    key: pem(keyFile),
  })
  return new Promise<string>((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.on('close', () => resolve('closed without a reason'))
    socket.resume()
  }).finally(() => socket.destroy())
}

describe('withTlsRedis', () => {
  it('lets in who shows a certificate of the authority, over TLS 1.3, and nobody else', async () => {
    await withTlsRedis(async ({ server, certificates, client }) => {
      expect(server.url).toBe(`rediss://127.0.0.1:${server.port}`)
      expect(await client().ping()).toBe('PONG')
      const refused = (tls: TlsFiles) => refusal(server.port, tls)
      expect(await refused(certificates.anonymous)).toBe('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED')
      expect(await refused(certificates.expired)).toBe('ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED')
      expect(await refused(certificates.stranger)).toBe('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA')
      expect(await refused(certificates.distrustful)).toBe('SELF_SIGNED_CERT_IN_CHAIN')
      await expect(ask({ port: server.port }, 'PING')).rejects.toThrow()
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
      expect(await refusal(server.port, certificates.current.client)).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    } finally {
      await server.stop()
    }
  })
})
