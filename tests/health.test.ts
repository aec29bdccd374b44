/** Health as real processes tell it: alone, together, and while Redis is away. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { APPS_TOKEN, type Apps, COMPONENTS, type Component, startApps } from './support/apps.ts'
import { sendGithub } from './support/gateway.ts'
import { useRedis } from './support/redis.ts'
import { useProcesses } from './support/use-processes.ts'

const redis = useRedis({ appendfsync: 'no', openConnections: 'allowed' })
const processes = useProcesses()
let directory = ''
const closing: (() => void)[] = []
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-health-'))
})
afterEach(() => {
  for (const close of closing.splice(0)) close()
  rmSync(directory, { recursive: true, force: true })
})

interface Health {
  readonly status: string
  readonly checks: Readonly<Record<string, { readonly state: string; readonly age_ms: number | null }>>
}

const PATIENT = { timeout: 20_000 }
const STATES = ['ok', 'degraded', 'failing', 'unknown', 'off']

/** Something outside that counts who asks. */
async function countedServer() {
  const asked: (string | undefined)[] = []
  const server = createServer((request, response) => {
    asked.push(request.url)
    response.writeHead(503).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

async function ask(apps: Apps, component: Component, path: string, token = APPS_TOKEN) {
  const headers = { authorization: `Bearer ${token}` }
  const response = await fetch(`${apps[component].url}${path}`, { headers })
  return { http: response.status, json: (await response.json()) as Record<string, unknown> }
}

async function health(apps: Apps, component: Component): Promise<Health & { readonly http: number }> {
  const { http, json } = await ask(apps, component, '/health/webhook')
  return { http, ...(json as unknown as Health) }
}

describe('the health of real processes', () => {
  it('has one shape everywhere, follows Redis, and asks nobody outside', async () => {
    const s3 = await countedServer()
    const ai = await countedServer()
    const apps = await startApps(processes, {
      directory,
      env: {
        REDIS_URL: redis.url,
        S3_ENDPOINT: s3.url,
        S3_BUCKET: 'bucket',
        AWS_ACCESS_KEY_ID: 'AKIA',
        AWS_SECRET_ACCESS_KEY: 'secret',
        OPENAI_API_KEY: 'sk-test',
      },
      ai: {
        base_url: ai.url,
        embedding: { provider: 'openai', model: 'text-embedding-3-small' },
        enrichment: { provider_quiet: '1h', provider_max_delay: '2h' },
      },
    })
    expect((await sendGithub(apps.gateway.port, 'd-1')).status).toBe(202)
    await expect.poll(async () => (await health(apps, 'console')).status, PATIENT).toBe('ok')

    for (const component of COMPONENTS) {
      for (let round = 0; round < 5; round++) {
        const { http, status, checks } = await health(apps, component)
        expect({ http, status }, component).toEqual({ http: 200, status: 'ok' })
        for (const [name, { state, age_ms: age }] of Object.entries(checks)) {
          expect(STATES, `${component} ${name}`).toContain(state)
          expect(age === null || (Number.isInteger(age) && age >= 0), `${component} ${name}`).toBe(true)
        }
      }
      expect(await ask(apps, component, '/health')).toEqual({ http: 200, json: { status: 'ok' } })
      expect(await ask(apps, component, '/ready')).toEqual({
        http: 200,
        json: { status: 'ok', redis: 'ok', version: 'v1', uptime_seconds: expect.any(Number) },
      })
      expect((await ask(apps, component, '/stats')).http).toBe(200)
    }
    // Configured, and not used since the start: nobody knows, and nobody was asked.
    const { checks } = await health(apps, 'console')
    expect(checks.cold_storage).toMatchObject({ state: 'unknown', age_ms: null, kind: 's3' })
    expect(checks.ai).toMatchObject({ state: 'unknown', age_ms: null })
    expect(checks).toMatchObject({
      consumers: { alive: 1 },
      gateways: { alive: 1 },
      curators: { alive: 1 },
      ledger: { accepted: 1 },
      spool: { state: 'ok', gateways: 1, accepting: true },
    })
    expect({ s3: s3.asked, ai: ai.asked }).toEqual({ s3: [], ai: [] })

    await redis.server.kill('SIGKILL')
    for (const component of ['consumer', 'curator', 'console'] as const) {
      await expect
        .poll(() => health(apps, component), PATIENT)
        .toMatchObject({
          http: 503,
          status: 'failing',
          checks: { redis: { state: 'failing' } },
        })
      expect(await ask(apps, component, '/ready')).toMatchObject({
        http: 503,
        json: { status: 'degraded', redis: 'disconnected' },
      })
      expect((await ask(apps, component, '/health')).http).toBe(200)
    }
    // A gateway does its work without Redis, as long as its spool takes events.
    expect((await sendGithub(apps.gateway.port, 'd-2')).status).toBe(202)
    await expect
      .poll(() => health(apps, 'gateway'), PATIENT)
      .toMatchObject({
        http: 200,
        status: 'degraded',
        checks: {
          redis: { state: 'failing' },
          spool: { state: 'degraded', accepting: true, records: 1 },
          lag: { state: 'unknown', age_ms: null },
          ledger: { state: 'unknown', age_ms: null },
        },
      })
    expect(await ask(apps, 'gateway', '/ready')).toMatchObject({
      http: 200,
      json: { status: 'degraded', redis: 'disconnected' },
    })
    const metrics = await (await fetch(`${apps.console.url}/metrics`)).text()
    expect(metrics).toMatch(/^webhook_consumer_lag_known 0$/m)
    expect(metrics).toMatch(/^webhook_redis_connected 0$/m)
    expect(metrics).not.toMatch(/^webhook_consumer_lag_messages /m)

    await redis.server.restart()
    for (const component of COMPONENTS)
      await expect.poll(async () => (await health(apps, component)).status, PATIENT).toBe('ok')
    for (const component of COMPONENTS)
      expect(await apps[component].process.kill('SIGTERM'), component).toMatchObject({ code: 0 })
    expect(await redis.client().exists('{webhook-events}:health')).toBe(0)
  }, 90_000)

  it('is for operators alone where metrics are not open', async () => {
    const apps = await startApps(processes, {
      directory,
      env: { REDIS_URL: redis.url },
      observability: { metrics: { open: false } },
    })
    for (const component of COMPONENTS) {
      for (const path of ['/health/webhook', '/stats'])
        expect((await ask(apps, component, path, 'wrong')).http, `${component}${path}`).toBe(401)
      expect((await health(apps, component)).http, component).toBe(200)
      expect((await ask(apps, component, '/ready', 'wrong')).http, component).toBe(200)
      expect((await fetch(`${apps[component].url}/metrics`)).status, component).toBe(401)
      await apps[component].process.kill('SIGTERM')
    }
  }, 60_000)
})
