/**
 * A gateway for tests: the real one, on a real socket, against a real Redis, inside the test's own process, so that
 * its log and its metrics can be looked at.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { type Agent, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { auditLog, configuredAuditor } from '@weir/core/audit/configured'
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { keysOf, redisSettings } from '@weir/core/config/parts'
import type { Config } from '@weir/core/config/schema'
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import { type Encryption, gatewayEncryption, keyringNotes } from '@weir/core/keyring/configured'
import type { Opener } from '@weir/core/keyring/keyring'
import { createUnpacker, type UnpackedBody } from '@weir/core/packing'
import { decodeRecord, type EventRecord } from '@weir/core/record'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import type { Tracer } from '@weir/core/tracing/tracer'
import { createAuditChain, createCheckpointSigner } from '@weir/security/audit-checkpoint'
import { signGithub } from '@weir/security/github'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import type { Redis } from 'ioredis'
import { expect } from 'vitest'
import { createGateway, type Gateway } from '../../apps/ingest/src/gateway.ts'
import { createLog } from '../../apps/ingest/src/log.ts'
import { createMetrics, type GatewayMetrics } from '../../apps/ingest/src/metrics.ts'
import { keepDictionaries } from '../../apps/ingest/src/packers.ts'
import { enterOwner, NO_OWNERS } from '../../apps/ingest/src/report.ts'
import { openSecrets } from '../../apps/ingest/src/secrets.ts'
import { checkSecrets } from '../../apps/ingest/src/sender.ts'
import { openSpool, type Spool } from '../../apps/ingest/src/spool/spool.ts'
import { useRedis } from './redis.ts'

export const SECRET = 'a secret for tests'

export interface GatewayOptions {
  readonly redisUrl: string
  /** Settings by dotted path below `webhook`. */
  readonly settings?: Readonly<Record<string, unknown>>
  /** Settings by their whole dotted path. */
  readonly flags?: Readonly<Record<string, unknown>>
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Kept at the end, for the next gateway. Default: a temporary one. */
  readonly directory?: string
  readonly name?: string
  /** Default: nothing is traced. */
  readonly tracer?: Tracer
}

export interface TestGateway {
  readonly port: number
  readonly config: Config
  readonly gateway: Gateway
  readonly link: RedisLink
  readonly spool: Spool | undefined
  readonly encryption: Encryption | undefined
  readonly metrics: GatewayMetrics
  /** Lines of its log, parsed. */
  readonly log: readonly Readonly<Record<string, unknown>>[]
  /** The value of a counter with these labels, 0 when it never counted. */
  counter(name: string, labels?: string): Promise<number>
}

/** Runs `use` with a gateway that listens, and stops it whatever happens. */
export async function withGateway<T>(
  options: GatewayOptions,
  use: (gateway: TestGateway) => Promise<T>,
): Promise<T> {
  const temporary = options.directory === undefined
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'weir-gateway-'))
  const running = await startGateway(options, directory)
  try {
    return await use(running)
  } finally {
    await running.gateway.stop()
    if (temporary) rmSync(directory, { recursive: true, force: true })
  }
}

/** How long tests wait for what a gateway does by itself. */
export const POLL = { timeout: 10_000, interval: 20 }

type Settings = GatewayOptions['settings']

/**
 * One Redis server for all tests of the file, and a gateway on it for each that wants one.
 * @param common settings of all of them, by dotted path below `webhook`
 */
export function useGateway(common: Settings = {}) {
  const redis = useRedis()
  return {
    redis,
    /** Runs `use` with a gateway of its own. */
    gateway: <T>(use: (running: TestGateway) => Promise<T>, settings: Settings = {}): Promise<T> =>
      withGateway({ redisUrl: redis.url, settings: { ...common, ...settings } }, use),
  }
}

async function startGateway(options: GatewayOptions, directory: string): Promise<TestGateway> {
  const settings = {
    'ingest.host': '127.0.0.1',
    'ingest.port': 0,
    'ingest.lame_duck': '0s',
    ...options.settings,
  }
  const { config } = await loadConfig({
    text: '',
    flags: {
      ...Object.fromEntries(Object.entries(settings).map(([path, value]) => [`webhook.${path}`, value])),
      ...options.flags,
    },
    env: {
      REDIS_URL: options.redisUrl,
      WEIR_DATA_DIR: directory,
      GITHUB_WEBHOOK_SECRET: SECRET,
      HMAC_SECRET: SECRET,
      ...options.env,
    },
  })
  const lines: Record<string, unknown>[] = []
  const log = createLog('debug', { write: (line: string) => void lines.push(JSON.parse(line)) })
  const metrics = createMetrics()
  const name = options.name ?? `test-${process.pid}-${Math.random().toString(36).slice(2)}`
  const spoolSettings = config.webhook.ingest.spool
  const spool = spoolSettings.enabled
    ? await openSpool({
        directory: spoolSettings.directory,
        maxBytes: spoolSettings.max_bytes,
        maxAgeMs: spoolSettings.max_age,
        segmentBytes: spoolSettings.segment_bytes,
        clock: systemClock,
        onFault: (fault) => log.error({ event: 'spool', code: fault.code }, fault.message),
      })
    : undefined
  const encryption = gatewayEncryption(config, {
    cipherOf: createTenantCipher,
    name: `weir-gateway-keyring:${name}`,
    clock: systemClock,
    tell: keyringNotes(log, () => auditor),
    onError: () => undefined,
  })
  const dictionaries = createDictionarySet(
    loadBundledDictionaries(),
    (tenant, sealed) => encryption?.keyring.isCurrent(tenant, sealed) === true,
  )
  if (spool !== undefined) await keepDictionaries(dictionaries, spoolSettings.directory)
  const connect = (partition: number) =>
    connectRedis(redisSettings(config, keysOf(config, partition), `weir-gateway:${name}`))
  const link = connect(0)
  const auditor = configuredAuditor(config, {
    partition: { link, keys: keysOf(config, 0) },
    actor: name,
    chainOf: (pem) => createAuditChain(createCheckpointSigner(pem)),
    clock: systemClock,
    random: Math.random,
    tell: auditLog(log, (count) => metrics.count('webhook_audit_damage_total', '', '', count)),
  })
  const gateway = createGateway({
    config,
    link,
    connect,
    spool,
    encryption,
    owners: spool === undefined ? NO_OWNERS : await enterOwner(spoolSettings.directory, name),
    auditor,
    auditKey: Buffer.alloc(32, 'k'),
    secrets: await openSecrets({
      security: config.webhook.security,
      check: checkSecrets(config),
      clock: systemClock,
      log,
    }),
    dictionaries,
    ...(options.tracer && { tracer: options.tracer }),
    name,
    clock: systemClock,
    random: Math.random,
    metrics,
    log,
  })
  try {
    const { port } = await gateway.start()
    return {
      port,
      config,
      gateway,
      link,
      spool,
      encryption,
      metrics,
      log: lines,
      async counter(counter, labels = '') {
        return metrics.counters()[labels === '' ? counter : `${counter}{${labels}}`] ?? 0
      },
    }
  } catch (error) {
    await gateway.stop()
    throw error
  }
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly text: string
  /** The body as JSON. Throws when it is none. */
  readonly json: Record<string, unknown>
}

