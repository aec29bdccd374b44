import { afterEach, describe, expect, it } from 'vitest'
import { freePort } from '../../scripts/free-port.ts'
import { birthOf } from '../../scripts/run-files.ts'
import { useRedis, withRedis } from './redis.ts'
import { useProcesses } from './use-processes.ts'

describe('withRedis', () => {
  it('brackets a fresh server and leaves nothing behind', async () => {
    const pid = await withRedis(async (redis, server) => {
      expect(await redis.dbsize()).toBe(0)
      expect(await redis.set('a', 1)).toBe('OK')
      return server.pid
    })
    expect(birthOf(pid)).toBeUndefined()
  })

  it('ends the server when the test fails, and passes the failure on', async () => {
    let pid = 0
    const failing = withRedis(async (_redis, server) => {
      pid = server.pid
      throw new Error('the test failed')
    })
    await expect(failing).rejects.toThrow('the test failed')
    expect(birthOf(pid)).toBeUndefined()
  })

  it('fails a test that leaves a connection open, naming it', async () => {
    const leaky = withRedis(async (redis) => {
      const forgotten = redis.duplicate({ connectionName: 'forgotten' })
      await forgotten.ping()
      afterLeak.push(() => forgotten.disconnect())
    })
    await expect(leaky).rejects.toThrow(/left connections to Redis open/)
  })

  const afterLeak: (() => void)[] = []
  afterEach(() => {
    for (const close of afterLeak.splice(0)) close()
  })
})

describe('useRedis', () => {
  const redis = useRedis()

  it('gives clients of one server', async () => {
    await redis.client().set('from-an-earlier-test', 1)
    expect(await redis.client().get('from-an-earlier-test')).toBe('1')
  })

  it('starts every test empty', async () => {
    expect(await redis.client().dbsize()).toBe(0)
    await redis.server.kill('SIGKILL')
    expect(redis.server.running).toBe(false)
  })

  it('runs again after a test that killed or paused it', async () => {
    expect(await redis.client().ping()).toBe('PONG')
    await redis.server.kill('SIGSTOP')
  })

  it('and after a pause', async () => {
    expect(await redis.client().ping()).toBe('PONG')
  })
})

describe('useProcesses', () => {
  const processes = useProcesses()
  const app = (source: string, env = {}) => processes.run(process.execPath, { args: ['-e', source], env })

  it('waits for a line, past or to come, and for the exit', async () => {
    const child = app('console.log("first"); console.error("port", 80 + 1); process.exitCode = 3')
    const port = await child.waitForLine(/^port (\d+)$/)
    expect(port[1]).toBe('81')
    expect(await child.exit).toEqual({ code: 3, signal: null })
    expect((await child.waitForLine(/^fir/)).input).toBe('first')
    expect(child.output()).toContain('first\n')
  })

  it('says what came instead of the line', async () => {
    const child = app('console.log("something else")')
    await expect(child.waitForLine(/never/)).rejects.toThrow(/ended \(exit code 0\)[\s\S]*something else/)
    const silent = app('setInterval(() => 0, 1000)')
    await expect(silent.waitForLine(/never/, { timeoutMs: 20 })).rejects.toThrow(
      'no line matched /never/ in 20 ms',
    )
  })

  it('waits for an answer over HTTP', async () => {
    const port = await freePort()
    const child = app(
      'let n = 0; http.createServer((_, res) => { res.statusCode = ++n < 3 ? 503 : 200; res.end("n" + n) }).listen(+process.env.PORT)',
      { PORT: String(port) },
    )
    expect(await child.waitForHttp(`http://127.0.0.1:${port}/`)).toBe('n3')
    expect(await child.kill()).toEqual({ code: null, signal: 'SIGTERM' })
    await expect(child.waitForHttp(`http://127.0.0.1:${port}/`)).rejects.toThrow('ended (signal SIGTERM)')
  })

  it('keeps the settings of the developer out', async () => {
    const child = app('console.log(Object.keys(process.env).sort().join())', { A: '1' })
    expect((await child.waitForLine(/A/)).input).toBe('A,HOME,PATH')
  })
})
