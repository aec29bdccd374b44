import { mkdirSync, rmdirSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { inspect } from 'node:util'
import type { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { startProxy } from '../../../../tests/support/proxy.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { Fault } from '../faults.ts'
import { connectRedis, type LinkOptions, type RedisLink, type RedisSettings } from './link.ts'
import { defineScript } from './script.ts'

/** A command time-out that no test waits for; what comes far below it did not wait for it, on however busy a machine. */
const COMMAND_TIMEOUT_MS = 30_000
const AT_ONCE_MS = 10_000
/** For the tests of the time-out itself, ms. */
const SHORT_TIMEOUT_MS = 400

const redis = useRedis({
  appendfsync: 'no',
  args: [
    ...['--enable-debug-command', 'yes', '--dbfilename', 'taken.rdb'],
    ...['--loading-process-events-interval-bytes', '1024'],
  ],
})
const links: RedisLink[] = []

afterEach(async () => {
  if (redis.server.running) await redis.server.kill('SIGCONT')
  await Promise.all(links.splice(0).map((link) => link.close()))
})

function open(overrides: Partial<RedisSettings> = {}, options: LinkOptions = {}): RedisLink {
  const link = connectRedis(
    {
      url: redis.url,
      commandTimeoutMs: COMMAND_TIMEOUT_MS,
      connectTimeoutMs: 1_000,
      reconnectMaxDelayMs: 100,
      name: 'the-link',
      ...overrides,
    },
    options,
  )
  links.push(link)
  return link
}

async function connected(
  overrides: Partial<RedisSettings> = {},
  options: LinkOptions = {},
): Promise<RedisLink> {
  const link = open(overrides, options)
  await link.ready(AbortSignal.timeout(5_000))
  return link
}

/** What the promise was rejected with, and after how many ms. */
async function rejection(promise: Promise<unknown>): Promise<{ error: unknown; ms: number }> {
  const started = performance.now()
  try {
    const value = await promise
    throw new Error(`was not rejected but resolved with ${JSON.stringify(value)}`)
  } catch (error) {
    return { error, ms: performance.now() - started }
  }
}

async function linkClient(control: Redis): Promise<{ id: string; flags: string } | undefined> {
  const list = String(await control.call('CLIENT', 'LIST'))
  const line = list.split('\n').find((entry) => entry.includes(' name=the-link '))
  if (line === undefined) return undefined
  return { id: / ?id=(\d+)/.exec(line)?.[1] ?? '', flags: / flags=(\S+)/.exec(line)?.[1] ?? '' }
}

async function callsOf(control: Redis, command: string): Promise<number> {
  const stats = await control.info('commandstats')
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
}

/** Rejected with this code; returns the fault. */
async function fault(promise: Promise<unknown>, code: Fault['code']): Promise<Fault> {
  const { error } = await rejection(promise)
  expect(error).toBeInstanceOf(Fault)
  expect(error).toMatchObject({ code })
  return error as Fault
}

describe('a command in flight when the connection closes', () => {
  it('is rejected at once as unknown, and never sent again', async () => {
    const control = redis.client()
    const link = await connected()
    await control.call('CLIENT', 'PAUSE', '10000', 'WRITE')
    const outcome = rejection(link.call('XADD', 's', '*', 'a', 'b'))
    await expect.poll(async () => (await linkClient(control))?.flags).toBe('b')
    const killed = performance.now()
    await control.call('CLIENT', 'KILL', 'ID', (await linkClient(control))!.id)
    const { error } = await outcome
    expect(performance.now() - killed).toBeLessThan(AT_ONCE_MS)
    expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    await control.call('CLIENT', 'UNPAUSE')
    await link.ready(AbortSignal.timeout(5_000))
    expect(await link.call('XLEN', 's')).toBe(0)
    expect(await callsOf(control, 'xadd')).toBe(0)
  })

  it('all of them, in one go, when many wait', async () => {
    const control = redis.client()
    const link = await connected()
    await control.call('CLIENT', 'PAUSE', '10000', 'WRITE')
    const outcomes = Array.from({ length: 100 }, (_, i) => rejection(link.call('XADD', 's', '*', 'n', i)))
    await expect.poll(async () => (await linkClient(control))?.flags).toBe('b')
    await control.call('CLIENT', 'KILL', 'ID', (await linkClient(control))!.id)
    for (const { error, ms } of await Promise.all(outcomes)) {
      expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
      expect(ms).toBeLessThan(COMMAND_TIMEOUT_MS)
    }
    await control.call('CLIENT', 'UNPAUSE')
  })

  it('took effect once where Redis had it already', async () => {
    const control = redis.client()
    const link = await connected()
    // Redis runs this to its end although nobody is there any more to hear the answer.
    const slow = `redis.call('XADD', KEYS[1], '*', 'a', 'b')
      local t = redis.call('TIME'); local stop = t[1] * 1000 + t[2] / 1000 + 200
      repeat t = redis.call('TIME') until t[1] * 1000 + t[2] / 1000 > stop
      return 1`
    const outcome = rejection(link.call('EVAL', slow, 1, 's'))
    await new Promise((resolve) => setImmediate(resolve)) // lets the write reach the socket
    link.reconnect()
    const { error } = await outcome
    expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    await link.ready(AbortSignal.timeout(5_000))
    expect(await link.call('XLEN', 's')).toBe(1)
    expect(await callsOf(control, 'eval')).toBe(1)
  })

  it('also when the server dies', async () => {
    const link = await connected({}, { blocking: true })
    const outcome = rejection(link.call('XREAD', 'BLOCK', 0, 'STREAMS', 's', '$'))
    const control = redis.client()
    await expect.poll(async () => (await linkClient(control))?.flags).toBe('b')
    const killed = performance.now()
    await redis.server.kill('SIGKILL')
    const { error } = await outcome
    expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    expect(performance.now() - killed).toBeLessThan(AT_ONCE_MS)
  })
})

describe('while Redis is away', () => {
  it('a call fails within milliseconds, and nothing is queued for later', async () => {
    const link = await connected()
    await redis.server.kill('SIGKILL')
    await expect.poll(() => link.connected).toBe(false)
    const { error, ms } = await rejection(link.call('SET', 'k', 'v'))
    expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    expect(ms).toBeLessThan(AT_ONCE_MS)
    await redis.server.restart()
    await link.ready(AbortSignal.timeout(5_000))
    expect(await link.call('EXISTS', 'k')).toBe(0)
  })

  it('the link comes back by itself after a restart, and says so each time', async () => {
    const heard: string[] = []
    const link = open()
    const off = link.onConnect(() => heard.push('connect'))
    link.onDisconnect(() => heard.push('disconnect'))
    await link.ready(AbortSignal.timeout(5_000))
    await redis.server.restart('SIGKILL')
    await expect.poll(() => heard.slice(0, 2)).toEqual(['connect', 'disconnect'])
    await expect.poll(() => heard.at(-1)).toBe('connect')
    expect(await link.call('PING')).toEqual(Buffer.from('PONG'))
    off()
    const before = heard.filter((word) => word === 'connect').length
    link.reconnect()
    await expect.poll(() => heard.at(-1)).toBe('disconnect')
    await link.ready(AbortSignal.timeout(5_000))
    expect(heard.filter((word) => word === 'connect')).toHaveLength(before)
  })

  it('keeps trying through a long outage, with the errors told to the listener', async () => {
    const errors: Error[] = []
    const link = await connected({ reconnectMaxDelayMs: 20 }, { onError: (error) => errors.push(error) })
    await redis.server.kill('SIGKILL')
    // More attempts than any fixed number of retries.
    await expect.poll(() => errors.length).toBeGreaterThan(30)
    await redis.server.restart()
    await link.ready(AbortSignal.timeout(5_000))
  })

  it('ready() stops waiting when its signal aborts', async () => {
    await redis.server.kill('SIGKILL')
    const link = open()
    const stop = new AbortController()
    const waiting = fault(link.ready(stop.signal), 'REDIS_UNAVAILABLE')
    stop.abort(new Error('enough'))
    expect((await waiting).cause).toMatchObject({ message: 'enough' })
    await fault(link.ready(AbortSignal.abort()), 'REDIS_UNAVAILABLE')
  })
})

describe('a server that hangs', () => {
  it('an unanswered command counts as unknown after commandTimeoutMs; answers are not mixed up later', async () => {
    const link = await connected({ commandTimeoutMs: SHORT_TIMEOUT_MS })
    await redis.server.kill('SIGSTOP')
    const { error, ms } = await rejection(link.call('SET', 'k', 'late'))
    expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    expect(ms).toBeGreaterThan(SHORT_TIMEOUT_MS * 0.9)
    await redis.server.kill('SIGCONT')
    expect(await link.call('ECHO', 'mine')).toEqual(Buffer.from('mine'))
    expect(await link.call('GET', 'k')).toEqual(Buffer.from('late')) // unknown meant: it may have happened
  })

  it.each(['call', 'run'] as const)(
    'a connection that has died silently is given up when two %ss in a row are not answered; one alone may be a hiccup',
    async (how) => {
      const ping = defineScript('ping', "return redis.call('PING')")
      const proxy = await startProxy(redis.server.port)
      try {
        const link = await connected({ url: proxy.url, commandTimeoutMs: SHORT_TIMEOUT_MS })
        const ask = () => (how === 'call' ? link.call('PING') : link.run(ping, ['k'], []))
        await ask()
        const { epoch } = link
        // What is sent into it is lost, and nobody is told: the next answer would be taken for that of the first question.
        proxy.swallow()
        await Promise.all([rejection(ask()), rejection(ask())])
        expect(link.epoch).toBe(epoch)
        proxy.resume()
        await rejection(ask())
        await link.ready(AbortSignal.timeout(5_000))
        await expect.poll(() => link.epoch).toBe(epoch + 1)
        expect(String(await ask())).toBe('PONG')
      } finally {
        await proxy.close()
      }
    },
  )

  it('an answer between two that are missing clears the connection', async () => {
    const link = await connected({ commandTimeoutMs: SHORT_TIMEOUT_MS })
    for (let n = 0; n < 2; n++) {
      await redis.server.kill('SIGSTOP')
      await rejection(link.call('PING'))
      await redis.server.kill('SIGCONT')
      await link.call('PING')
    }
    expect(link.epoch).toBe(1)
  })

  it('a blocking link waits longer than commandTimeoutMs', async () => {
    const link = await connected({ commandTimeoutMs: 50 }, { blocking: true })
    expect(await link.call('XREAD', 'BLOCK', 200, 'STREAMS', 's', '$')).toBeNull()
  })

  it('reconnect() frees a blocking read at once although the server never closes its end', async () => {
    const link = await connected({}, { blocking: true })
    const outcome = rejection(link.call('XREAD', 'BLOCK', 0, 'STREAMS', 's', '$'))
    await redis.server.kill('SIGSTOP')
    link.reconnect()
    const { error, ms } = await outcome
    expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    expect(ms).toBeLessThan(AT_ONCE_MS)
    await redis.server.kill('SIGCONT')
    await link.ready(AbortSignal.timeout(5_000))
  })
})

describe('scripts', () => {
  const count = defineScript('count', `return redis.call('INCRBY', KEYS[1], ARGV[1])`)
  const store = defineScript('store', `redis.call('SET', KEYS[1], ARGV[1]) return 1`)

  it('are sent whole when the server does not know them, and run once', async () => {
    const control = redis.client()
    const link = await connected()
    expect(await link.run(count, ['n'], [2])).toBe(2)
    await control.script('FLUSH')
    expect(await link.run(count, ['n'], [3])).toBe(5)
    await control.script('FLUSH')
    await Promise.all(Array.from({ length: 50 }, () => link.run(count, ['n'], [1])))
    expect(await control.get('n')).toBe('55')
    await redis.server.restart()
    await link.ready(AbortSignal.timeout(5_000))
    expect(await link.run(count, ['n'], [1])).toBe(56)
  })

  it('name themselves in faults, whether sent by hash or whole', async () => {
    const control = redis.client()
    const link = await connected()
    await control.config('SET', 'maxmemory', '1')
    expect((await fault(link.run(store, ['k'], ['v']), 'REDIS_OUT_OF_MEMORY')).message).toContain('store')
    expect((await fault(link.run(store, ['k'], ['v']), 'REDIS_OUT_OF_MEMORY')).message).toContain('store')
    await control.config('SET', 'maxmemory', '0')
  })

  it('get and give bytes as they are', async () => {
    const link = await connected()
    const echo = defineScript('echo', `return {ARGV[1], 7, {KEYS[1]}, false}`)
    const bytes = Buffer.from([0, 255, 13, 10, 0xc3, 0x28])
    expect(await link.run(echo, ['k'], [bytes])).toEqual([bytes, 7, [Buffer.from('k')], null])
  })
})

describe('what Redis refuses', () => {
  it('out of memory is a fault of its own: nothing was written', async () => {
    const control = redis.client()
    const link = await connected()
    await control.config('SET', 'maxmemory', '1')
    await fault(link.call('SET', 'k', 'v'), 'REDIS_OUT_OF_MEMORY')
    await control.config('SET', 'maxmemory', '0')
    expect(await link.call('EXISTS', 'k')).toBe(0)
  })

  it('READONLY (a demoted master) is unavailable, and the link finds the master again', async () => {
    const control = redis.client()
    const link = await connected()
    await control.call('REPLICAOF', '127.0.0.1', '1')
    await fault(link.call('SET', 'k', 'v'), 'REDIS_UNAVAILABLE')
    await expect.poll(() => link.connected).toBe(true)
    await fault(
      link.run(defineScript('s', `return redis.call('SET', KEYS[1], 1)`), ['k'], []),
      'REDIS_UNAVAILABLE',
    )
    await control.call('REPLICAOF', 'NO', 'ONE')
    await link.ready(AbortSignal.timeout(5_000))
    await expect
      .poll(() => link.call('SET', 'k', 'v').catch((error: unknown) => error))
      .toEqual(Buffer.from('OK'))
  })

  it('LOADING is unavailable', async () => {
    const control = redis.client()
    const link = await connected()
    await control.call('DEBUG', 'POPULATE', '3000')
    await control.config('SET', 'key-load-delay', '500')
    const reload = control.call('DEBUG', 'RELOAD')
    const answers: unknown[] = []
    await expect
      .poll(async () => {
        const answer = await link.call('GET', 'k').catch((error: unknown) => error)
        answers.push(answer)
        return answer instanceof Error ? answer.message : ''
      })
      .toContain('LOADING')
    expect(answers.at(-1)).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    await reload
    await control.config('SET', 'key-load-delay', '0')
  })

  it('MISCONF (the disk is full or failing) is unavailable: the spool must take over', async () => {
    const control = redis.client()
    const link = await connected()
    await control.config('SET', 'save', '3600 1')
    rmSync(`${redis.server.directory}/taken.rdb`, { force: true })
    mkdirSync(`${redis.server.directory}/taken.rdb`) // a snapshot cannot take this name
    await control.set('a', '1')
    await control.bgsave()
    await expect.poll(async () => await control.info('persistence')).toContain('rdb_last_bgsave_status:err')
    await fault(link.call('SET', 'k', 'v'), 'REDIS_UNAVAILABLE')
    await fault(
      link.run(defineScript('s', `return redis.call('SET', KEYS[1], 1)`), ['k'], []),
      'REDIS_UNAVAILABLE',
    )
    await control.config('SET', 'save', '')
    rmdirSync(`${redis.server.directory}/taken.rdb`)
    expect(await link.call('SET', 'k', 'v')).toEqual(Buffer.from('OK'))
  })

  it('BUSY (somebody else runs a slow script) is unavailable', async () => {
    const control = redis.client()
    const link = await connected()
    await control.config('SET', 'busy-reply-threshold', '10')
    const spin = expect(redis.client().eval('while true do end', 0)).rejects.toThrow(/killed/)
    await expect
      .poll(async () => String(await link.call('GET', 'k').catch((error: unknown) => error)))
      .toContain('BUSY')
    await fault(link.call('GET', 'k'), 'REDIS_UNAVAILABLE')
    await control.call('SCRIPT', 'KILL')
    await spin
    await control.config('SET', 'busy-reply-threshold', '5000')
  })

  it('NOPERM and NOAUTH say that the server cannot be used like this', async () => {
    const control = redis.client()
    await control.call('ACL', 'SETUSER', 'poor', 'on', '>pw', '~mine:*', '+@all', '-set', '+info')
    const link = await connected({ username: 'poor', password: 'pw' })
    await fault(link.call('SET', 'mine:k', 'v'), 'REDIS_UNSUITABLE')
    await fault(link.call('GET', 'foreign'), 'REDIS_UNSUITABLE')
    const inScript = defineScript('inner', `return redis.call('SET', KEYS[1], 1)`)
    await fault(link.run(inScript, ['mine:k'], []), 'REDIS_UNSUITABLE')
    const foreignKey = defineScript('foreign', `return redis.call('GET', 'foreign')`)
    await fault(link.run(foreignKey, [], []), 'REDIS_UNSUITABLE')
    await control.call('ACL', 'DELUSER', 'poor')
  })

  it('a wrong password is told to the listener, and the link never becomes ready', async () => {
    const control = redis.client()
    await control.call('ACL', 'SETUSER', 'rich', 'on', '>right', '~*', '+@all')
    const errors: Error[] = []
    const link = open({ username: 'rich', password: 'wrong' }, { onError: (error) => errors.push(error) })
    await expect.poll(() => errors.map((error) => error.message).join()).toContain('WRONGPASS')
    expect(link.connected).toBe(false)
    await fault(link.call('PING'), 'REDIS_UNAVAILABLE')
    await control.call('ACL', 'DELUSER', 'rich')
  })

  it('an unknown command says which version is needed', async () => {
    const link = await connected()
    expect((await fault(link.call('NOSUCHCOMMAND'), 'REDIS_UNSUITABLE')).message).toContain('7.0')
  })

  it('errors do not carry the arguments, which are events: they would end in the log', async () => {
    const control = redis.client()
    const link = await connected()
    const secret = 'personal data'
    await link.call('SET', 'k', 'v')
    const { error } = await rejection(link.call('XADD', 'k', '*', 'body', secret))
    const refusing = defineScript('refusing', `return redis.error_reply('ERR no')`)
    const scripted = await rejection(link.run(refusing, [], [secret]))
    await control.config('SET', 'maxmemory', '1')
    const full = await rejection(link.call('SET', 'k', secret))
    await control.config('SET', 'maxmemory', '0')
    for (const each of [error, scripted.error, full.error]) {
      expect(inspect(each, { depth: 10, showHidden: true })).not.toContain(secret)
    }
  })

  it('a mistake of ours is not dressed up as an outage', async () => {
    const link = await connected()
    await link.call('SET', 'k', 'v')
    const { error } = await rejection(link.call('XADD', 'k', '*', 'a', 'b'))
    expect(error).not.toBeInstanceOf(Fault)
    expect(String(error)).toContain('WRONGTYPE')
  })
})

describe('close()', () => {
  it('ends a ready link, again and again', async () => {
    const link = await connected()
    await link.close()
    expect(link.connected).toBe(false)
    await link.close()
    await fault(link.call('PING'), 'REDIS_UNAVAILABLE')
  })

  it('rejects what is in flight', async () => {
    const link = await connected({}, { blocking: true })
    const outcome = rejection(link.call('XREAD', 'BLOCK', 0, 'STREAMS', 's', '$'))
    await link.close()
    expect((await outcome).error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
  })

  it('while connecting', async () => {
    const link = open()
    await link.close()
    expect(link.connected).toBe(false)
  })

  it('while the server accepts and says nothing', async () => {
    await redis.server.kill('SIGSTOP')
    const link = open()
    // The kernel accepts for the stopped server; the same moment the link stands in its handshake.
    await new Promise<void>((resolve) => {
      const probe = new Socket().connect(redis.port, '127.0.0.1', () => probe.destroy())
      probe.once('close', () => resolve())
    })
    const started = performance.now()
    await link.close()
    expect(performance.now() - started).toBeLessThan(AT_ONCE_MS)
  })

  it('while the link waits for its next attempt', async () => {
    const errors: Error[] = []
    await redis.server.kill('SIGKILL')
    const link = open({ reconnectMaxDelayMs: 60_000 }, { onError: (error) => errors.push(error) })
    // After the third failure the next attempt is some 100 ms away: closing happens within that wait.
    await expect.poll(() => errors.length).toBeGreaterThanOrEqual(3)
    const started = performance.now()
    await link.close()
    expect(performance.now() - started).toBeLessThan(AT_ONCE_MS)
    await redis.server.restart()
    expect(link.connected).toBe(false)
  })

  it('lets nobody wait for a link that was closed', async () => {
    await redis.server.kill('SIGKILL')
    const link = open()
    const waiting = fault(link.ready(), 'REDIS_UNAVAILABLE')
    await link.close()
    await waiting
    await fault(link.ready(), 'REDIS_UNAVAILABLE')
  })
})
