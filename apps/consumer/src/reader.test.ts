import { systemClock } from '@weir/core/clock'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { createAdmitter } from '@weir/core/stream/admit'
import { ensureGroup } from '@weir/core/stream/group'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { createHeld, type Held } from './held.ts'
import { createIntake } from './intake.ts'
import { createReader } from './reader.ts'
import { testKeys as keys, makeEvent, quickWindow, silentLog } from './testing.ts'

const redis = useRedis()
const BATCH = 2
const ROOM = 8

let link: RedisLink
let blocking: RedisLink
let held: Held
/** What happened, in order: a read is sent, entries come in. */
let order: string[]
/** Called for each batch of entries, before it is taken in. */
let onBatch: (size: number) => void
let stop: () => Promise<void>

beforeEach(async () => {
  const settings = {
    commandTimeoutMs: 1_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 50,
    name: 'reader',
  }
  link = connectRedis({ url: redis.url, ...settings })
  blocking = connectRedis({ url: redis.url, ...settings }, { blocking: true })
  await Promise.all([link.ready(), blocking.ready()])
  await ensureGroup(link, keys)
  order = []
  onBatch = () => undefined
  held = createHeld(ROOM, () => undefined)
  const hold = createIntake({
    held,
    settler: { settle: () => undefined, giveUp: () => undefined, waiting: 0 },
    quarantineAfter: 5,
    monotonic: () => 0,
    redisNow: Date.now,
  })
  const seen: RedisLink = new Proxy(blocking, {
    get(target, name) {
      if (name !== 'pour') return Reflect.get(target, name)
      return (...args: Parameters<RedisLink['pour']>) => {
        order.push('read')
        return target.pour(...args)
      }
    },
  })
  const reader = createReader({
    blocking: seen,
    link,
    keys,
    consumer: 'c',
    held,
    clock: systemClock,
    log: silentLog,
    batchSize: BATCH,
    blockMs: 5_000,
    graceMs: 1_000,
    onEntries(entries) {
      order.push(`entries ${entries.length}`)
      onBatch(entries.length)
      hold(entries, { kind: 'pending', consumer: 'c' }, () => ({ attempts: 0, deliveries: 1 }))
    },
    onGroupMade: () => undefined,
  })
  const stopping = new AbortController()
  const running = { started: undefined as Promise<void> | undefined }
  start = () => {
    running.started = reader.run(stopping.signal)
  }
  stop = async () => {
    stopping.abort()
    await Promise.all([running.started, reader.interrupt()])
  }
})
let start: () => void
afterEach(async () => {
  await stop()
  await Promise.all([link.close(), blocking.close()])
})

async function admit(count: number): Promise<void> {
  const admitter = createAdmitter({ keys, window: () => quickWindow, evidenceShards: 16, now: Date.now })
  for (let n = 0; n < count; n++) {
    const { id, locator, fields } = makeEvent()
    await admitter.admit(link, {
      id,
      tool: 'github',
      locator,
      derived: true,
      fields,
      repeat: false,
      limits: [],
    })
  }
}

describe('reading', () => {
  it('sends the next read before it hands on what the last one brought', async () => {
    await admit(5)
    start()
    await expect.poll(() => held.size).toBe(5)
    expect(order).toEqual(['read', 'read', 'entries 2', 'read', 'entries 2', 'read', 'entries 1'])
  })

  it('asks for no more than there is room for, that of a read under way included', async () => {
    await admit(20)
    start()
    await expect.poll(() => held.size).toBe(ROOM)
    expect(held.room).toBe(0)
    expect(order.filter((step) => step === 'read')).toHaveLength(ROOM / BATCH)
    for (const item of [...held.all()].slice(0, 3)) held.remove(item)
    await expect.poll(() => held.size).toBe(ROOM)
  })

  it('takes up what it could not hand on, and gives the room back that was set aside', async () => {
    await admit(6)
    let failures = 1
    onBatch = () => {
      if (failures-- > 0) throw new Error('not now')
    }
    start()
    await expect.poll(() => held.size).toBe(6)
    await stop()
    expect(held.room).toBe(ROOM - 6)
  })
})
