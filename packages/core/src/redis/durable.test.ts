import { afterEach, describe, expect, it } from 'vitest'
import { useReplicated } from '../../../../tests/support/replicas.ts'
import { systemClock } from '../clock.ts'
import { createReplicaWait, isShort, type ReplicaWait, type WaitResult } from './durable.ts'
import { connectRedis, type RedisLink } from './link.ts'

const redis = useReplicated({ replicas: 2 })
const links: RedisLink[] = []
afterEach(() => Promise.all(links.splice(0).map((link) => link.close())))

interface World {
  readonly link: RedisLink
  readonly wait: ReplicaWait
  /** What became of each WAIT. */
  readonly results: WaitResult[]
  /** How often the master was asked so. */
  calls(command: 'wait' | 'set'): Promise<number>
}

async function world(options: { replicas?: number; timeoutMs?: number } = {}): Promise<World> {
  const { current } = redis
  const results: WaitResult[] = []
  const link = connectRedis({
    url: current.url,
    commandTimeoutMs: 10_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 50,
    name: 'durable',
  })
  links.push(link)
  await link.ready()
  await current.ask(current.master, 'CONFIG', 'RESETSTAT')
  const wait = createReplicaWait({
    link,
    replicas: options.replicas ?? 2,
    timeoutMs: options.timeoutMs ?? 5_000,
    barrier: 'barrier',
    clock: systemClock,
    onWaited: (result) => results.push(result),
  })
  const calls = async (command: string) => {
    const stats = String(await current.ask(current.master, 'INFO', 'commandstats'))
    return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
  }
  return { link, wait, results, calls }
}

/** What it was rejected with. */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error('it was confirmed')
    },
    (error: unknown) => error,
  )
}

describe('confirm', () => {
  it('resolves when every replica has what was written', async () => {
    const { current } = redis
    const { link, wait, results } = await world()
    for (let n = 0; n < 20; n++) {
      await link.call('SET', 'k', n)
      await wait.confirm('wrote')
      const seen = await Promise.all(current.replicas.map((replica) => current.ask(replica, 'GET', 'k')))
      expect(seen).toEqual([String(n), String(n)])
    }
    expect(results).toEqual(new Array(20).fill('confirmed'))
  })

  it('is short when one of them does not answer in time, which the server does not call an error', async () => {
    const { link, wait, results } = await world({ timeoutMs: 100 })
    await redis.current.replicas[1]!.kill('SIGSTOP')
    await link.call('SET', 'k', 'v')
    const error = await failure(wait.confirm('wrote'))
    expect(error).toMatchObject({
      code: 'REDIS_UNAVAILABLE',
      message: '1 of 2 replicas confirmed within 100 ms',
    })
    expect(isShort(error)).toBe(true)
    expect(results).toEqual(['short'])
    await redis.current.replicas[1]!.kill('SIGCONT')
    await link.call('SET', 'k', 'w')
    await expect.poll(() => wait.confirm('wrote').then(() => 'confirmed', isShort)).toBe('confirmed')
  })

  it('is short when there are fewer replicas than must confirm, as on a server without any', async () => {
    const { link, wait } = await world({ replicas: 3, timeoutMs: 50 })
    await link.call('SET', 'k', 'v')
    expect(await failure(wait.confirm('wrote'))).toMatchObject({
      message: '2 of 3 replicas confirmed within 50 ms',
    })
  })

  it('covers what somebody else wrote and this connection only read', async () => {
    const { current } = redis
    const { link, wait, calls } = await world({ timeoutMs: 100 })
    // All that this connection ever wrote is confirmed. Since Redis 7.2 WAIT looks no further.
    await link.call('SET', 'mine', 1)
    await wait.confirm('wrote')
    await current.replicas[0]!.kill('SIGSTOP')
    await current.ask(current.master, 'SET', 'theirs', 1)
    const before = await calls('set')
    expect(await link.call('GET', 'theirs')).toEqual(Buffer.from('1'))
    expect(isShort(await failure(wait.confirm('read')))).toBe(true)
    expect((await calls('set')) - before).toBe(1)
    await current.replicas[0]!.kill('SIGCONT')
    await link.call('GET', 'theirs')
    await expect.poll(() => wait.confirm('read').then(() => 'confirmed', isShort)).toBe('confirmed')
    expect(await current.ask(current.replicas[0]!, 'GET', 'theirs')).toBe('1')
  })
})

