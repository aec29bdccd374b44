/** Accesses that are noted, and read again. */
import { redisTime } from '@weir/core/redis/time'
import { describe, expect, it } from 'vitest'
import { useLink } from '../../../../tests/support/ai.ts'
import { assembled, eventOf, pullRequest, recordOf } from '../../../../tests/support/contexts.ts'
import { contextIdBytes, contextIdOf } from '../context-id.ts'
import { contextKeys } from '../context-keys.ts'
import { createAccessLog } from './access-log.ts'

const server = useLink()

const KEEP_MS = 14 * 86_400_000
const idOf = (number: number) => contextIdOf('acme', 'github', `acme/site#${number}`)

async function worldOf(noteAccessesMs?: number) {
  const all = assembled(server.link, noteAccessesMs === undefined ? {} : { noteAccessesMs })
  for (const n of [1, 2]) {
    const { record } = recordOf({ delivery: String(n), json: pullRequest(n, 'edited') })
    await all.contexts.append(eventOf(record), record)
  }
  const read = (number: number) => all.contexts.read(idOf(number), { access: true })
  const note = (number: number, at: number) =>
    server.link.call('XADD', all.keys.accesses, `${at}-*`, 'c', contextIdBytes(idOf(number)))
  const noted = async () =>
    (await createAccessLog([all.place], KEEP_MS).read(await redisTime(server.link))).map(({ id }) => id)
  return { all, read, note, noted }
}

describe('an access', () => {
  it('is noted with its context and when it was, in the step that counts it', async () => {
    const { all, read } = await worldOf(KEEP_MS)
    const began = await redisTime(server.link)
    await read(1)
    await read(2)
    const now = await redisTime(server.link)
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
    expect(await server.link.call('EXISTS', all.keys.accesses)).toBe(0)
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
    expect(await server.link.call('EXISTS', all.keys.accesses)).toBe(0)
  })
})

describe('the notes', () => {
  it('go when they are too old, with the next one or by themselves', async () => {
    const { all, read, note } = await worldOf(KEEP_MS)
    const now = await redisTime(server.link)
    await note(2, now - KEEP_MS - 1_000)
    await note(2, now - KEEP_MS + 60_000)
    await read(1)
    expect(await server.link.call('XLEN', all.keys.accesses)).toBe(2)
    const left = Number(await server.link.call('PTTL', all.keys.accesses))
    expect(left).toBeGreaterThan(KEEP_MS - 60_000)
    expect(left).toBeLessThanOrEqual(KEEP_MS)
  })

  it('are fetched once, and those that came since added; those of all shards together', async () => {
    const { all, note } = await worldOf(KEEP_MS)
    const other = { link: server.link, keys: contextKeys('other', true, 1) }
    const now = 20 * KEEP_MS
    await note(1, now - 100)
    await server.link.call('XADD', other.keys.accesses, `${now - 50}-0`, 'c', contextIdBytes(idOf(2)))
    const log = createAccessLog([all.place, other], KEEP_MS)
    expect(await log.read(now)).toHaveLength(2)
    await note(2, now + 10)
    // What is still to come is told when it has come.
    expect(await log.read(now)).toHaveLength(2)
    expect((await log.read(now + 10)).map(({ id }) => id).sort()).toEqual([idOf(1), idOf(2), idOf(2)].sort())
    await server.link.call('DEL', all.keys.accesses)
    expect(await log.read(now + KEEP_MS)).toEqual([{ id: idOf(2), at: now + 10 }])
  })
})
