import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '@weir/core/clock'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { useProcesses } from '../../tests/support/use-processes.ts'
import { freePort } from '../free-port.ts'
import { startRedis } from '../private-redis.ts'
import { birthOf, runFiles } from '../run-files.ts'
import type { AppPlan } from './app-process.ts'
import { type Stack, startStack } from './stack.ts'

/**
 * A stand-in for an app: serves 200 {} on its port, notes in `order` when it is asked to stop, and whether Redis
 * still answers then. `source` comes first and may do something else.
 */
const FIXTURE = `
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { appendFileSync } from 'node:fs'
const { name, port } = PLAN
const note = (text) => appendFileSync(process.env.ORDER, name + ' ' + text + '\\n')
createServer((_, response) => response.end('{}')).listen(port, '127.0.0.1', () => note('up'))
process.on('SIGINT', () => note('got SIGINT'))
process.on('SIGTERM', () => {
  const redis = connect(new URL(process.env.REDIS_URL).port, '127.0.0.1', () => redis.write('PING\\r\\n'))
  redis.on('error', () => { note('stops without Redis'); process.exit(0) })
  redis.on('data', (answer) => { note('stops, Redis says ' + String(answer).trim()); process.exit(0) })
})
`

let directory = ''
let said: string[] = []
let stacks: Stack[] = []
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-stack-'))
  said = []
  stacks = []
})
afterEach(async () => {
  for (const stack of stacks) await stack.stop()
  rmSync(directory, { recursive: true, force: true })
})

const dataDirectory = () => join(directory, 'data')
const order = () => readFileSync(join(directory, 'order'), 'utf8').trim().split('\n')

async function app(name: string, source = ''): Promise<AppPlan> {
  const port = await freePort()
  const script = join(directory, `${name}.mjs`)
  writeFileSync(script, `const PLAN = ${JSON.stringify({ name, port })}\n${source}\n${FIXTURE}`)
  return {
    name,
    script,
    shutdownMs: 5_000,
    ports: [{ port, choose: `Choose another for ${name}` }],
    ready: { url: `http://127.0.0.1:${port}/` },
  }
}

async function start(apps: readonly AppPlan[], clock: Clock = systemClock): Promise<Stack> {
  const stack = await startStack({
    dataDirectory: dataDirectory(),
    privateRedis: true,
    apps,
    env: { PATH: process.env.PATH ?? '', ORDER: join(directory, 'order') },
    say: (line) => said.push(line),
    clock,
  })
  stacks.push(stack)
  return stack
}

const pidOf = (name: string) => runFiles(join(dataDirectory(), 'run')).read(name)?.pid ?? 0
const connect = (url: string | undefined) => new Redis(url ?? '', { retryStrategy: () => null })

