/** The gateway as a process: how it starts, stops, and what a kill leaves. */
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startRedis } from '../scripts/private-redis.ts'
import { SECRET, send, sendGithub, storedEvents, withGateway } from './support/gateway.ts'
import type { TestProcess } from './support/process.ts'
import { useRedis } from './support/redis.ts'
import { useProcesses } from './support/use-processes.ts'

const redis = useRedis()
const processes = useProcesses()
const POLL = { timeout: 15_000, interval: 20 }

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-process-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const start = (env: Record<string, string> = {}): TestProcess =>
  processes.start('apps/ingest/src/main.ts', {
    cwd: directory,
    env: {
      PORT: '0',
      REDIS_URL: redis.url,
      WEIR_DATA_DIR: join(directory, 'data'),
      GITHUB_WEBHOOK_SECRET: SECRET,
      ...env,
    },
  })

async function portOf(process: TestProcess): Promise<number> {
  const [line] = await process.waitForLine(/^\{.*"event":"listening".*\}$/)
  return (JSON.parse(line) as { port: number }).port
}

describe('the gateway process', () => {
  it('says in one line of its log where it listens', async () => {
    const process = start()
    const port = await portOf(process)
    expect(port).toBeGreaterThan(0)
    expect((await send(port, '/ready', { method: 'GET' })).status).toBe(200)
    await process.kill('SIGTERM')
  })

  it.each(['SIGTERM', 'SIGINT'] as const)('stops on %s with exit code 0', async (signal) => {
    const process = start()
    const port = await portOf(process)
    expect((await sendGithub(port, 'd-1')).status).toBe(202)
    const exit = await process.kill(signal)
    expect(exit).toMatchObject({ code: 0 })
    expect(await redis.client().hkeys('{webhook-events}:gateways')).toEqual([])
    // The witness stays: it is evidence.
    expect(await redis.client().hlen('{webhook-events}:witness')).toBe(1)
  })

  it.each([
    ['a configuration that is wrong', { PORT: 'eighty' }, /webhook\.ingest\.port/],
    ['an empty secret', { GITHUB_WEBHOOK_SECRET: '' }, /GITHUB_WEBHOOK_SECRET is empty/],
    ['a configuration file that does not exist', { CONFIG_FILE: 'nowhere.yaml' }, /nowhere\.yaml/],
  ])('does not start with %s, and says why', async (_, env, message) => {
    const process = start(env)
    expect(await process.exit).toMatchObject({ code: 1 })
    expect(process.output()).toMatch(message)
    expect(process.output()).not.toMatch(/\n\s+at /)
  })

  it('does not start on a spool that another gateway has', async () => {
    const first = start()
    await portOf(first)
    const second = start()
    expect(await second.exit).toMatchObject({ code: 1 })
    expect(second.output()).toMatch(/another process uses the spool directory/)
    await first.kill('SIGTERM')
  })

  it('does not start on a port that is taken', async () => {
    const first = start()
    const port = await portOf(first)
    const second = start({ PORT: String(port), WEIR_DATA_DIR: join(directory, 'other') })
    expect(await second.exit).toMatchObject({ code: 1 })
    expect(second.output()).toMatch(/cannot listen on .*EADDRINUSE.*PORT/)
    expect(second.output()).not.toMatch(/\n\s+at /)
    await first.kill('SIGTERM')
  })

  it('starts without a Redis that does not let it in, says why, and keeps events safe meanwhile', async () => {
    const closed = await startRedis({ args: ['--requirepass', 'the right one'] })
    const process = start({ REDIS_URL: closed.url, REDIS_PASSWORD: 'a wrong one' })
    const port = await portOf(process)
    await process.waitForLine(/"level":40.*(WRONGPASS|NOAUTH)/)
    expect((await send(port, '/ready', { method: 'GET' })).json).toMatchObject({ status: 'degraded' })
    expect((await sendGithub(port, 'd-1')).status).toBe(202)
    expect(process.output()).not.toContain('a wrong one')
    expect(await process.kill('SIGTERM')).toMatchObject({ code: 0 })
    await closed.stop()
  })

  it('killed in the middle of load, loses nothing that it answered, in the stream or in the spool', async () => {
    const accepted = new Map<string, string>()
    const agent = new Agent({ keepAlive: true, maxSockets: 8 })
    let process = start()
    let port = await portOf(process)
    let sent = 0
    let stop = false
    const sender = async (): Promise<void> => {
      while (!stop) {
        const delivery = `load-${sent++}`
        // A sender that gets no answer knows nothing: only what was answered counts.
        const answer = await sendGithub(port, delivery, `{"d":"${delivery}"}`).catch(() => undefined)
        if (answer?.status === 202) accepted.set(delivery, answer.json.event_id as string)
      }
    }
    const load = Promise.all(Array.from({ length: 8 }, sender))
    await expect.poll(() => accepted.size, POLL).toBeGreaterThan(100)
    await process.kill('SIGKILL')
    process = start()
    port = await portOf(process)
    const atRestart = accepted.size
    await expect.poll(() => accepted.size, POLL).toBeGreaterThan(atRestart + 100)
    await redis.server.kill('SIGKILL')
    const atOutage = accepted.size
    await expect.poll(() => accepted.size, POLL).toBeGreaterThan(atOutage + 100)
    await process.kill('SIGKILL')
    await redis.server.restart()
    process = start()
    port = await portOf(process)
    const atEnd = accepted.size
    await expect.poll(() => accepted.size, POLL).toBeGreaterThan(atEnd + 50)
    stop = true
    await load
    agent.destroy()
    const client = redis.client()
    const inStream = async () => new Set((await storedEvents(client)).map(({ id }) => id))
    const missing = async () => {
      const there = await inStream()
      return [...accepted.values()].filter((id) => !there.has(id))
    }
    await expect.poll(missing, POLL).toEqual([])
    // Redeliveries of all of them are known, under the same ids.
    for (const [delivery, id] of [...accepted].slice(-50)) {
      const again = await sendGithub(port, delivery, `{"d":"${delivery}"}`)
      expect(again.json).toEqual({ status: 'duplicate', event_id: id })
    }
    const ids = (await storedEvents(client)).map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    await process.kill('SIGTERM')
  })
})

