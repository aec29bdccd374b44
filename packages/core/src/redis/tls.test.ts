import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { RedisServer } from '../../../../scripts/private-redis.ts'
import { withCluster } from '../../../../tests/support/cluster.ts'
import { withRedis } from '../../../../tests/support/redis.ts'
import { withSentinel } from '../../../../tests/support/sentinel.ts'
import { useCertificates, withTlsRedis } from '../../../../tests/support/tls.ts'
import { connectRedis, type RedisLink } from './link.ts'
import { parseAddress, type RedisPlace } from './place.ts'
import { keySlot } from './slot.ts'
import { checkTlsFiles, type TlsFiles } from './tls.ts'

const certificates = useCertificates()

interface Attempt {
  readonly link: RedisLink
  readonly errors: readonly string[]
}

function attempt(place: RedisPlace, tls: TlsFiles | undefined): Attempt {
  const errors: string[] = []
  const link = connectRedis(
    {
      ...place,
      tls,
      commandTimeoutMs: 2_000,
      connectTimeoutMs: 2_000,
      reconnectMaxDelayMs: 50,
      name: 'tls',
    },
    { onError: ({ message }) => errors.push(message) },
  )
  return { link, errors }
}

async function works({ link }: Attempt): Promise<void> {
  await link.ready(AbortSignal.timeout(10_000))
  expect(String(await link.call('PING'))).toBe('PONG')
  await link.close()
}

/** Every error is this sentence; returns when it was heard twice. */
async function fails({ link, errors }: Attempt, sentence: RegExp): Promise<void> {
  await expect.poll(() => errors.length).toBeGreaterThan(1)
  for (const error of errors) expect(error).toMatch(sentence)
  expect(link.connected).toBe(false)
  await link.close()
}

const at = ({ port }: RedisServer, scheme = 'redis', host = '127.0.0.1'): RedisPlace => ({
  url: `${scheme}://${host}:${port}`,
})

describe('TLS to one server that asks for a client certificate', () => {
  it('works with certificate, key and authority, and says what is wrong with each other pair', () =>
    withTlsRedis(async ({ server, certificates: made }) => {
      await works(attempt(at(server), made.client))
      await works(attempt(at(server, 'rediss', 'localhost'), made.client))
      await fails(
        attempt(at(server), made.anonymous),
        /wants a client certificate: set webhook.redis.tls_cert_file/,
      )
      await fails(attempt(at(server), made.expired), /it has expired: renew webhook.redis.tls_cert_file/)
      await fails(
        attempt(at(server), made.stranger),
        /must be signed by the authority in its tls-ca-cert-file/,
      )
      await fails(attempt(at(server), made.distrustful), /do not trust .* set webhook.redis.tls_ca_file/)
      await fails(attempt(at(server, 'rediss'), undefined), /do not trust .* set webhook.redis.tls_ca_file/)
      await fails(
        attempt(at(server), undefined),
        /if the server speaks TLS on this port, set webhook.redis.tls_enabled/,
      )
    }))

  it('a connection that is closed while its handshake fails ends no process', () =>
    withTlsRedis(
      async ({ server, certificates: made }) => {
        // Node tells of what the server says to such a goodbye as a second error of the connection; unheard, it ends the process.
        const files = [made.distrustful, made.expired, made.stranger, made.anonymous]
        const closing = Array.from({ length: 400 }, async (_, n) => {
          const { link } = attempt(at(server), files[n % files.length])
          for (let turns = n % 40; turns > 0; turns--) await new Promise(setImmediate)
          await link.close()
        })
        await Promise.all(closing)
      },
      { openConnections: 'allowed' },
    ))

  it('checks the name, which may be another than the host', () =>
    withTlsRedis(async ({ server, certificates: made }) => {
      const wanting = (serverName: string) => attempt(at(server), { ...made.client, serverName })
      await works(wanting('localhost'))
      await fails(wanting('redis.example'), /for another name: .* webhook.redis.tls_server_name/)
    }))

  it('says that a server speaks no TLS', () =>
    withRedis((_, server) =>
      fails(attempt(at(server), certificates.current.client), /does not speak TLS on this port/),
    ))
})

describe('the files', () => {
  const directories: string[] = []
  afterEach(() => {
    for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
  })
  const directory = () => {
    const made = mkdtempSync(join(tmpdir(), 'weir-tls-'))
    directories.push(made)
    return made
  }

  it('are read for every connection anew; while one is missing, the last good one serves', () =>
    withTlsRedis(async ({ server, certificates: made }) => {
      const folder = directory()
      const files = {
        caFile: made.client.caFile,
        certFile: join(folder, 'cert.pem'),
        keyFile: join(folder, 'key.pem'),
      }
      const use = ({ certFile, keyFile }: { certFile: string; keyFile: string }) => {
        copyFileSync(certFile, files.certFile)
        copyFileSync(keyFile, files.keyFile)
      }
      use(made.expired)
      const { link, errors } = attempt(at(server), files)
      await expect.poll(() => errors.join()).toContain('expired')
      use(made.client)
      await link.ready(AbortSignal.timeout(10_000))
      rmSync(files.certFile)
      const { epoch } = link
      link.reconnect()
      await expect.poll(() => link.connected && link.epoch > epoch).toBe(true)
      expect(errors.at(-1)).toContain(files.certFile)
      await link.close()
    }))

  it('are refused at start when they cannot be read or are something else, with their key', () => {
    const { client, stranger } = certificates.current
    checkTlsFiles(client)
    expect(() => checkTlsFiles({ ...client, caFile: '/no/ca.pem' })).toThrow(
      /webhook.redis.tls_ca_file: ENOENT/,
    )
    const noPem = join(directory(), 'cert.pem')
    writeFileSync(noPem, 'not a certificate')
    expect(() => checkTlsFiles({ ...client, certFile: noPem })).toThrow(
      /webhook.redis.tls_cert_file.*not a certificate/,
    )
    expect(() => checkTlsFiles({ ...client, keyFile: stranger.keyFile })).toThrow(
      /webhook.redis.tls_cert_file/,
    )
  })
})

describe('TLS elsewhere', () => {
  it('goes through Sentinels that speak TLS too', () => {
    const tls = certificates.current
    return withSentinel(
      ({ addresses, masterName: master }) => {
        const sentinels = addresses.map((address) => parseAddress(address, 26379))
        return works(attempt({ sentinel: { sentinels, master } }, tls.client))
      },
      { replicas: 1, sentinels: 1, tls },
    )
  })

  it('goes to the owner of a slot', () => {
    const tls = certificates.current
    return withCluster(
      async ({ seeds }) => {
        for (const key of ['{0}', '{1}', '{3}']) {
          const cluster = { seeds: seeds.map((seed) => parseAddress(seed, 6379)), slot: keySlot(key) }
          await works(attempt({ cluster }, tls.client))
        }
      },
      { tls },
    )
  })
})
