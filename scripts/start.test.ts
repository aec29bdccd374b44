/** `pnpm start` as people run it: the real apps, a real Redis, signals. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestProcess } from '../tests/support/process.ts'
import { withRedis } from '../tests/support/redis.ts'
import { useProcesses } from '../tests/support/use-processes.ts'
import { freePort } from './free-port.ts'
import { birthOf } from './run-files.ts'

const START_TIMEOUT_MS = 25_000

interface World {
  readonly directory: string
  readonly gateway: string
  readonly operations: string
  readonly env: Readonly<Record<string, string>>
}

/** A place of its own for one start: ports, data directory, and a configuration for what has no variable. */
async function world(directory: string): Promise<World> {
  const [port, opsPort, consumer, curator] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ]
  const file = join(directory, `config-${port}.yaml`)
  const own = { consumer: { ops_port: consumer }, context_lifecycle: { curator: { ops_port: curator } } }
  writeFileSync(file, JSON.stringify({ webhook: own })) // JSON is YAML
  return {
    directory,
    gateway: `http://localhost:${port}`,
    operations: `http://localhost:${opsPort}`,
    env: {
      PORT: String(port),
      OPS_PORT: String(opsPort),
      CONFIG_FILE: file,
      WEIR_DATA_DIR: join(directory, `data-${port}`),
    },
  }
}

describe('pnpm start', () => {
  const processes = useProcesses()
  let directory = ''
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'weir-start-'))
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  const start = (env: Readonly<Record<string, string>>): TestProcess =>
    processes.start('scripts/run.mjs', { args: ['scripts/start.ts'], env })
  const isReady = (process: TestProcess) =>
    process.waitForLine(/^weir is ready$/, { timeoutMs: START_TIMEOUT_MS })
  const pidOf = (env: World['env'], name: string): number =>
    JSON.parse(readFileSync(join(env.WEIR_DATA_DIR ?? '', `run/${name}.json`), 'utf8')).pid
  const printed = async (process: TestProcess, pattern: RegExp): Promise<string> =>
    (await process.waitForLine(pattern))[1] ?? ''

  it('takes the printed event, settles it, shows the counts, and stops in order', async () => {
    const { gateway, env } = await world(directory)
    const started = start(env)
    await isReady(started)
    expect(JSON.parse(await started.waitForHttp(`${gateway}/ready`))).toMatchObject({
      status: 'ok',
      redis: 'ok',
    })

    const example = await printed(started, /^ {2}(body=.*)$/)
    const sent = processes.run('bash', { args: ['-c', example] })
    expect(await sent.exit).toEqual({ code: 0, signal: null })
    expect(sent.output()).toMatch(/HTTP\/1\.1 202 [\s\S]*"status":"accepted","event_id":"evt_/)

    const ledger = await printed(started, /^ {2}(curl -H .*\/ledger)$/)
    await expect
      .poll(async () => {
        const asked = processes.run('bash', { args: ['-c', ledger] })
        await asked.exit
        return asked.output()
      })
      .toMatch(/"accepted":1,"settled":1,.*"unaccounted":0/)
    await started.waitForLine(/^accepted 1 · settled 1 · unread 0 · .* · unaccounted 0$/)

    const secrets = join(env.WEIR_DATA_DIR ?? '', 'secrets.json')
    expect(statSync(secrets).mode & 0o777).toBe(0o600)
    for (const value of Object.values(JSON.parse(readFileSync(secrets, 'utf8')))) {
      expect(started.output()).toContain(value)
    }

    const pids = ['gateway', 'consumer', 'console', 'redis'].map((name) => pidOf(env, name))
    expect(await started.kill('SIGINT')).toEqual({ code: 0, signal: null })
    expect(started.output()).toMatch(
      /SIGINT: stopping gateway, consumer, curator, console, Redis[\s\S]*stopped\n$/,
    )
    expect(pids.map(birthOf)).toEqual([undefined, undefined, undefined, undefined])
  })

  it('starts the consumer again when it is killed, while the gateway goes on', async () => {
    const { gateway, env } = await world(directory)
    const started = start(env)
    await isReady(started)
    const gatewayPid = pidOf(env, 'gateway')
    process.kill(pidOf(env, 'consumer'), 'SIGKILL')
    await started.waitForLine(/^consumer ended \(signal SIGKILL\); starting it again in /)
    await started.waitForLine(/^consumer runs again/)
    expect(pidOf(env, 'gateway')).toBe(gatewayPid)
    await started.waitForHttp(`${gateway}/ready`)
    expect(await started.kill('SIGTERM')).toEqual({ code: 0, signal: null })
  })

  it('uses the Redis that is given, and starts none', async () => {
    await withRedis(async (redis, server) => {
      const { env } = await world(directory)
      const started = start({ ...env, REDIS_URL: server.url })
      await isReady(started)
      expect(started.output()).toContain('Redis       as configured')
      await expect.poll(() => redis.call('XINFO', 'GROUPS', 'webhook-events')).toHaveLength(1)
      expect(await started.kill()).toEqual({ code: 0, signal: null })
    })
  })

  it('says which port is taken and how to choose another', async () => {
    const { env } = await world(directory)
    const holder = createServer().listen(Number(env.PORT))
    const started = start(env)
    expect(await started.exit).toEqual({ code: 1, signal: null })
    expect(started.output()).toContain(
      `weir: port ${env.PORT}, which the gateway wants, is taken by another program. Choose another with PORT=…`,
    )
    holder.close()
  })

  it('does not start with a wrong configuration, nor in production without a token', async () => {
    const { env } = await world(directory)
    const wrong = start({ ...env, PORT: '80a' })
    expect(await wrong.exit).toEqual({ code: 1, signal: null })
    expect(wrong.output()).toContain('webhook.ingest.port (PORT): found "80a"')
    const production = start({ ...env, NODE_ENV: 'production' })
    expect(await production.exit).toEqual({ code: 1, signal: null })
    expect(production.output()).toContain('OPS_TOKEN')
  })
})
