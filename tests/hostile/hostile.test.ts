/**
 * The hostile corpus against a real gateway: no forgery is accepted, nothing crashes or answers 5xx, and nothing grows with what
 * strangers make up: neither Redis' keys nor the labels of metrics nor the memory of the process.
 */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { TOOLS } from '@weir/core/config/tools'
import { afterAll, describe, expect, it } from 'vitest'
import { SECRET, send, storedEvents, useGateway } from '../support/gateway.ts'
import { CORPUS, type HostileRequest, hostileRequests, linesOf, secretOf } from './corpus.ts'

const { redis, gateway } = useGateway({
  // The guard would answer 429 to most of it, which is no test of the rest.
  'ingest.flood_guard.failures': 0,
  'security.signature_secrets': {
    ...Object.fromEntries(TOOLS.map((tool) => [tool, secretOf(tool)])),
    github: SECRET,
    generic: SECRET,
  },
  'ingest.headers_timeout': '1s',
  'ingest.body_timeout': '1s',
})

const text = readFileSync(CORPUS, 'utf8')
const corpus = text
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line) as HostileRequest)

/** Status of the first answer; 0 when the connection was closed without one. */
function statusOf(port: number, { raw }: HostileRequest): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(raw, 'latin1'))
    let came = ''
    const settle = () => {
      socket.destroy()
      resolve(Number(/^HTTP\/1\.1 (\d{3}) /.exec(came)?.[1] ?? 0))
    }
    socket.on('data', (chunk) => {
      came += chunk.toString('latin1')
      if (came.includes('\r\n\r\n')) settle()
    })
    socket.once('close', settle)
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') settle()
      else reject(error)
    })
  })
}

/** Many at once, as strangers come. */
async function statusesOf(port: number): Promise<number[]> {
  const statuses: number[] = []
  for (let at = 0; at < corpus.length; at += AT_ONCE) {
    const batch = corpus.slice(at, at + AT_ONCE)
    statuses.push(...(await Promise.all(batch.map((request) => statusOf(port, request)))))
  }
  return statuses
}
const AT_ONCE = 20

const tally = new Map<number, number>()
afterAll(() => {
  const counts = [...tally].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`)
  console.log(
    `hostile corpus, ${corpus.length} requests by answer: ${counts.join(', ')} (0 = connection closed)`,
  )
})

describe('the hostile corpus', () => {
  it('is what its source says: node tests/hostile/corpus.ts writes it', () => {
    expect(corpus.length).toBeGreaterThanOrEqual(300)
    expect(text).toBe(linesOf(hostileRequests()))
  })

  it('gets the answers that are written beside each request, and leaves nothing behind', () =>
    gateway(async ({ port, log, metrics }) => {
      const wrong: string[] = []
      let accepted = 0
      for (const [i, status] of (await statusesOf(port)).entries()) {
        const request = corpus[i] as HostileRequest
        tally.set(status, (tally.get(status) ?? 0) + 1)
        if (status === 202) accepted++
        if (!request.answers.includes(status)) wrong.push(`${request.what}: ${status}`)
      }
      expect(wrong).toEqual([])
      expect(Object.prototype).not.toHaveProperty('polluted')
      expect((await send(port, '/health', { method: 'GET' })).status).toBe(200)
      expect(log.filter(({ level }) => Number(level) >= 50)).toEqual([])

      // What was accepted is there, and its names are nowhere but inside.
      expect(await storedEvents(redis.client())).toHaveLength(accepted)
      const keys = await redis.client().keys('*')
      const kinds = new Set(keys.map((key) => key.replace(/^\{webhook-events\}:/, '').split(':')[0]))
      const known = [
        'webhook-events',
        'evidence',
        'gateways',
        'witness',
        'ledger',
        'dictionary',
        'limits',
        'bloom',
        'health',
        'settled',
      ]
      expect([...kinds].filter((kind) => !known.includes(kind as string))).toEqual([])

      const samples = (await metrics.registry.metrics()).split('\n').filter((line) => !line.startsWith('#'))
      expect(samples.filter((line) => /made.up|proto|script|jndi|hostile/.test(line))).toEqual([])
      const counted = samples.filter((line) => /^webhook[s_][^{]*_total\{/.test(line))
      expect(counted.length).toBeLessThan(10 * TOOLS.length)
    }))

  it('sent again makes no more keys and labels than before', () =>
    gateway(async ({ port, metrics }) => {
      const size = async () => {
        const samples = (await metrics.registry.metrics()).split('\n').length
        // The report of its health comes every few seconds, whatever is sent.
        const keys = (await redis.client().keys('*')).filter(
          (key) => !/:(evidence|limits):|:health$/.test(key),
        )
        return { samples, keys: keys.length }
      }
      await statusesOf(port)
      // What was accepted is a duplicate from now on: labels of its own.
      await statusesOf(port)
      const first = await size()
      await statusesOf(port)
      expect(await size()).toEqual(first)
    }))
})
