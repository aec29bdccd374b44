import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { type RedisServer, type RedisServerOptions, startRedis } from './private-redis.ts'
import { birthOf } from './run-files.ts'

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(options?: RedisServerOptions): Promise<RedisServer> {
  const server = await startRedis(options)
  cleanups.push(() => server.stop())
  return server
}

function connect(server: RedisServer): Redis {
  const redis = new Redis(server.url, { retryStrategy: () => null })
  redis.on('error', (error) => expect.soft(error).toBeUndefined())
  cleanups.push(() => redis.disconnect())
  return redis
}

async function setting(redis: Redis, name: string): Promise<string | undefined> {
  const reply = await redis.config('GET', name)
  return Array.isArray(reply) ? String(reply[1]) : undefined
}

describe('the private Redis', () => {
  it('fsyncs every write, evicts nothing, listens on loopback only', async () => {
    const redis = connect(await start())
    expect(await setting(redis, 'appendonly')).toBe('yes')
    expect(await setting(redis, 'appendfsync')).toBe('always')
    expect(await setting(redis, 'save')).toBe('')
    expect(await setting(redis, 'maxmemory-policy')).toBe('noeviction')
    expect(await setting(redis, 'bind')).toBe('127.0.0.1')
    expect(await setting(redis, 'protected-mode')).toBe('yes')
  })

  it('takes further server options, which win', async () => {
    const redis = connect(await start({ appendfsync: 'everysec', args: ['--maxmemory', '8mb'] }))
    expect(await setting(redis, 'appendfsync')).toBe('everysec')
    expect(await setting(redis, 'maxmemory')).toBe(String(8 << 20))
  })

  it('keeps every acknowledged write over SIGKILL, on the same port', async () => {
    const server = await start()
    const before = connect(server)
    await before.set('kept', 'yes')
    before.disconnect()
    const { pid } = server
    await server.restart('SIGKILL')
    expect(server.pid).not.toBe(pid)
    expect(await connect(server).get('kept')).toBe('yes')
  })

  it('deletes a temporary directory at stop and keeps a given one', async () => {
    const temporary = await start()
    const given = mkdtempSync(join(tmpdir(), 'weir-test-'))
    cleanups.push(() => rmSync(given, { recursive: true }))
    const kept = await start({ directory: given })
    await Promise.all([temporary.stop(), kept.stop()])
    expect(existsSync(temporary.directory)).toBe(false)
    expect(existsSync(join(given, 'appendonlydir'))).toBe(true)
  })

  it('stops even while it is paused', async () => {
    const given = mkdtempSync(join(tmpdir(), 'weir-test-'))
    cleanups.push(() => rmSync(given, { recursive: true }))
    const server = await start({ directory: given })
    await server.kill('SIGSTOP')
    await server.stop()
    expect(await server.exit).toMatchObject({ code: 0 })
  })

  it('says whether it is paused', async () => {
    const server = await start()
    expect(server.paused).toBe(false)
    await server.kill('SIGSTOP')
    expect([server.running, server.paused]).toEqual([true, true])
    await server.kill('SIGCONT')
    expect(server.paused).toBe(false)
    await server.kill('SIGSTOP')
    await server.kill('SIGKILL')
    expect([server.running, server.paused]).toEqual([false, false])
  })

  it('finds its configuration file as the server has rewritten it', async () => {
    const server = await start({ config: ['timeout 7'], args: ['--hz', '20'] })
    const redis = connect(server)
    expect(await setting(redis, 'timeout')).toBe('7')
    expect(await setting(redis, 'hz')).toBe('20')
    await redis.config('SET', 'timeout', 8)
    await redis.config('REWRITE')
    redis.disconnect()
    await server.restart()
    expect(await setting(connect(server), 'timeout')).toBe('8')
  })

  it('says which port is taken', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    cleanups.push(() => void holder.close())
    const address = holder.address()
    const port = typeof address === 'object' && address ? address.port : 0
    await expect(start({ port })).rejects.toThrow(`port ${port} is taken`)
  })

  it('says what the server said when it cannot start', async () => {
    await expect(start({ args: ['--no-such-option', '1'] })).rejects.toThrow(/no-such-option/)
    await expect(start({ binary: '/no/such/program' })).rejects.toThrow(/ENOENT|exit code 127/)
  })

  it.runIf(process.platform === 'linux')('dies with a parent that is killed', async () => {
    const script = `import { startRedis } from ${JSON.stringify(new URL('./private-redis.ts', import.meta.url).href)}
      const server = await startRedis()
      console.log(server.pid + ' ' + server.directory)
      setInterval(() => 0, 1000)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    cleanups.push(() => void parent.kill('SIGKILL'))
    const [line] = await once(createInterface({ input: parent.stdout }), 'line')
    const [pid, directory] = String(line).split(' ')
    cleanups.push(() => rmSync(directory ?? '', { recursive: true }))
    parent.kill('SIGKILL')
    await expect.poll(() => birthOf(Number(pid))).toBeUndefined()
  })
})
