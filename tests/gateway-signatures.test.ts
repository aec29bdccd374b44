/** Every tool's requests over HTTP: signed as its sender signs, for each of several secrets, and refused otherwise. */

import { ADAPTERS } from '@weir/core/adapters/table'
import { TOOLS, type Tool } from '@weir/core/config/tools'
import { signConnect } from '@weir/security/connect-jwt'
import { sign } from '@weir/security/schemes'
import { describe, expect, it } from 'vitest'
import { send, storedEvents, useGateway } from './support/gateway.ts'

const secrets = (tool: Tool): readonly [string, string] =>
  tool === 'standard'
    ? [`whsec_${Buffer.alloc(32, 1).toString('base64')}`, `whsec_${Buffer.alloc(32, 2).toString('base64')}`]
    : [`first-secret-of-${tool}`, `second-secret-of-${tool}`]

const { redis, gateway } = useGateway({
  'security.signature_secrets': Object.fromEntries(TOOLS.map((tool) => [tool, [...secrets(tool)]])),
  'ingest.flood_guard.failures': 0,
})

/** Bodies with what each tool's adapter needs to know an event by. */
const bodyOf = (n: number): string =>
  JSON.stringify({
    id: `evt_${n}`,
    event_id: `Ev${n}`,
    type: 'event_callback',
    event: { id: `E${n}`, event_type: 'incident.triggered', type: 'message' },
    webhookEvent: 'jira:issue_updated',
    status: 'firing',
    groupKey: `{}:{n="${n}"}`,
    alerts: [{ status: 'firing', fingerprint: `${n}`, startsAt: '2026-01-01T00:00:00Z', labels: {} }],
  })

function signed(tool: Tool, secret: string, body: string): string[] {
  const headers = sign(ADAPTERS.get(tool)!.signature, Buffer.from(secret), Buffer.from(body), {
    timestampSeconds: Math.floor(Date.now() / 1000),
    deliveryId: `d-${body.length}`,
  })
  return ['Content-Type', 'application/json', ...Object.entries(headers).flat()]
}

describe.each(TOOLS)('%s', (tool) => {
  const path = `/webhooks/${tool}/acme`

  it('is believed with either of its secrets', () =>
    gateway(async ({ port }) => {
      for (const [n, secret] of secrets(tool).entries()) {
        const body = bodyOf(n + 1).padEnd(400 + n)
        const answer = await send(port, path, { headers: signed(tool, secret, body), body })
        expect([answer.status, answer.text]).toEqual([202, expect.stringContaining('accepted')])
      }
      const events = await storedEvents(redis.client())
      expect(events.map(({ tool: of, tenant }) => [of, tenant])).toEqual([
        [tool, 'acme'],
        [tool, 'acme'],
      ])
      // What proves it is not kept with it.
      const kept = events.flatMap(({ headers }) => headers.map(([name]) => name))
      expect(kept.filter((name) => /signature|authorization|token|hmac/.test(name))).toEqual([])
    }))

  it('is refused with another secret, without any, and with another body', () =>
    gateway(async ({ port, counter }) => {
      const body = bodyOf(1)
      const [secret] = secrets(tool)
      const stranger = tool === 'standard' ? `whsec_${Buffer.alloc(32, 3).toString('base64')}` : 'stranger'
      const statuses = [
        await send(port, path, { headers: signed(tool, stranger, body), body }),
        await send(port, path, { headers: ['Content-Type', 'application/json'], body }),
      ].map(({ status }) => status)
      expect(statuses).toEqual([401, 401])
      // A password or token covers no body.
      if (tool !== 'gitlab' && tool !== 'alertmanager') {
        const answer = await send(port, path, { headers: signed(tool, secret, body), body: `${body} ` })
        expect(answer.status).toBe(401)
      }
      expect(await counter('webhook_events_received_total', `tool=${tool},outcome=accepted`)).toBe(0)
    }))
})

describe('a Connect app of Jira', () => {
  const [secret] = secrets('jira')
  const path = '/webhooks/jira/acme?user_id=7'
  const token = (issuer: string, url = path) =>
    signConnect(Buffer.from(secret), { issuer, method: 'POST', url, issuedAt: Math.floor(Date.now() / 1000) })
  const send_ = (port: number, authorization: string) =>
    send(port, path, {
      headers: ['Content-Type', 'application/json', 'Authorization', authorization],
      body: bodyOf(1),
    })

  it('is believed by its token, for its own site and its own request', () =>
    gateway(
      async ({ port }) => {
        expect((await send_(port, token('our-site'))).status).toBe(202)
        expect((await send_(port, token('another-site'))).status).toBe(401)
        expect((await send_(port, token('our-site', '/webhooks/jira/acme?user_id=8'))).status).toBe(401)
      },
      { 'tools.jira.connect_issuers': ['our-site'] },
    ))
})

describe('a Slack endpoint that is being set up', () => {
  const body = JSON.stringify({
    type: 'url_verification',
    token: 'old',
    challenge: '3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P',
  })

  it('answers the challenge, when it is signed, and keeps nothing', () =>
    gateway(async ({ port }) => {
      const path = '/webhooks/slack'
      const [secret] = secrets('slack')
      const answer = await send(port, path, { headers: signed('slack', secret, body), body })
      expect([answer.status, answer.text]).toEqual([200, JSON.parse(body).challenge])
      expect(answer.headers['content-type']).toBe('text/plain')
      const unsigned = await send(port, path, { headers: ['Content-Type', 'application/json'], body })
      expect(unsigned.status).toBe(401)
      expect(await storedEvents(redis.client())).toEqual([])
    }))
})
