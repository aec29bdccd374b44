/** When certificates end: those of our files, and those that servers show. */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:tls'
import { redisPlace } from '@weir/core/config/parts'
import type { Config } from '@weir/core/config/schema'
import { messageOf } from '@weir/core/faults'
import type { Address } from '@weir/core/redis/place'
import { type Finding, fail, ok, warn } from './finding.ts'

const CHECK = 'certificates'
const DAY_MS = 86_400_000
/** From here on a certificate should be renewed, ms before its end. */
const SOON_MS = 30 * DAY_MS
const ANSWER_LIMIT_MS = 5_000

/** Where a certificate is, and how it is renewed. */
interface Source {
  readonly what: string
  readonly fix: string
  certificates(): Promise<readonly X509Certificate[]>
}

const RENEW_FILE =
  'renew it (scripts/generate-redis-certs.sh); files are read for every connection anew, nothing has to be restarted'
const RENEW_SERVER = 'renew the certificate of that server'

/** @param peers `host:port` of the Redis servers that are connected */
export async function examineCertificates(
  config: Config,
  peers: readonly string[],
  now: number,
): Promise<Finding[]> {
  const findings = await Promise.all(sourcesOf(config, peers).map((source) => findingOf(source, now)))
  return findings.length > 0 ? findings : [ok(CHECK, 'none are in use: no TLS here')]
}

function sourcesOf({ webhook }: Config, peers: readonly string[], config = { webhook } as Config): Source[] {
  const { redis, context_lifecycle: lifecycle, ai, security } = webhook
  const sources: Source[] = []
  const secure = redis.tls_enabled || redis.url.startsWith('rediss:')
  if (secure) {
    for (const [setting, file] of [
      ['webhook.redis.tls_cert_file', redis.tls_cert_file],
      ['webhook.redis.tls_ca_file', redis.tls_ca_file],
    ] as const)
      if (file !== null)
        sources.push({ what: `${setting} (${file})`, fix: RENEW_FILE, certificates: () => inFile(file) })
    const addresses = new Set([...peers, ...seedsOf(config)])
    for (const address of addresses)
      sources.push(serverAt(address, `Redis at ${address}`, redis.tls_server_name))
  }
  const urls: (readonly [string, string | null])[] = [
    ['S3', lifecycle.enabled && lifecycle.s3.bucket !== null ? lifecycle.s3.endpoint : null],
    ['the AI provider', ai.enabled && ai.embedding.provider === 'openai' ? ai.base_url : null],
    ["the keyring's Redis", security.keyring_url],
  ]
  for (const [what, text] of urls) {
    const url = text === null ? null : URL.parse(text)
    if (url === null || !['https:', 'rediss:'].includes(url.protocol)) continue
    const port = url.port || (url.protocol === 'https:' ? '443' : '6379')
    sources.push(serverAt(`${url.hostname}:${port}`, `${what} at ${url.hostname}`, null))
  }
  return sources
}

/** The servers that are connected to first, so that one whose certificate keeps us out is looked at too. */
function seedsOf(config: Config): string[] {
  const place = redisPlace(config)
  const addressText = ({ host, port }: Address) => `${host}:${port}`
  if ('sentinel' in place) return place.sentinel.sentinels.map(addressText)
  if ('cluster' in place) return place.cluster.seeds.map(addressText)
  const url = URL.parse(place.url)
  return url === null ? [] : [`${url.hostname}:${url.port || '6379'}`]
}

async function inFile(file: string): Promise<X509Certificate[]> {
  const text = await readFile(file, 'utf8')
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g)
  if (blocks === null) throw new Error('there is no certificate in it')
  return blocks.map((block) => new X509Certificate(block))
}

function serverAt(address: string, what: string, serverName: string | null): Source {
  const { hostname, port } = new URL(`tcp://${address}`)
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  return {
    what,
    fix: RENEW_SERVER,
    certificates: async () => [await shownBy(host, Number(port), serverName)],
  }
}

/** What the server shows, whether we would believe it or not: that is looked at where it is connected to. */
async function shownBy(host: string, port: number, serverName: string | null): Promise<X509Certificate> {
  const { promise, resolve, reject } = Promise.withResolvers<X509Certificate>()
  const name = serverName ?? host
  const servername = /^[\d.]+$|:/.test(name) ? {} : { servername: name }
  const socket = connect({ host, port, ...servername, rejectUnauthorized: false, timeout: ANSWER_LIMIT_MS })
  socket.once('secureConnect', () => {
    const shown = socket.getPeerX509Certificate()
    if (shown === undefined) reject(new Error('it shows none'))
    else resolve(shown)
  })
  socket.once('timeout', () => reject(new Error(`no answer within ${ANSWER_LIMIT_MS / 1000} s`)))
  socket.on('error', reject)
  return promise.finally(() => socket.destroy())
}

async function findingOf({ what, fix, certificates }: Source, now: number): Promise<Finding> {
  let found: readonly X509Certificate[]
  try {
    found = await certificates()
  } catch (error) {
    return warn(
      CHECK,
      `${what}: cannot be looked at (${messageOf(error)})`,
      'see what the other findings say of it',
    )
  }
  const first = found.reduce((a, b) => (endOf(a) <= endOf(b) ? a : b))
  const [from, end] = [Date.parse(first.validFrom), endOf(first)]
  const day = new Date(end).toISOString().slice(0, 10)
  if (end <= now) return fail(CHECK, `${what}: expired on ${day}`, fix)
  if (from > now)
    return fail(
      CHECK,
      `${what}: valid only from ${new Date(from).toISOString()} on`,
      "correct this machine's clock, or the certificate",
    )
  const days = Math.floor((end - now) / DAY_MS)
  if (end - now < SOON_MS) return warn(CHECK, `${what}: expires on ${day}, in ${days} days`, fix)
  return ok(CHECK, `${what}: valid until ${day}`)
}

function endOf(certificate: X509Certificate): number {
  return Date.parse(certificate.validTo)
}
