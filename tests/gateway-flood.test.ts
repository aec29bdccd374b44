/** Floods of badly signed requests: what they may cost, and that nobody else is refused for them. */
import { Agent } from 'node:http'
import { describe, expect, it } from 'vitest'
import {
  type Answer,
  expectProblem,
  githubHeaders,
  hold,
  send,
  sendGithub,
  storedEvents,
  useGateway,
} from './support/gateway.ts'

const { redis, gateway } = useGateway()

const STRICT = {
  'ingest.flood_guard.failures': 20,
  'ingest.flood_guard.verifications': 1,
  'ingest.flood_guard.known_verifications': 1,
}
const BODY = Buffer.from(JSON.stringify({ filler: 'x'.repeat(7000) }))

/** Badly signed requests, in turn. */
async function flood(port: number, count: number, path = '/webhooks/github', agent?: Agent) {
  const answers: Answer[] = []
  for (let i = 0; i < count; i++) {
    const headers = githubHeaders(BODY, `f-${i}`, 'push', 'not the secret')
    answers.push(await send(port, path, { headers, body: BODY, ...(agent === undefined ? {} : { agent }) }))
  }
  return answers
}
const count = (answers: readonly Answer[], status: number) =>
  answers.filter((answer) => answer.status === status).length

describe('a flood of badly signed requests', () => {
  it('is refused unverified once it has passed the limit, on connections that are kept', () =>
    gateway(async (running) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      let connections = 0
      agent.on('free', () => {
        connections = Object.values(agent.freeSockets).flat().length
      })
      const answers = await flood(running.port, 200, '/webhooks/github', agent)
      expect(connections).toBe(1)
      agent.destroy()
      expect(count(answers.slice(0, 21), 401)).toBe(21)
      const refused = answers.at(-1) as Answer
      expectProblem(refused, 429, 'SIGNATURE_FLOOD')
      expect(refused.headers['retry-after']).toBe('10')
      const limited = count(answers, 429)
      expect(limited).toBeGreaterThan(150)
      expect(count(answers, 401) + limited).toBe(200)

      expect(await running.counter('webhook_flood_refused_total', 'tool=github')).toBe(limited)
      expect(await running.counter('webhook_auth_failures_total', 'tool=github,reason=mismatch')).toBe(
        200 - limited,
      )
      expect(await running.metrics.registry.metrics()).toMatch(/^webhook_flood_addresses 1$/m)
      expect(await storedEvents(redis.client())).toHaveLength(0)
      // One line for the flood, not one for each request of it.
      const lines = running.log.filter(({ level }) => (level as number) >= 30)
      expect(lines.filter(({ event }) => event === 'webhook')).toHaveLength(20)
      expect(lines.filter(({ event }) => event === 'flood')).toMatchObject([
        { state: 'begins', network: '127.0.0.1', known: false, failed: 21 },
      ])
    }, STRICT))

  it('is refused before its body is read', () =>
    gateway(async ({ port }) => {
      await flood(port, 30)
      const headers = githubHeaders(BODY, 'f', 'push', 'not the secret')
      const lines: string[] = []
      for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`)
      // The body is announced and never sent: whoever read it would wait for it.
      const head = `POST /webhooks/github HTTP/1.1\r\nHost: weir\r\nContent-Length: 100000\r\n${lines.join('\r\n')}\r\n\r\n`
      expect(await hold(port, head)).toMatch(/^HTTP\/1\.1 429 .*"code":"SIGNATURE_FLOOD"/s)
    }, STRICT))

  it('does not touch Redis', () =>
    gateway(async ({ port }) => {
      await flood(port, 100)
      expect(await redis.client().keys('*evidence*')).toEqual([])
      expect(await redis.client().info('commandstats')).not.toContain('cmdstat_xadd')
    }, STRICT))

  // Other systems than Linux have no second loopback address unless somebody gives them one.
  it.skipIf(process.platform !== 'linux')('leaves other addresses alone', () =>
    gateway(async ({ port }) => {
      await flood(port, 100)
      const agent = new Agent({ localAddress: '127.0.0.2' })
      for (let i = 0; i < 50; i++) {
        const headers = githubHeaders(BODY, `d-${i}`)
        expect((await send(port, '/webhooks/github', { headers, body: BODY, agent })).status).toBe(202)
      }
      agent.destroy()
    }, STRICT),
  )

  it('locks no well-signed request of the same address out', () =>
    gateway(async ({ port }) => {
      await flood(port, 100)
      let sent = 0
      await expect
        .poll(
          async () => {
            const { status } = await sendGithub(port, `d-${sent++}`)
            await flood(port, 1)
            return status
          },
          { timeout: 10_000, interval: 50 },
        )
        .toBe(202)
    }, STRICT))

  it('is verified as long as it likes where the guard is switched off', () =>
    gateway(
      async ({ port }) => {
        expect(count(await flood(port, 200), 401)).toBe(200)
      },
      { 'ingest.flood_guard.failures': 0 },
    ))
})
