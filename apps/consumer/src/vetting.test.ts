import { systemClock } from '@weir/core/clock'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { pino } from 'pino'
import { afterEach, describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { createVetting } from './vetting.ts'

const redis = useRedis({ appendfsync: 'no' })
const links: RedisLink[] = []
afterEach(() => Promise.all(links.splice(0).map((link) => link.close())))

const evicts = /^Redis has maxmemory-policy allkeys-lru: .* set maxmemory-policy noeviction$/

function watching(options: { production?: boolean; url?: string; user?: string } = {}) {
  const lines: { level: number; msg: string }[] = []
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const link = connectRedis({
    url: options.url ?? redis.url,
    username: options.user,
    password: options.user,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 5_000,
    reconnectMaxDelayMs: 50,
    name: 'vetting',
  })
  links.push(link)
  const vetting = createVetting({ production: options.production ?? false, clock: systemClock, log })
  vetting.watch(link)
  /** Sentences that were told, warnings and worse. */
  const told = () => lines.filter(({ level }) => level >= 40).map(({ msg }) => msg)
  /** Connects anew, and waits until the server was looked at again: its questions are answered before ours. */
  const reconnect = async () => {
    const connected = new Promise<void>((resolve) => {
      const off = link.onConnect(() => {
        off()
        resolve()
      })
    })
    link.reconnect()
    await connected
    await link.call('PING')
  }
  return { link, vetting, told, reconnect }
}

async function evicting(use: () => Promise<void>): Promise<void> {
  await redis.client().config('SET', 'maxmemory-policy', 'allkeys-lru')
  try {
    await use()
  } finally {
    await redis.client().config('SET', 'maxmemory-policy', 'noeviction')
  }
}

describe('at its start a consumer', () => {
  it('says nothing of a server that is fit', async () => {
    const { vetting, told } = watching({ production: true })
    await vetting.first()
    expect(told()).toEqual([])
  })

  it('warns of one that evicts, and in production refuses it', () =>
    evicting(async () => {
      const development = watching()
      await development.vetting.first()
      expect(development.told()).toEqual([expect.stringMatching(evicts)])
      const production = watching({ production: true })
      await expect(production.vetting.first()).rejects.toMatchObject({
        code: 'REDIS_UNSUITABLE',
        message: expect.stringMatching(evicts),
      })
    }))

  it('goes on without Redis, when there is none', async () => {
    const { vetting, told } = watching({ url: 'redis://127.0.0.1:1' })
    await vetting.first()
    expect(told()).toEqual(['Redis does not answer; starting without it'])
  })

  it('names what its user may not do', async () => {
    await redis.client().call('ACL', 'SETUSER', 'poor', 'on', '>poor', '~*', '+@all', '-info')
    const { vetting } = watching({ user: 'poor' })
    await expect(vetting.first()).rejects.toMatchObject({
      code: 'REDIS_UNSUITABLE',
      message: expect.stringMatching(/^Redis refused INFO: NOPERM/),
    })
    await redis.client().call('ACL', 'DELUSER', 'poor')
  })
})

describe('later', () => {
  it('it tells of an unfit server once, and again when it was fit in between; it does not stop', async () => {
    const { vetting, told, reconnect, link } = watching({ production: true })
    await vetting.first()
    await evicting(async () => {
      await reconnect()
      await expect.poll(told).toEqual([expect.stringMatching(evicts)])
      await reconnect()
      await reconnect()
      expect(told()).toHaveLength(1)
      expect(link.connected).toBe(true)
    })
    await reconnect()
    await evicting(async () => {
      await reconnect()
      await expect.poll(() => told().length).toBe(2)
    })
  })
})
