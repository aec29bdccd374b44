import { describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { useProcesses } from '../../../tests/support/use-processes.ts'

const redis = useRedis({ appendfsync: 'no', openConnections: 'allowed' })
const processes = useProcesses()
const MAIN = 'apps/console/src/main.ts'

describe('the process', () => {
  it('says on which port it listens, answers, and ends cleanly on SIGTERM', async () => {
    const env = { OPS_PORT: '0', OPS_TOKEN: 'secret-token', REDIS_URL: redis.url }
    const app = processes.start(MAIN, { env })
    const line = await app.waitForLine(/^\{.*"msg":"listening".*\}$/)
    const { port } = JSON.parse(line[0]) as { port: number }
    await app.waitForHttp(`http://127.0.0.1:${port}/ready`)
    const ledger = await app.waitForHttp(`http://127.0.0.1:${port}/ledger`, {
      headers: { authorization: 'Bearer secret-token' },
    })
    expect(JSON.parse(ledger)).toMatchObject({ accepted: 0, unaccounted: 0 })
    expect(await app.kill('SIGTERM')).toEqual({ code: 0, signal: null })
    expect(app.output()).not.toContain('secret-token')
    expect(app.output()).not.toContain('Deprecation')
  })

  it('listens while Redis is away', async () => {
    const env = { OPS_PORT: '0', OPS_TOKEN: 'secret-token', REDIS_URL: 'redis://127.0.0.1:1' }
    const app = processes.start(MAIN, { env })
    const { port } = JSON.parse((await app.waitForLine(/^\{.*"msg":"listening".*\}$/))[0]) as { port: number }
    await app.waitForHttp(`http://127.0.0.1:${port}/ready`, { accept: (status) => status === 503 })
    await app.waitForHttp(`http://127.0.0.1:${port}/health`)
    expect(await app.kill('SIGINT')).toEqual({ code: 0, signal: null })
  })

  it('refuses to start without a token, and says what to do', async () => {
    const app = processes.start(MAIN, { env: { OPS_PORT: '0', REDIS_URL: redis.url } })
    expect(await app.exit).toEqual({ code: 1, signal: null })
    expect(app.output()).toContain('set OPS_TOKEN')
  })

  it('writes to the audit trail what it did, and whom it refused', async () => {
    const env = {
      OPS_PORT: '0',
      OPS_TOKEN: 'secret-token',
      REDIS_URL: redis.url,
      WEBHOOK_AUDIT_LOGGING: 'true',
    }
    const app = processes.start(MAIN, { env })
    const { port } = JSON.parse((await app.waitForLine(/^\{.*"msg":"listening".*\}$/))[0]) as { port: number }
    const url = `http://127.0.0.1:${port}/dlq/1-1/replay`
    await fetch(url, { method: 'POST' })
    await fetch(url, { method: 'POST', headers: { authorization: 'Bearer secret-token' } })
    expect(await app.kill('SIGTERM')).toEqual({ code: 0, signal: null })
    const trail = (await redis.client().xrange('{webhook-events}:audit', '-', '+')).map(([, [, line]]) =>
      JSON.parse(line ?? ''),
    )
    expect(trail.map(({ action, outcome }) => `${action}: ${outcome}`).sort()).toEqual([
      'dlq.replay: absent',
      'dlq.replay: intended',
      'operations.access: refused',
    ])
    const keyless = processes.start(MAIN, { env: { ...env, WEBHOOK_AUDIT_SIGNING_KEY_FILE: '/nowhere.pem' } })
    expect(await keyless.exit).toEqual({ code: 1, signal: null })
    expect(keyless.output()).toContain('webhook.security.audit_signing_key_file')
  })

  it('names every problem of a wrong configuration', async () => {
    const app = processes.start(MAIN, { env: { OPS_PORT: 'eighty', OPS_TOKEN: 'a b', REDIS_URL: redis.url } })
    expect(await app.exit).toEqual({ code: 1, signal: null })
    expect(app.output()).toContain('webhook.ops.port')
    expect(app.output()).toContain('webhook.ops.token')
  })
})