describe('stopping', () => {
  it('answers the requests that are being worked on, and closes their connections', async () => {
    const client = redis.client()
    const agent = new Agent({ keepAlive: true })
    await withGateway({ redisUrl: redis.url }, async ({ port, gateway }) => {
      expect((await sendGithub(port, 'before')).headers.connection).not.toBe('close')
      await client.client('PAUSE', 300, 'ALL')
      const inFlight = Promise.all(Array.from({ length: 5 }, (_, i) => sendGithub(port, `d-${i}`)))
      await expect.poll(async () => (await send(port, '/stats', { method: 'GET' })).status, POLL).toBe(200)
      const stopped = gateway.stop()
      const answers = await inFlight
      expect(answers.map(({ status }) => status)).toEqual(new Array(5).fill(202))
      expect(answers.map(({ headers }) => headers.connection)).toEqual(new Array(5).fill('close'))
      await stopped
      await expect(sendGithub(port, 'after')).rejects.toThrow(/ECONNREFUSED/)
    })
    agent.destroy()
    expect(await storedEvents(client)).toHaveLength(6)
  })

  it('answers once more on a connection that a sender keeps, which closes it', () =>
    withGateway(
      { redisUrl: redis.url, settings: { 'ingest.lame_duck': '1h', 'ingest.shutdown_timeout': '1h' } },
      async ({ port, gateway }) => {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 })
        const ready = () => send(port, '/health', { method: 'GET', agent })
        expect((await ready()).headers.connection).not.toBe('close')
        const stopped = gateway.stop()
        const answer = await ready()
        expect([answer.status, answer.headers.connection]).toEqual([200, 'close'])
        // No connection is left, so nothing is waited for.
        await stopped
        agent.destroy()
      },
    ))

  it('is harmless when repeated', () =>
    withGateway({ redisUrl: redis.url }, async ({ gateway }) => {
      await Promise.all([gateway.stop(), gateway.stop()])
      await gateway.stop()
    }))

  it('cuts off a sender that does not come to an end', () =>
    withGateway(
      { redisUrl: redis.url, settings: { 'ingest.shutdown_timeout': '100ms' } },
      async ({ port, gateway }) => {
        const { connect } = await import('node:net')
        const socket = connect(port, '127.0.0.1')
        const closed = new Promise((resolve) => socket.once('close', resolve))
        await new Promise((resolve) =>
          socket.write('POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n', resolve),
        )
        await gateway.stop()
        await closed
      },
    ))
})