describe('the stack', () => {
  it('starts Redis and the apps, and stops the apps in order while Redis still serves', async () => {
    const stack = await start([await app('gateway'), await app('consumer'), await app('console')])
    expect(order().sort()).toEqual(['console up', 'consumer up', 'gateway up'])
    const pids = ['redis', 'gateway', 'consumer', 'console'].map(pidOf)
    await Promise.all([stack.stop(), stack.stop()])
    expect(order().slice(3)).toEqual([
      'gateway stops, Redis says +PONG',
      'consumer stops, Redis says +PONG',
      'console stops, Redis says +PONG',
    ])
    expect(pids.map(birthOf)).toEqual([undefined, undefined, undefined, undefined])
  })

  it('keeps the data and the port of Redis from start to start', async () => {
    const first = await start([])
    const redis = connect(first.redisUrl)
    await redis.set('kept', 'yes')
    redis.disconnect()
    await first.stop()
    const second = await start([])
    expect(second.redisUrl).toBe(first.redisUrl)
    const again = connect(second.redisUrl)
    expect(await again.get('kept')).toBe('yes')
    again.disconnect()
  })

  it('starts again what dies, and leaves the others alone', async () => {
    await start([await app('gateway'), await app('consumer')])
    const before = { gateway: pidOf('gateway'), consumer: pidOf('consumer'), redis: pidOf('redis') }
    process.kill(before.consumer, 'SIGKILL')
    process.kill(before.redis, 'SIGKILL')
    await expect.poll(() => said.filter((line) => line.includes('runs again')).length).toBe(2)
    expect(said).toContainEqual('consumer ended (signal SIGKILL); starting it again in 0.25 s')
    expect(pidOf('gateway')).toBe(before.gateway)
    expect(pidOf('consumer')).not.toBe(before.consumer)
    await expect.poll(() => order().filter((line) => line === 'consumer up').length).toBe(2)
  })

  it('gives up on what dies again and again', async () => {
    const impatient: Clock = { ...systemClock, wait: (_ms, signal) => systemClock.wait(1, signal) }
    const stack = await start([await app('gateway')], impatient)
    writeFileSync(join(directory, 'gateway.mjs'), 'process.exit(9)')
    process.kill(pidOf('gateway'), 'SIGKILL')
    expect(await stack.gaveUp).toBe('gateway ended five times within a minute (last: exit code 9)')
  })

  it('shows warnings and errors of the apps, and keeps everything in their log files', async () => {
    const lines = [
      { level: 30, msg: 'quiet' },
      { level: 50, msg: 'loud', err: { message: 'why' } },
    ]
    const stack = await start([
      await app('gateway', lines.map((line) => `console.log('${JSON.stringify(line)}')`).join('\n')),
    ])
    await expect.poll(() => said).toContainEqual('gateway: ERROR: loud (why)')
    expect(said.join()).not.toContain('quiet')
    await stack.stop()
    expect(readFileSync(join(dataDirectory(), 'logs/gateway.log'), 'utf8')).toContain('quiet')
    expect(readFileSync(join(dataDirectory(), 'logs/redis.log'), 'utf8')).toContain(
      'Ready to accept connections',
    )
  })

  it('does not drown the screen in the warnings of an outage', async () => {
    const flood = `for (let n = 1; n <= 1000; n += 1) console.log('{"level":40,"msg":"away","n":' + n + '}')`
    const stack = await start([await app('gateway', flood)])
    await stack.stop()
    expect(said.filter((line) => line.includes('away'))).toHaveLength(20)
    expect(
      readFileSync(join(dataDirectory(), 'logs/gateway.log'), 'utf8').split('\n').length,
    ).toBeGreaterThan(1000)
  })

  it('says why it could not start, and leaves nothing running', async () => {
    const broken = await app('consumer', 'throw new Error("no configuration")')
    await expect(start([await app('gateway'), broken])).rejects.toThrow(
      /^consumer ended while starting \(exit code 1\); see .*consumer\.log$/,
    )
    expect(said.join('\n')).toContain('no configuration')
    // Notes of running processes: none is left.
    expect(readdirSync(join(dataDirectory(), 'run'))).toEqual([])
  })

  it('says which port is taken and how to choose another', async () => {
    const first = await app('gateway')
    await start([first])
    mkdirSync(join(directory, 'other'))
    const other = startStack({
      dataDirectory: join(directory, 'other'),
      privateRedis: false,
      apps: [first],
      env: {},
      say: () => undefined,
    })
    const port = first.ports[0]?.port
    await expect(other).rejects.toThrow(
      `port ${port}, which the gateway wants, is taken by another program. Choose another for gateway`,
    )
  })

  it('does not share its data directory with another start', async () => {
    await start([])
    await expect(start([])).rejects.toThrow(`is in use by process ${process.pid}`)
  })

  it('can be hurried', async () => {
    const deaf = await app(
      'gateway',
      `process.on('SIGTERM', () => note('ignores SIGTERM')); process.on = () => process`,
    )
    const stack = await start([{ ...deaf, shutdownMs: 600_000 }, await app('consumer')])
    const stopping = stack.stop()
    await expect.poll(() => order()).toContain('gateway ignores SIGTERM')
    stack.hurry()
    await stopping
    expect(order().join()).not.toContain('stops')
  })

  it('gives up starting when it is asked to', async () => {
    const never = await app('gateway')
    const abort = new AbortController()
    const starting = startStack({
      dataDirectory: dataDirectory(),
      privateRedis: false,
      apps: [{ ...never, ready: { url: 'http://127.0.0.1:1/' } }],
      env: { ORDER: join(directory, 'order'), REDIS_URL: 'redis://127.0.0.1:1' },
      say: () => undefined,
      signal: abort.signal,
    })
    await expect.poll(() => order()).toEqual(['gateway up'])
    abort.abort()
    await expect(starting).rejects.toThrow('stopped while starting')
    expect(order().at(-1)).toBe('gateway stops without Redis')
  })
})

describe('after a start that was killed', () => {
  const processes = useProcesses()

  it('ends the Redis and the apps it left behind, and goes on with the data', async () => {
    // As a killed start leaves them where nothing ties children to their parent.
    const files = runFiles(join(dataDirectory(), 'run'))
    const left = await startRedis({ directory: join(dataDirectory(), 'redis') })
    const redis = connect(left.url)
    await redis.set('kept', 'yes')
    redis.disconnect()
    files.write('redis', left.pid, left.port)
    writeFileSync(join(dataDirectory(), 'redis/last-port'), String(left.port))
    const plan = await app('gateway')
    const old = processes.run(process.execPath, {
      args: [plan.script],
      env: { ORDER: join(directory, 'order'), REDIS_URL: left.url },
    })
    await expect.poll(() => order()).toEqual(['gateway up'])
    files.write('gateway', old.pid)
    writeFileSync(
      join(dataDirectory(), 'run/start.json'),
      JSON.stringify({ pid: 2 ** 22 - 1, birth: 'long ago' }),
    )

    const stack = await start([plan])
    expect(said).toEqual([
      'stopped the gateway that an earlier start left behind',
      'stopped the redis that an earlier start left behind',
    ])
    expect(order()).toEqual(['gateway up', 'gateway stops, Redis says +PONG', 'gateway up'])
    expect(stack.redisUrl).toBe(left.url)
    const again = connect(stack.redisUrl)
    expect(await again.get('kept')).toBe('yes')
    again.disconnect()
  })

  it.runIf(process.platform === 'linux')(
    'nothing is left behind where children are tied to their parent',
    async () => {
      const plan = await app('gateway')
      const source = `
      import { startStack } from ${JSON.stringify(new URL('./stack.ts', import.meta.url).href)}
      await startStack({ dataDirectory: ${JSON.stringify(dataDirectory())}, privateRedis: true,
        apps: [${JSON.stringify(plan)}], env: { ORDER: process.env.ORDER }, say: console.log })
      console.log('up')`
      const parent = processes.run(process.execPath, {
        args: ['--input-type=module', '-e', source],
        env: { ORDER: join(directory, 'order') },
      })
      await parent.waitForLine(/^up$/)
      const pids = [pidOf('redis'), pidOf('gateway')]
      await parent.kill('SIGKILL')
      await expect.poll(() => pids.map(birthOf)).toEqual([undefined, undefined])
    },
  )
})