export interface Sent {
  readonly method?: string
  /** Name and value in turn, so that a name may come twice. */
  readonly headers?: readonly string[]
  readonly body?: Buffer | string
  readonly agent?: Agent
  /** Send the body in chunks, without Content-Length. */
  readonly chunked?: boolean
}

/** One HTTP request. */
export function send(port: number, path: string, sent: Sent = {}): Promise<Answer> {
  const body = Buffer.from(sent.body ?? '')
  const length = sent.chunked ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', String(body.length)]
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      host: '127.0.0.1',
      port,
      path,
      method: sent.method ?? 'POST',
      headers: ['Host', `127.0.0.1:${port}`, ...length, ...(sent.headers ?? [])],
      ...(sent.agent === undefined ? {} : { agent: sent.agent }),
    })
    request.once('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('error', reject)
      response.once('end', () => {
        const text = Buffer.concat(chunks).toString()
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          get json() {
            return JSON.parse(text)
          },
        })
      })
    })
    request.once('error', reject)
    request.end(body)
  })
}

/** The headers of a signed GitHub delivery. */
export function githubHeaders(
  body: Buffer | string,
  delivery: string,
  event = 'push',
  secret = SECRET,
): string[] {
  return [
    'Content-Type',
    'application/json',
    'User-Agent',
    'GitHub-Hookshot/044aadd',
    'X-GitHub-Event',
    event,
    'X-GitHub-Delivery',
    delivery,
    'X-Hub-Signature-256',
    signGithub(Buffer.from(secret), Buffer.from(body)),
  ]
}

/** Sends a signed GitHub delivery. */
export function sendGithub(
  port: number,
  delivery: string,
  body: Buffer | string = '{}',
  path = '/webhooks/github',
) {
  return send(port, path, { headers: githubHeaders(body, delivery), body })
}

/** Writes bytes to a bare connection, ends our side, and resolves with all that came back when it is closed. */
export function raw(port: number, ...writes: readonly (string | Buffer)[]): Promise<string> {
  return talk(port, writes, 'end')
}

/** Writes bytes to a bare connection, keeps our side open, and resolves with all that came back when it is closed. */
export function hold(port: number, ...writes: readonly (string | Buffer)[]): Promise<string> {
  return talk(port, writes, 'hold')
}

function talk(port: number, writes: readonly (string | Buffer)[], then: 'end' | 'hold'): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let came = ''
    socket.on('data', (chunk) => {
      came += chunk.toString('latin1')
    })
    // A reset after the answer is an end too.
    socket.once('error', (error) => (came === '' ? reject(error) : resolve(came)))
    socket.once('close', () => resolve(came))
    for (const write of writes) socket.write(write)
    if (then === 'end') socket.end()
  })
}

export interface StoredEvent extends EventRecord, UnpackedBody {
  readonly streamId: string
}

/** Every event of the stream, opened. */
export async function storedEvents(redis: Redis, opener?: Opener): Promise<StoredEvent[]> {
  const dictionaries = createDictionarySet(loadBundledDictionaries())
  const unpacker = createUnpacker(dictionaries, opener && { opener })
  const entries = await redis.xrangeBuffer('webhook-events', '-', '+')
  return entries.map(([streamId, fields]) => {
    const record = decodeRecord(fields)
    return { streamId: streamId.toString(), ...record, ...unpacker.unpack(record) }
  })
}

/** The answer is a whole problem document with this status and code. */
export function expectProblem(answer: Answer, status: number, code: string): void {
  expect(answer.headers['content-type']).toBe('application/problem+json')
  expect(answer.json).toMatchObject({ type: `urn:weir:problem:${code}`, status, code })
  expect(answer.status).toBe(status)
  const { title, detail } = answer.json
  expect(title).toEqual(expect.any(String))
  expect(detail).toEqual(expect.stringMatching(/^[A-Z].{10,}\.$/s))
}
