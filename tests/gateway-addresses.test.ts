/** Where requests may come from: allow lists, and the addresses that trusted proxies tell. */
import { describe, expect, it } from 'vitest'
import { expectProblem, githubHeaders, send, sendGithub, useGateway } from './support/gateway.ts'

const { gateway } = useGateway()
const body = Buffer.from('{"action":"opened"}')
const from = (claimed: string, delivery: string) => [
  ...githubHeaders(body, delivery),
  'X-Forwarded-For',
  claimed,
]

describe('an allow list', () => {
  it('lets its networks in, and refuses others before anything else is looked at', () =>
    gateway(
      async ({ port, counter, log }) => {
        const answer = await sendGithub(port, 'd-1', body)
        expectProblem(answer, 403, 'ADDRESS_NOT_ALLOWED')
        const unsigned = await send(port, '/webhooks/github', {
          headers: ['Content-Type', 'application/json'],
          body,
        })
        expectProblem(unsigned, 403, 'ADDRESS_NOT_ALLOWED')
        expect(await counter('webhook_auth_failures_total', 'tool=github,reason=address')).toBe(2)
        expect(log.find(({ code }) => code === 'ADDRESS_NOT_ALLOWED')).toMatchObject({
          tool: 'github',
          status: 403,
        })
      },
      { 'tools.github.allow_from': ['140.82.112.0/20', '2a0a:a440::/29'] },
    ))

  it('is one tool’s own', () =>
    gateway(
      async ({ port }) => {
        expect((await sendGithub(port, 'd-1', body)).status).toBe(202)
      },
      { 'tools.gitlab.allow_from': ['192.0.2.0/24'], 'tools.github.allow_from': ['127.0.0.0/8', '::1'] },
    ))

  it('goes by what a trusted proxy says', () =>
    gateway(
      async ({ port }) => {
        const headers = (claimed: string, delivery: string) => ({ headers: from(claimed, delivery), body })
        expect((await send(port, '/webhooks/github', headers('140.82.115.7', 'd-1'))).status).toBe(202)
        expect((await send(port, '/webhooks/github', headers('203.0.113.9', 'd-2'))).status).toBe(403)
        // What a stranger wrote stands left of what the proxy saw.
        expect(
          (await send(port, '/webhooks/github', headers('140.82.115.7, 203.0.113.9', 'd-3'))).status,
        ).toBe(403)
        expect(
          (await send(port, '/webhooks/github', headers('203.0.113.9, 140.82.115.7', 'd-4'))).status,
        ).toBe(202)
      },
      { 'tools.github.allow_from': ['140.82.112.0/20'], 'ingest.trusted_proxies': ['127.0.0.1'] },
    ))

  it('does not go by what anybody else says', () =>
    gateway(
      async ({ port }) => {
        const headers = from('140.82.115.7', 'd-1')
        expect((await send(port, '/webhooks/github', { headers, body })).status).toBe(403)
      },
      { 'tools.github.allow_from': ['140.82.112.0/20'], 'ingest.trusted_proxies': ['192.0.2.1'] },
    ))
})

describe('limits by address', () => {
  it('count each client of a trusted proxy by itself', () =>
    gateway(
      async ({ port }) => {
        const statuses: number[] = []
        for (let i = 0; i < 6; i++) {
          const claimed = i % 2 === 0 ? '203.0.113.1' : '203.0.113.2'
          // Tenants of their own, or their limit would be reached first.
          const path = `/webhooks/github/t${i}`
          statuses.push((await send(port, path, { headers: from(claimed, `d-${i}`), body })).status)
        }
        expect(statuses).toEqual([202, 202, 202, 202, 429, 429])
      },
      { 'security.rate_limit_rpm': 2, 'ingest.trusted_proxies': ['127.0.0.0/8'] },
    ))
})

describe('signature: none', () => {
  const local = { 'tools.jira.signature': 'none', 'ingest.trusted_proxies': ['127.0.0.1'] }
  const jira = ['Content-Type', 'application/json']

  it('lets this machine in, and nobody behind a proxy on it', () =>
    gateway(async ({ port }) => {
      expect((await send(port, '/webhooks/jira', { headers: jira, body: '{}' })).status).toBe(202)
      for (const claimed of ['203.0.113.9', '127.0.0.1', 'unknown']) {
        const headers = [...jira, 'X-Forwarded-For', claimed]
        expect((await send(port, '/webhooks/jira', { headers, body: '{"n":1}' })).status).toBe(401)
      }
    }, local))
})
