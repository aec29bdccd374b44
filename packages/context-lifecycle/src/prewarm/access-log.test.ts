/** Accesses that are noted, and read again. */
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { assembled, eventOf, pullRequest, recordOf } from '../../../../tests/support/contexts.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { contextIdBytes, contextIdOf } from '../context-id.ts'
import { contextKeys } from '../context-keys.ts'
import { createAccessLog, redisNow } from './access-log.ts'

const redis = useRedis()
let link: RedisLink
beforeEach(async () => {
  link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'access-log',
  })
  await link.ready()
})
afterEach(() => link.close())

const KEEP_MS = 14 * 86_400_000
const idOf = (number: number) => contextIdOf('acme', 'github', `acme/site#${number}`)

async function worldOf(noteAccessesMs?: number) {
  const all = assembled(link, noteAccessesMs === undefined ? {} : { noteAccessesMs })
  for (const n of [1, 2]) {
    const { record } = recordOf({ delivery: String(n), json: pullRequest(n, 'edited') })
    await all.contexts.append(eventOf(record), record)
  }
  const read = (number: number) => all.contexts.read(idOf(number), { access: true })
  const note = (number: number, at: number) =>
    link.call('XADD', all.keys.accesses, `${at}-*`, 'c', contextIdBytes(idOf(number)))
  const noted = async () =>
    (await createAccessLog([all.place], KEEP_MS).read(await redisNow(all.place))).map(({ id }) => id)
  return { all, read, note, noted }
}

describe('an access', () => {
  it('is noted with its context and when it was, in the step that counts it', async () => {
    const { all, read } = await worldOf(KEEP_MS)
    const began = await redisNow(all.place)
    await read(1)
    await read(2)
    const now = await redisNow(all.place)
    const found = await createAccessLog([all.place], KEEP_MS).read(now)
    expect(found.map(({ id }) => id)).toEqual([idOf(1), idOf(2)])
    for (const { at } of found) {
      expect(at).toBeGreaterThanOrEqual(began)
      expect(at).toBeLessThanOrEqual(now)
    }
  })

  it('is counted only, where it shall not be noted', async () => {
    const { all, read } = await worldOf()
    expect((await read(1))?.accesses).toBe(1)
    expect(await link.call('EXISTS', all.keys.accesses)).toBe(0)
  })

  it('of a context that is read all the time is noted once in a minute, and counted always', async () => {
    const { read, noted } = await worldOf(KEEP_MS)
    for (let n = 0; n < 5; n++) await read(1)
    expect((await read(1))?.accesses).toBe(6)
    expect(await noted()).toEqual([idOf(1)])
  })

  it('is not one where there is no such context', async () => {
    const { all, read } = await worldOf(KEEP_MS)
    expect(await read(3)).toBeUndefined()
    expect(await link.call('EXISTS', all.keys.accesses)).toBe(0)
  })
})

describe('the notes', () => {
  it('go when they are too old, with the next one or by themselves', async () => {
    const { all, read, note } = await worldOf(KEEP_MS)
    const now = await redisNow(all.place)
    await note(2, now - KEEP_MS - 1_000)
    await note(2, now - KEEP_MS + 60_000)
    await read(1)
    expect(await link.call('XLEN', all.keys.accesses)).toBe(2)
    const left = Number(await link.call('PTTL', all.keys.accesses))
    expect(left).toBeGreaterThan(KEEP_MS - 60_000)
    expect(left).toBeLessThanOrEqual(KEEP_MS)
  })

  it('are fetched once, and those that came since added; those of all shards together', async () => {
    const { all, note } = await worldOf(KEEP_MS)
    const other = { link, keys: contextKeys('other', true, 1) }
    const now = 20 * KEEP_MS
    await note(1, now - 100)
    await link.call('XADD', other.keys.accesses, `${now - 50}-0`, 'c', contextIdBytes(idOf(2)))
    const log = createAccessLog([all.place, other], KEEP_MS)
    expect(await log.read(now)).toHaveLength(2)
    await note(2, now + 10)
    // What is still to come is told when it has come.
    expect(await log.read(now)).toHaveLength(2)
    expect((await log.read(now + 10)).map(({ id }) => id).sort()).toEqual([idOf(1), idOf(2), idOf(2)].sort())
    await link.call('DEL', all.keys.accesses)
    expect(await log.read(now + KEEP_MS)).toEqual([{ id: idOf(2), at: now + 10 }])
  })
})
