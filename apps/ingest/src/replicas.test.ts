import { isShort } from '@weir/core/redis/durable'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, describe, expect, it } from 'vitest'
import { useReplicated } from '../../../tests/support/replicas.ts'
import { checkReplicas } from './replicas.ts'

const redis = useReplicated({ replicas: 2 })
const links: RedisLink[] = []
afterEach(() => Promise.all(links.splice(0).map((link) => link.close())))

async function connected(user?: { username: string; password: string }): Promise<RedisLink> {
  const link = connectRedis({
    url: redis.current.url,
    ...user,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 50,
    name: 'replicas',
  })
  links.push(link)
  await link.ready()
  return link
}

const master = (...command: [string, ...string[]]) => redis.current.ask(redis.current.master, ...command)

/** A user with these rights taken away. */
async function without(...rights: string[]): Promise<RedisLink> {
  await master('ACL', 'SETUSER', 'weir', 'reset', 'on', '>secret', '~*', '&*', '+@all', ...rights)
  return connected({ username: 'weir', password: 'secret' })
}

describe('the replicas of the master', () => {
  it('are right when all are there and the master does not write without them', async () => {
    await master('CONFIG', 'SET', 'min-replicas-to-write', '2')
    expect(await checkReplicas(await connected(), 2)).toEqual([])
  })

  it('may be missing: nothing can be confirmed', async () => {
    const outcome = checkReplicas(await connected(), 3)
    await expect(outcome).rejects.toSatisfy(isShort)
    await expect(outcome).rejects.toThrow(
      /the master has 2 of 3 replicas \(webhook\.redis\.replicas\).*spool.*Bring the replicas back, lower webhook\.redis\.replicas.*durability: local/,
    )
  })

  it('do not count while they are only being copied to', async () => {
    const { current } = redis
    const [first] = current.replicas
    // A replica that is attached, but whose copy of the data waits for a child process that never starts.
    await master('CONFIG', 'SET', 'repl-diskless-sync-delay', '1000')
    await current.ask(first!, 'REPLICAOF', 'NO', 'ONE')
    await current.ask(first!, 'SET', 'another', 'history')
    await current.ask(first!, 'REPLICAOF', '127.0.0.1', String(current.master.port))
    try {
      await expect
        .poll(async () => String(await master('INFO', 'replication')))
        .toContain('state=wait_bgsave')
      await expect(checkReplicas(await connected(), 2)).rejects.toThrow('the master has 1 of 2 replicas')
    } finally {
      await master('CONFIG', 'SET', 'repl-diskless-sync-delay', '0')
    }
  })

  it('may be more than must confirm: one that was not waited for could become the master', async () => {
    await master('CONFIG', 'SET', 'min-replicas-to-write', '1')
    expect(await checkReplicas(await connected(), 1)).toEqual([
      expect.stringMatching(/has 2 replicas, but only 1 must confirm.*set webhook\.redis\.replicas: 2$/),
    ])
  })

  it('may be dispensable to the master', async () => {
    expect(await checkReplicas(await connected(), 2)).toEqual([
      expect.stringMatching(/^min-replicas-to-write is 0: .*set min-replicas-to-write 2 on every server/),
    ])
  })

  it('are said to be unchecked where the user may not read the setting', async () => {
    expect(await checkReplicas(await without('-config'), 2)).toEqual([
      expect.stringMatching(/min-replicas-to-write is at least 2 could not be checked \(.*CONFIG.*\)/),
    ])
  })

  it('are of no use to a user who may not wait for them', async () => {
    await expect(checkReplicas(await without('-wait'), 2)).rejects.toMatchObject({
      code: 'REDIS_UNSUITABLE',
      message: expect.stringMatching(/refused WAIT.*ACL/),
    })
  })
})