describe('one WAIT', () => {
  it('covers all that was answered before it was sent; one at a time is under way', async () => {
    const { link, wait, results, calls } = await world()
    const write = async (n: number) => {
      await link.call('SET', `k${n}`, n)
      await wait.confirm('wrote')
    }
    await Promise.all(Array.from({ length: 100 }, (_, n) => write(n)))
    expect(results).toEqual(['confirmed'])
    expect(await calls('wait')).toBe(1)
  })

  it('does not cover what was answered after it was sent', async () => {
    const { current } = redis
    const { link, wait, results } = await world({ timeoutMs: 300 })
    await link.call('SET', 'a', 1)
    await current.replicas[0]!.kill('SIGSTOP')
    await link.call('SET', 'b', 1)
    const first = failure(wait.confirm('wrote'))
    await expect
      .poll(async () => String(await current.ask(current.master, 'CLIENT', 'LIST')))
      .toMatch(/name=durable .*cmd=wait/)
    // Behind the WAIT on the same connection: executed after it.
    const second = link.call('SET', 'c', 1).then(() => failure(wait.confirm('wrote')))
    expect(isShort(await first)).toBe(true)
    expect(results).toEqual(['short'])
    expect(isShort(await second)).toBe(true)
    expect(results).toEqual(['short', 'short'])
  })

  it('fails for all who wait for it when it is refused, and the next ones are not held up', async () => {
    const { current } = redis
    const { link, wait } = await world()
    await link.call('SET', 'k', 1)
    // What a master answers that was demoted.
    await current.ask(current.master, 'REPLICAOF', '127.0.0.1', String(current.replicas[0]!.port))
    try {
      await link.ready()
      const refused = await Promise.all([failure(wait.confirm('wrote')), failure(wait.confirm('wrote'))])
      for (const error of refused) {
        expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
        expect(isShort(error)).toBe(false)
      }
    } finally {
      await current.ask(current.master, 'REPLICAOF', 'NO', 'ONE')
    }
    await current.untilInSync()
    await link.ready()
    await link.call('SET', 'k', 2)
    await wait.confirm('wrote')
  })
})

describe('when the connection changes', () => {
  it('between the answer and the WAIT, nothing is confirmed although the replicas are well', async () => {
    const { link, wait } = await world()
    const { epoch } = link
    await link.call('SET', 'k', 1)
    const outcome = failure(wait.confirm('wrote'))
    link.reconnect()
    expect(await outcome).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    await expect.poll(() => link.epoch).toBe(epoch + 1)
    // On the new connection nothing was written: WAIT alone would be answered "2" at once, whatever is with the replicas.
    await link.call('SET', 'k', 2)
    await wait.confirm('wrote')
  })

  it('the caller of the old connection is not told what the new one says', async () => {
    const { link, wait, calls } = await world()
    const epoch = link.epoch
    await link.call('SET', 'k', 1)
    // Two connections in one batch: the first joins, then the connection changes before the WAIT leaves.
    const early = failure(wait.confirm('wrote'))
    Object.defineProperty(link, 'epoch', { get: () => epoch + 1, configurable: true })
    const late = wait.confirm('wrote')
    expect(await early).toMatchObject({ message: expect.stringContaining('the connection to Redis changed') })
    await late
    expect(await calls('wait')).toBe(1)
  })

  it('while the WAIT is under way, it is unknown and not sent again', async () => {
    const { current } = redis
    const { link, wait, results, calls } = await world({ timeoutMs: 5_000 })
    await current.replicas[0]!.kill('SIGSTOP')
    await link.call('SET', 'k', 1)
    const outcome = failure(wait.confirm('wrote'))
    await expect
      .poll(async () => String(await current.ask(current.master, 'CLIENT', 'LIST')))
      .toMatch(/name=durable .*cmd=wait/)
    await current.ask(current.master, 'CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    const error = await outcome
    expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    expect(isShort(error)).toBe(false)
    expect(results).toEqual(['unknown'])
    await current.replicas[0]!.kill('SIGCONT')
    await link.ready()
    await link.call('PING')
    // Some versions count it when it begins, others when it ends.
    expect(await calls('wait')).toBeLessThanOrEqual(1)
  })
})
