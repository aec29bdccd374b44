/** The correlation id: taken from X-Request-ID, given where there is none, in every answer and every line of the log. */
import { describe, expect, it } from 'vitest'
import { githubHeaders, send, sendGithub, storedEvents, useGateway } from './support/gateway.ts'

const { redis, gateway } = useGateway()
const body = Buffer.from('{"action":"opened"}')

describe('the correlation id of a request', () => {
  it('is its X-Request-ID: in the answer, in the log, and with the event', () =>
    gateway(async ({ port, log }) => {
      const headers = [...githubHeaders(body, 'd-1'), 'X-Request-ID', 'proxy-4711']
      const first = await send(port, '/webhooks/github', { headers, body })
      expect([first.status, first.headers['x-request-id']]).toEqual([202, 'proxy-4711'])
      const [event] = await storedEvents(redis.client())
      expect(event?.headers).toContainEqual(['x-request-id', 'proxy-4711'])
      const again = await send(port, '/webhooks/github', { headers, body })
      expect([again.status, again.headers['x-request-id']]).toEqual([200, 'proxy-4711'])
      const lines = log.filter(({ event }) => event === 'webhook')
      expect(lines.map(({ outcome, request_id }) => [outcome, request_id])).toEqual([
        ['accepted', 'proxy-4711'],
        ['duplicate', 'proxy-4711'],
      ])
    }))

  it('is the event id of an accepted event without one, which then keeps nothing for it', () =>
    gateway(async ({ port, log }) => {
      const { json, headers } = await sendGithub(port, 'd-1', body)
      expect(headers['x-request-id']).toBe(json.event_id)
      const [event] = await storedEvents(redis.client())
      expect(event?.headers.map(([name]) => name)).not.toContain('x-request-id')
      expect(log.find(({ outcome }) => outcome === 'accepted')).toMatchObject({ request_id: json.event_id })
    }))

  it('is made up for a refused request, the same in answer and log', () =>
    gateway(async ({ port, log }) => {
      const refused = await send(port, '/webhooks/github', {
        headers: ['Content-Type', 'application/json'],
        body,
      })
      expect(refused.status).toBe(401)
      const id = refused.headers['x-request-id']
      expect(id).toMatch(/^req_[0-9a-f-]{36}$/)
      expect(log.find(({ code }) => code === 'SIGNATURE_MISSING')).toMatchObject({ request_id: id })
      expect((await send(port, '/nowhere', { headers: [], body })).headers['x-request-id']).toMatch(/^req_/)
    }))

  it.each([
    ['too long', 'x'.repeat(129)],
    ['of several words', 'a b'],
    ['sent twice', ['a', 'b']],
    ['not ASCII', 'ö'],
    ['empty', ''],
  ])('is not taken from one that is %s', (_, value) =>
    gateway(async ({ port }) => {
      const sent = [value].flat().flatMap((each) => ['X-Request-ID', each])
      const answer = await send(port, '/webhooks/github', {
        headers: [...githubHeaders(body, 'd-1'), ...sent],
        body,
      })
      expect(answer.status).toBe(202)
      expect(answer.headers['x-request-id']).toBe(answer.json.event_id)
    }),
  )
})
