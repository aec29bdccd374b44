/**
 * Redis over TLS 1.3 with certificates on both sides, and the clients that must not get in.
 *
 *   await withTlsRedis(async ({ server, certificates, client }) => {
 *     await client(certificates.client).ping()
 *     await expect(client(certificates.anonymous).ping()).rejects.toThrow()
 *   })
 *
 * `withCertificates` and `useCertificates` are for topologies: `withSentinel(use, { tls: certificates })`.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll } from 'vitest'
import {
  type RedisServer,
  type RedisServerOptions,
  type ServerTls,
  startRedis,
} from '../../scripts/private-redis.ts'
import type { ClientOptions, TlsFiles } from './access.ts'
import { type BracketOptions, createFleet } from './fleet.ts'

const SCRIPT = fileURLToPath(new URL('../../scripts/generate-redis-certs.sh', import.meta.url))

export interface TestCertificates {
  /** For the server: reached as localhost and 127.0.0.1. */
  readonly server: ServerTls
  /** A client that gets in. */
  readonly client: ServerTls
  /** Trusts the server, shows no certificate: the server ends the handshake. */
  readonly anonymous: TlsFiles
  /** Trusts the server, shows a certificate that expired in January 2020. */
  readonly expired: ServerTls
  /** Trusts the server, shows a certificate of another authority. */
  readonly stranger: ServerTls
  /** Shows a good certificate, but trusts another authority than the server's: the client ends the handshake. */
  readonly distrustful: ServerTls
  /** Of a server that has a certificate of the same authority for another name, redis.example. */
  readonly otherName: ServerTls
}

export interface TlsRedis {
  readonly server: RedisServer
  readonly certificates: TestCertificates
  /** A connection, closed at the end. Default: `certificates.client`. */
  client(tls?: TlsFiles, options?: ClientOptions): Redis
}

/** Runs `use` with a fresh server that speaks TLS only; ends it, whatever happens; fails when connections stay open. */
export function withTlsRedis<T>(
  use: (tls: TlsRedis) => Promise<T>,
  options: Omit<RedisServerOptions, 'tls'> & BracketOptions = {},
): Promise<T> {
  return withCertificates(async (certificates) => {
    const { openConnections = 'forbidden', ...serverOptions } = options
    const fleet = createFleet()
    try {
      const access = { tls: certificates.client }
      const starting = startRedis({ ...serverOptions, tls: certificates.server })
      const [server] = await fleet.launch(access, [starting])
      if (!server) throw new Error('the Redis server did not start')
      const result = await use({
        server,
        certificates,
        client: (tls = certificates.client, clientOptions) => fleet.client(server, { tls }, clientOptions),
      })
      fleet.closeClients()
      if (openConnections === 'forbidden') await fleet.expectNoConnections()
      return result
    } finally {
      await fleet.stop()
    }
  })
}

/** Runs `use` with fresh certificates in a directory of their own, and removes it. */
export async function withCertificates<T>(use: (certificates: TestCertificates) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'weir-certs-'))
  try {
    return await use(makeCertificates(directory))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Certificates for all tests of a file (or `describe`). */
export function useCertificates(): { readonly current: TestCertificates } {
  const directory = mkdtempSync(join(tmpdir(), 'weir-certs-'))
  let certificates: TestCertificates | undefined
  beforeAll(() => {
    certificates = makeCertificates(directory)
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  return {
    get current() {
      if (!certificates)
        throw new Error('the certificates of this file exist only inside its tests and hooks')
      return certificates
    },
  }
}

function makeCertificates(directory: string): TestCertificates {
  const ours = join(directory, 'ours')
  const theirs = join(directory, 'theirs')
  generate(ours)
  generate(theirs)
  const caFile = join(ours, 'ca.crt')
  const pair = (from: string, name: string, ca = caFile): ServerTls => ({
    caFile: ca,
    certFile: join(from, `${name}.crt`),
    keyFile: join(from, `${name}.key`),
  })
  const expired = join(ours, 'expired.crt')
  sign(ours, { key: join(ours, 'client.key'), out: expired, from: '200101000000Z', to: '200102000000Z' })
  const otherName = join(ours, 'other-name.crt')
  sign(ours, { key: join(ours, 'server.key'), out: otherName, names: 'DNS:redis.example' })
  const client = pair(ours, 'client')
  const server = pair(ours, 'server')
  return {
    server,
    client,
    anonymous: { caFile },
    expired: { ...client, certFile: expired },
    stranger: pair(theirs, 'client'),
    distrustful: { ...client, caFile: join(theirs, 'ca.crt') },
    otherName: { ...server, certFile: otherName },
  }
}

/** By the script that operators run. */
function generate(directory: string): void {
  const { status, stderr, error } = spawnSync(SCRIPT, ['--dir', directory], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`generate-redis-certs.sh failed: ${error?.message ?? stderr}`)
}

interface Signing {
  readonly key: string
  readonly out: string
  readonly names?: string
  /** YYMMDDHHMMSSZ. */
  readonly from?: string
  readonly to?: string
}

/** Signs as the authority in `directory` what its script would not make. */
function sign(directory: string, { key, out, names, from, to }: Signing): void {
  const request = `${out}.csr`
  const config = `${out}.cnf`
  writeFileSync(`${out}.index`, '')
  writeFileSync(
    config,
    `[ca]
default_ca = ours
[ours]
database = ${out}.index
new_certs_dir = ${directory}
certificate = ${join(directory, 'ca.crt')}
private_key = ${join(directory, 'ca.key')}
default_md = sha256
default_days = 1
rand_serial = yes
unique_subject = no
policy = anything
x509_extensions = extensions
[anything]
organizationName = optional
commonName = optional
[extensions]
basicConstraints = CA:FALSE
${names === undefined ? '' : `subjectAltName = ${names}`}
`,
  )
  openssl(['req', '-new', '-key', key, '-subj', '/O=Weir/CN=made for a test', '-out', request])
  const times = [...(from ? ['-startdate', from] : []), ...(to ? ['-enddate', to] : [])]
  openssl(['ca', '-batch', '-notext', '-config', config, '-in', request, '-out', out, ...times])
}

function openssl(args: readonly string[]): void {
  const { status, stderr, error } = spawnSync('openssl', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`openssl ${args[0]} failed: ${error?.message ?? stderr}`)
}
