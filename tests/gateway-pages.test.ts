/** What the gateway tells about itself, and to whom. */
import { describe, expect, it } from 'vitest'
import { send, sendGithub, type TestGateway, withGateway } from './support/gateway.ts'
import { useRedis } from './support/redis.ts'

const redis = useRedis()
const TOKEN = 'a-token-for-operators'
const production = { NODE_ENV: 'production', OPS_TOKEN: TOKEN }
const gateway = (use: (running: TestGateway) => Promise<void>, env: Record<string, string> = {}) =>
  withGateway({ redisUrl: redis.url, env }, use)
const get = (port: number, path: string, headers: string[] = []) =>
  send(port, path, { method: 'GET', headers })
const PRIVATE = ['/metrics', '/stats', '/health/webhook']

describe('the pages of the gateway', () => {
  it('say whether it is alive and ready, to everybody', () =>
    gateway(async ({ port }) => {
      const ready = await get(port, '/ready')
      expect(ready.status).toBe(200)
      expect(ready.headers['content-type']).toBe('application/json')
      expect(ready.json).toEqual({
        status: 'ok',
        redis: 'ok',
        version: 'v1',
        uptime_seconds: expect.any(Number),
      })
      expect(Number.isInteger(ready.json.uptime_seconds)).toBe(true)
      expect((await get(port, '/health')).json).toEqual({ status: 'ok' })
    }, production))

  it('answer HEAD like GET, without the body', () =>
    gateway(async ({ port }) => {
      const answer = await send(port, '/ready', { method: 'HEAD' })
      expect(answer.status).toBe(200)
      expect(Number(answer.headers['content-length'])).toBeGreaterThan(0)
      expect(answer.text).toBe('')
    }))

  it('tell more where that is open, as outside production', () =>
    gateway(async (running) => {
      const { port } = running
      await sendGithub(port, 'd-1')
      await sendGithub(port, 'd-1')
      const metrics = await get(port, '/metrics')
      expect(metrics.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/)
      expect(metrics.text).toContain('webhooks_received_total{path="/webhooks/:tool",status="202"} 1')
      expect(metrics.text).toContain('webhook_events_received_total{tool="github",outcome="accepted"} 1')
      expect(metrics.text).toContain('webhook_events_received_total{tool="github",outcome="duplicate"} 1')
      expect(metrics.text).toContain('webhook_rate_limit_redis_connected 1')
      expect(metrics.text).toContain('webhook_rate_limit_allowed_total 1')
      expect(metrics.text).toMatch(
        /webhook_ingest_stage_duration_seconds_bucket\{le="\+Inf",stage="total"\} 1/,
      )
      const stats = (await get(port, '/stats')).json
      expect(stats).toMatchObject({ status: 'ok', spool: { records: 0 }, witness: { held: 1 } })
      const health = (await get(port, '/health/webhook')).json
      expect(health).toEqual({
        status: 'ok',
        checks: {
          redis: { state: 'ok', age_ms: 0, redis_state: 'up' },
          spool: { state: 'ok', age_ms: 0, accepting: true, records: 0, bytes: 0, oldest_age_ms: 0 },
          lag: expect.objectContaining({ state: 'ok', messages: 1, unread: 1, pending: 0, parked: 0 }),
          ledger: expect.objectContaining({
            state: 'ok',
            verdict: 'balanced',
            accepted: 1,
            unaccounted: 0,
            group: true,
          }),
        },
      })
    }))

  it('want the token where it is not', () =>
    gateway(async ({ port }) => {
      for (const path of PRIVATE) {
        const refused = await get(port, path)
        expect(refused.status).toBe(401)
        expect(refused.json).toMatchObject({ code: 'TOKEN_REQUIRED' })
        expect(refused.headers['www-authenticate']).toBe('Bearer')
        expect((await get(port, path, ['Authorization', `Bearer ${TOKEN}x`])).status).toBe(401)
        expect((await get(port, path, ['Authorization', `Bearer ${TOKEN}`])).status).toBe(200)
      }
    }, production))

  it('are not there where they are not open and no token is set', () =>
    withGateway({ redisUrl: redis.url, flags: { 'observability.metrics.open': false } }, async ({ port }) => {
      for (const path of PRIVATE)
        expect((await get(port, path)).json).toMatchObject({ code: 'ROUTE_UNKNOWN' })
    }))

  it('never show labels that a sender made up', () =>
    gateway(async ({ port }) => {
      await sendGithub(port, 'd-1', '{}', '/webhooks/github/a-tenant-of-its-own')
      await send(port, '/webhooks/made-up-tool', { body: '{}' })
      await send(port, '/made/up/path', { body: '{}' })
      const { text } = await get(port, '/metrics')
      expect(text).not.toMatch(/a-tenant-of-its-own|made-up|made\/up/)
      expect(text).toContain('webhooks_received_total{path="unknown",status="404"} 1')
      expect(text).toContain('webhook_events_received_total{tool="unknown",outcome="refused"} 1')
    }))
})
