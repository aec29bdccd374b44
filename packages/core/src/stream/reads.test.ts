import { describe, expect, it } from 'vitest'
import { withRedis } from '../../../../tests/support/redis.ts'
import { partitionKeys } from '../keys.ts'
import { connectRedis, type RedisLink, type RedisReply } from '../redis/link.ts'
import { ensureGroup } from './group.ts'
import { readLedger } from './ledger.ts'
import { keepReads } from './reads.ts'
import { trimSettled } from './trim.ts'

const keys = partitionKeys({ stream: 's', deadLetters: 's-dlq', group: 'g', cluster: false })

interface World {
  readonly link: RedisLink
  add(count: number): Promise<void>
  /** Reads and acknowledges. */
  settle(count: number): Promise<void>
  lag(): Promise<number>
  /** SIGKILL and start again with the same data. */
  crash(): Promise<void>
  unread(): Promise<number | null>
}

const world = (test: (world: World) => Promise<void>) => () =>
  withRedis(async (redis, server) => {
    const settings = {
      commandTimeoutMs: 2_000,
      connectTimeoutMs: 1_000,
      reconnectMaxDelayMs: 50,
      name: 'reads',
    }
    const link = connectRedis({ url: server.url, ...settings })
    await link.ready()
    try {
      await ensureGroup(link, keys)
      await test({
        link,
        async add(count) {
          for (let i = 0; i < count; i++) await link.call('XADD', keys.stream, '*', 'a', 'b')
        },
        async settle(count) {
          const reply = (await link.call(
            'XREADGROUP',
            'GROUP',
            keys.group,
            'c',
            'COUNT',
            count,
            'STREAMS',
            keys.stream,
            '>',
          )) as RedisReply[][][]
          const ids = ((reply[0]?.[1] ?? []) as Buffer[][]).map(([id]) => id as Buffer)
          expect(ids).toHaveLength(count)
          await link.call('XACK', keys.stream, keys.group, ...ids)
          await link.call('HINCRBY', keys.ledger, 'settled', count)
        },
        async lag() {
          const [group] = (await link.call('XINFO', 'GROUPS', keys.stream)) as RedisReply[][]
          return Number(group?.at(-1))
        },
        async crash() {
          redis.disconnect()
          await server.restart('SIGKILL')
          await link.ready()
        },
        unread: async () => (await readLedger(link, keys)).ledger.unread,
      })
    } finally {
      await link.close()
    }
  })

describe('the count of entries read', () => {
  it(
    'is wrong after a restart of Redis, unknown to the ledger until it is corrected, then right',
    world(async ({ link, add, settle, lag, crash, unread }) => {
      await add(8)
      await settle(3)
      expect(await keepReads(link, keys)).toEqual({ kind: 'noted' })
      await settle(2)
      expect(await lag()).toBe(3)
      await crash()
      expect(await lag()).toBe(8) // Redis 7.0; later versions may know better, then nothing is corrected
      expect(await unread()).toBeNull()
      expect(await keepReads(link, keys)).toEqual({ kind: 'corrected', from: 0, to: 5 })
      expect(await lag()).toBe(3)
      expect((await readLedger(link, keys)).ledger).toMatchObject({ unread: 3, settled: 5, unaccounted: 0 })
      expect(await keepReads(link, keys)).toEqual({ kind: 'noted' })
      await settle(3)
      await add(1)
      expect(await unread()).toBe(1)
    }),
  )

  it(
    'is made good again and again',
    world(async ({ link, add, settle, crash, unread }) => {
      for (let round = 1; round <= 4; round++) {
        await add(5)
        await settle(2)
        await keepReads(link, keys)
        await settle(1)
        await crash()
        await keepReads(link, keys)
        expect(await unread()).toBe(2 * round)
      }
      expect((await readLedger(link, keys)).ledger).toMatchObject({
        accepted: 20,
        settled: 12,
        unaccounted: 0,
      })
    }),
  )

  it(
    'that was never noted is made from the stream',
    world(async ({ link, add, settle, crash, unread }) => {
      await add(4)
      await settle(3)
      await link.call('HDEL', keys.ledger, 'read_id', 'read_count', 'read_run')
      await crash()
      expect(await keepReads(link, keys)).toEqual({ kind: 'corrected', from: 0, to: 3 })
      expect(await unread()).toBe(1)
    }),
  )

  it(
    'counts over the pages of a long gap, and over what was trimmed meanwhile',
    world(async ({ link, add, settle, crash, unread }) => {
      await add(10)
      await settle(2)
      await keepReads(link, keys)
      await add(2_500)
      await settle(2_400)
      await crash()
      await keepReads(link, keys)
      expect(await unread()).toBe(108)

      await settle(100)
      await link.call('XTRIM', keys.stream, 'MINID', '=', '9999999999999-0')
      await crash()
      await keepReads(link, keys)
      expect((await readLedger(link, keys)).ledger.unread).toBe(0) // trimmed unread entries, by a foreign hand
    }),
  )

  it(
    'holds behind a safe trim',
    world(async ({ link, add, settle, crash, unread }) => {
      await add(500)
      await settle(450)
      await keepReads(link, keys)
      await settle(30)
      expect((await trimSettled(link, keys, 0)).trimmed).toBeGreaterThan(100)
      await crash()
      await keepReads(link, keys)
      expect(await unread()).toBe(20)
    }),
  )

  it(
    'begins anew with a stream that does',
    world(async ({ link, add, settle, crash, unread }) => {
      await add(5)
      await settle(5)
      await keepReads(link, keys)
      await link.call('FLUSHALL')
      expect(await keepReads(link, keys)).toEqual({ kind: 'absent' })
      await ensureGroup(link, keys)
      await add(3)
      await settle(1)
      await keepReads(link, keys)
      await crash()
      await keepReads(link, keys)
      expect(await unread()).toBe(2)
    }),
  )

  it(
    'is corrected also when Redis is out of memory',
    world(async ({ link, add, settle, crash, unread }) => {
      await add(6)
      await settle(2)
      await keepReads(link, keys)
      await crash()
      await link.call('CONFIG', 'SET', 'maxmemory', '1')
      expect(await keepReads(link, keys)).toEqual({ kind: 'corrected', from: 0, to: 2 })
      const [reply] = (await link.call(
        'XREADGROUP',
        'GROUP',
        'g',
        'c',
        'STREAMS',
        's',
        '>',
      )) as RedisReply[][]
      expect(reply?.[1]).toHaveLength(4)
      expect(await keepReads(link, keys)).toEqual({ kind: 'noted' })
      await link.call('CONFIG', 'SET', 'maxmemory', '0')
      await crash()
      await keepReads(link, keys)
      expect(await unread()).toBe(0)
    }),
  )
})
