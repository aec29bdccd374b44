import { Counter, Registry } from 'prom-client'
import { afterEach, describe, expect, it } from 'vitest'
import type { HealthDocument } from './health/document.ts'
import { type OpsServer, type OpsServerDeps, startOpsServer } from './ops-server.ts'

const servers: OpsServer[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()))
})
const registry = new Registry()
const attempts = new Counter({
  name: 'webhook_event_attempts_total',
  help: 'Attempts',
  labelNames: ['tool', 'outcome'],
  registers: [registry],
})
const calm = { redis: true, held: 2, running: 1, unsettled: 0, last_read_ms: 3 }
const healthy: HealthDocument = { status: 'ok', checks: { redis: { state: 'ok', age_ms: 0 } } }

async function start(deps: Partial<OpsServerDeps> = {}) {
  const server = await startOpsServer(
    {
      state: () => calm,
      health: async () => healthy,
      registry,
      uptimeSeconds: () => 12.7,
      metricsToken: undefined,
      ...deps,
    },
    '127.0.0.1',
    0,
    'webhook.consumer.ops_port',
  )
  servers.push(server)
  return (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${server.port}${path}`, init)
}
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

describe('the server for probes and scrapers', () => {
  it('/health says that the process lives, whatever Redis does', async () => {
    const get = await start({ state: () => ({ ...calm, redis: false }) })
    const response = await get('/health')
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ status: 'ok' })
  })

  it('/ready is 200 with Redis, 503 without', async () => {
    const ready = await (await start())('/ready')
    expect(ready.status).toBe(200)
    expect(ready.headers.get('content-type')).toBe('application/json')
    expect(await ready.json()).toEqual({ status: 'ok', redis: 'ok', version: 'v1', uptime_seconds: 12 })
    const without = await (await start({ state: () => ({ ...calm, redis: false }) }))('/ready')
    expect(without.status).toBe(503)
    expect(await without.json()).toMatchObject({ status: 'degraded', redis: 'disconnected' })
  })

  it('/metrics, /stats and /health/webhook are open when so configured', async () => {
    const get = await start()
    attempts.inc({ tool: 'github', outcome: 'settled' })
    const response = await get('/metrics')
    expect(response.headers.get('content-type')).toContain('text/plain')
    expect(await response.text()).toContain('webhook_event_attempts_total{tool="github",outcome="settled"} 1')
    expect(await (await get('/stats')).json()).toEqual(calm)
    expect(await (await get('/health/webhook')).json()).toEqual(healthy)
  })

  it.each(['/metrics', '/stats', '/health/webhook'])('%s otherwise needs the token', async (path) => {
    const get = await start({ metricsToken: 'secret' })
    for (const init of [
      {},
      bearer('wrong'),
      bearer('secret2'),
      bearer(''),
      { headers: { authorization: 'secret' } },
    ]) {
      const response = await get(path, init)
      expect(response.status).toBe(401)
      expect(await response.text()).toContain('Authorization: Bearer')
    }
    expect((await get(path, bearer('secret'))).status).toBe(200)
    expect((await get('/ready')).status).toBe(200)
  })

  it('an empty token opens nothing', async () => {
    const get = await start({ metricsToken: '' })
    expect((await get('/metrics')).status).toBe(401)
    expect((await get('/metrics', bearer(''))).status).toBe(401)
    expect((await get('/metrics', { headers: { authorization: 'Bearer  ' } })).status).toBe(401)
  })

  it('does not mind a query, answers HEAD, refuses the rest', async () => {
    const get = await start()
    expect((await get('/ready?verbose')).status).toBe(200)
    expect((await get('/ready', { method: 'HEAD' })).status).toBe(200)
    const post = await get('/ready', { method: 'POST', body: 'x' })
    expect(post.status).toBe(405)
    expect(post.headers.get('allow')).toBe('GET, HEAD')
    expect((await get('/')).status).toBe(404)
    expect((await get('//etc')).status).toBe(404)
  })

  it('a metric that cannot be collected is a 500, not a crash', async () => {
    const broken = new Registry()
    broken.metrics = () => Promise.reject(new Error('no'))
    const get = await start({ registry: broken })
    expect((await get('/metrics')).status).toBe(500)
    expect((await get('/health')).status).toBe(200)
  })

  it('/health/webhook is 200 while the work is done, well or not so well, and 503 while it is not', async () => {
    let status: HealthDocument['status'] = 'degraded'
    const get = await start({ health: async () => ({ ...healthy, status }) })
    expect((await get('/health/webhook')).status).toBe(200)
    status = 'failing'
    const response = await get('/health/webhook')
    expect(response.status).toBe(503)
    expect(await response.json()).toEqual({ ...healthy, status })
  })

  it('/metrics is not there where nothing is measured, and says why', async () => {
    const response = await (await start({ registry: undefined }))('/metrics')
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ detail: expect.stringContaining('metrics.enabled') })
  })

  it('health that cannot be told is a 500, not a crash', async () => {
    const get = await start({ health: () => Promise.reject(new Error('no')) })
    const response = await get('/health/webhook')
    expect(response.status).toBe(500)
    expect(await response.json()).toMatchObject({ detail: 'no' })
  })

  it('says when its port is taken', async () => {
    await start()
    const { port } = servers[0] as OpsServer
    const deps = {
      state: () => calm,
      health: async () => healthy,
      registry,
      uptimeSeconds: () => 0,
      metricsToken: undefined,
    }
    await expect(startOpsServer(deps, '127.0.0.1', port, 'webhook.consumer.ops_port')).rejects.toThrow(
      /EADDRINUSE/,
    )
  })

  it('closes although a client holds its connection open', async () => {
    const get = await start()
    await get('/health')
    await servers.splice(0)[0]?.close()
    await expect(get('/health')).rejects.toThrow()
  })
})
