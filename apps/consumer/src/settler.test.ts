import { systemClock } from '@weir/core/clock'
import { decodeRecord } from '@weir/core/record'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import type { Script } from '@weir/core/redis/script'
import { createAdmitter } from '@weir/core/stream/admit'
import { listDeadLetters } from '@weir/core/stream/dead-letters'
import { evidencePlace } from '@weir/core/stream/evidence'
import { ensureGroup } from '@weir/core/stream/group'
import { readLedger } from '@weir/core/stream/ledger'
import { entriesOf } from '@weir/core/stream/reclaim'
import { streamIdMillis } from '@weir/core/stream/stream-id'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { createHeld, type Held, type HeldItem } from './held.ts'
import { createSettler, type Outcome, type Settler } from './settler.ts'
import { testKeys as keys, type LogLine, makeEvent, quickWindow } from './testing.ts'

const redis = useRedis()
const never = new AbortController().signal
const SETTLED: Outcome = { kind: 'settled' }
const PARK: Outcome = { kind: 'park', reason: 'retry', delayMs: 60_000, attempts: 1, error: 'no' }
const DEAD: Outcome = { kind: 'dead', reason: 'handler', attempts: 4, error: 'no' }

let link: RedisLink
/** For what comes before the test: as patient as that needs. */
let control: RedisLink
let lines: LogLine[]
/** Scripts that were run, and with how many entries. */
let scripts: string[]
/** Until then no script is run. */
let blocked: Promise<void> | undefined
let held: Held
let settler: Settler
let results: [string, string][]

beforeEach(async () => {
  const settings = { commandTimeoutMs: 300, connectTimeoutMs: 300, reconnectMaxDelayMs: 50, name: 'settler' }
  link = connectRedis({ url: redis.url, ...settings })
  control = connectRedis({ url: redis.url, ...settings, commandTimeoutMs: 15_000 })
  await Promise.all([link.ready(), control.ready()])
  await ensureGroup(link, keys)
  lines = []
  scripts = []
  blocked = undefined
  results = []
  held = createHeld(10_000, () => undefined)
  const counting: RedisLink = {
    get connected() {
      return link.connected
    },
    get epoch() {
      return link.epoch
    },
    get peer() {
      return link.peer
    },
    call: link.call,
    run(script: Script, scriptKeys, args) {
      scripts.push(script.name)
      return blocked === undefined
        ? link.run(script, scriptKeys, args)
        : blocked.then(() => link.run(script, scriptKeys, args))
    },
    pour: link.pour,
    onConnect: link.onConnect,
    onDisconnect: link.onDisconnect,
    ready: link.ready,
    reconnect: link.reconnect,
    close: link.close,
  }
  settler = createSettler({
    link: counting,
    keys,
    memory: { keys, horizonMs: 3_600_000, bloomBits: 1 << 16, bloomHashes: 4, settledShards: 16 },
    held,
    clock: systemClock,
    log: pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
    redisNow: Date.now,
    windowMs: () => quickWindow.duration,
    evidence: (tool, locator) =>
      evidencePlace({ keys, tool, windowMs: quickWindow.duration, shards: 16 }, locator),
    longestDelayMs: 60_000,
    onSettled: (_item, outcome, result) => void results.push([outcome.kind, result]),
  })
})
afterEach(async () => {
  settler.giveUp()
  await Promise.all([link.close(), control.close()])
})

/** Admits, delivers and holds events. */
async function hold(count: number, consumer = 'c'): Promise<HeldItem[]> {
  const admitter = createAdmitter({ keys, window: () => quickWindow, evidenceShards: 16, now: Date.now })
  await Promise.all(
    Array.from({ length: count }, () => {
      const { id, locator, fields } = makeEvent()
      return admitter.admit(control, {
        id,
        tool: 'github',
        locator,
        derived: true,
        fields,
        repeat: false,
        limits: [],
      })
    }),
  )
  const reply = await control.call(
    'XREADGROUP',
    'GROUP',
    keys.group,
    consumer,
    'COUNT',
    count,
    'STREAMS',
    keys.stream,
    '>',
  )
  const entries = entriesOf((reply as Buffer[][][])[0]?.[1] as unknown as Parameters<typeof entriesOf>[0])
  const items = entries.map(
    ({ streamId, fields }): HeldItem => ({
      streamId,
      holding: { kind: 'pending', consumer: 'c' },
      record: decodeRecord(fields ?? []),
      appendedAt: streamIdMillis(streamId),
      attempts: 0,
      deliveries: 1,
      suspect: false,
      confirmedAt: 0,
      state: 'queued',
      trace: undefined,
      abort: undefined,
    }),
  )
  held.add(items)
  for (let n = 0; n < count; n++) held.take()
  return items
}
const ledger = async () => {
  await control.ready() // it may still be connecting anew
  return (await readLedger(control, keys)).ledger
}
const settleAll = (items: readonly HeldItem[], outcome: Outcome) => {
  for (const item of items) settler.settle(item, outcome)
}
const settings = async (maxmemory: string) => {
  await redis.client().config('SET', 'maxmemory', maxmemory)
}

describe('settling', () => {
  it('is done in batches: what finished together goes in one script', async () => {
    const items = await hold(250)
    settleAll(items, SETTLED)
    expect(settler.waiting).toBe(250)
    await held.whenEmpty(never)
    expect(scripts).toEqual(['settle', 'settle', 'settle'])
    expect(await ledger()).toMatchObject({ settled: 250, pending: 0, unaccounted: 0 })
    expect(settler.waiting).toBe(0)
  })

  it('does not wait for one batch before it sends the next full one; what comes meanwhile fills another', async () => {
    const items = await hold(350)
    const gate = Promise.withResolvers<void>()
    blocked = gate.promise
    settleAll(items.slice(0, 250), SETTLED)
    await expect.poll(() => scripts.length).toBe(2)
    for (const item of items.slice(250)) {
      settler.settle(item, SETTLED)
      await Promise.resolve()
    }
    await expect.poll(() => scripts.length).toBe(3)
    expect(settler.waiting).toBe(350)
    gate.resolve()
    await held.whenEmpty(never)
    expect(scripts).toEqual(['settle', 'settle', 'settle', 'settle'])
    expect(await ledger()).toMatchObject({ settled: 350, pending: 0, unaccounted: 0 })
  })

  it('keeps Redis from no more than a few batches at once', async () => {
    const items = await hold(1_000)
    const gate = Promise.withResolvers<void>()
    blocked = gate.promise
    settleAll(items, SETTLED)
    await expect.poll(() => scripts.length).toBe(4)
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(scripts).toHaveLength(4)
    gate.resolve()
    await held.whenEmpty(never)
    expect(scripts).toHaveLength(10)
  })

  it('mixes outcomes', async () => {
    const items = await hold(8)
    const outcomes: Outcome[] = [SETTLED, { kind: 'superseded' }, PARK, DEAD]
    for (const [index, item] of items.entries()) settler.settle(item, outcomes[index % 4] as Outcome)
    await held.whenEmpty(never)
    expect(await ledger()).toMatchObject({
      settled: 2,
      superseded: 2,
      parked: 2,
      dead: 2,
      pending: 0,
      unaccounted: 0,
    })
    expect(results.every(([, result]) => result === 'done')).toBe(true)
  })

  it('cuts an error that is far too long', async () => {
    const items = await hold(1)
    settleAll(items, { ...DEAD, error: 'x'.repeat(100_000) })
    await held.whenEmpty(never)
    expect((await listDeadLetters(control, keys, { count: 1 }))[0]?.error).toHaveLength(2_000)
  })

  it('says so when the entry belongs to another consumer by now', async () => {
    const items = await hold(2, 'another')
    settleAll(items.slice(0, 1), PARK)
    settleAll(items.slice(1), DEAD)
    await held.whenEmpty(never)
    expect(results).toEqual([
      ['park', 'not-owner'],
      ['dead', 'not-owner'],
    ])
    expect(await ledger()).toMatchObject({ pending: 2, parked: 0, dead: 0 })
  })
})

describe('Redis away', () => {
  it('outcomes wait, count as held, and are settled when it is back; one line says so', async () => {
    const items = await hold(150)
    await redis.server.kill('SIGKILL')
    await expect.poll(() => link.connected).toBe(false)
    settleAll(items.slice(0, 50), SETTLED)
    settleAll(items.slice(50, 100), PARK)
    await expect.poll(() => lines.filter(({ level }) => level === 40).length).toBe(1)
    settleAll(items.slice(100), DEAD)
    expect(settler.waiting).toBe(150)
    expect(held.size).toBe(150)
    await redis.server.restart()
    await held.whenEmpty(never)
    expect(await ledger()).toMatchObject({ settled: 50, parked: 50, dead: 50, pending: 0 })
    expect(lines.filter(({ level }) => level === 40)).toHaveLength(1)
  })

  it('a settlement whose answer was lost is repeated without harm', async () => {
    const items = await hold(30)
    await redis.server.kill('SIGSTOP')
    settleAll(items.slice(0, 10), SETTLED)
    settleAll(items.slice(10, 20), PARK)
    settleAll(items.slice(20), DEAD)
    await expect.poll(() => lines.length).toBeGreaterThan(0) // timed out, yet it will be done
    await redis.server.kill('SIGCONT')
    await held.whenEmpty(never)
    expect(await ledger()).toMatchObject({ settled: 10, parked: 10, dead: 10, pending: 0, unaccounted: 0 })
  })

  it('giving up ends the trying, also when the connection is closed afterwards', async () => {
    const items = await hold(3)
    await redis.server.kill('SIGKILL')
    await expect.poll(() => link.connected).toBe(false)
    settleAll(items, SETTLED)
    await expect.poll(() => lines.length).toBeGreaterThan(0)
    settler.giveUp()
    await link.close()
    await new Promise((resolve) => setImmediate(resolve))
    const tried = scripts.length
    settleAll(items, SETTLED)
    await new Promise((resolve) => setImmediate(resolve))
    expect(scripts.length).toBe(tried)
    await redis.server.restart()
  })

  it('a connection that is closed under it ends the trying', async () => {
    const items = await hold(3)
    await redis.server.kill('SIGKILL')
    settleAll(items, SETTLED)
    await expect.poll(() => lines.length).toBeGreaterThan(0)
    await link.close()
    await expect.poll(() => lines.some(({ msg }) => msg === 'stopped waiting for Redis')).toBe(true)
    await redis.server.restart()
  })
})

describe('out of memory', () => {
  afterEach(() => settings('0'))

  it('successes are acknowledged past everything that needs memory', async () => {
    const items = await hold(400)
    await settings('1')
    settleAll(items.slice(0, 150), PARK)
    settleAll(items.slice(150, 300), DEAD)
    settleAll(items.slice(300), SETTLED)
    await expect.poll(async () => (await ledger()).settled).toBe(100)
    expect(await ledger()).toMatchObject({ pending: 300, parked: 0, dead: 0, unaccounted: 0 })
    expect(settler.waiting).toBe(300)
  })

  it('retries and dead letters stay pending, and are written as soon as there is memory', async () => {
    const items = await hold(20)
    await settings('1')
    settleAll(items.slice(0, 10), PARK)
    settleAll(items.slice(10), DEAD)
    await expect.poll(() => lines.some(({ err }) => String(err).includes('maxmemory'))).toBe(true)
    expect(await ledger()).toMatchObject({ pending: 20, parked: 0, dead: 0 })
    await settings('0')
    await held.whenEmpty(never)
    expect(await ledger()).toMatchObject({ pending: 0, parked: 10, dead: 10, unaccounted: 0 })
  })

  it('what comes in meanwhile is settled at once, not after the pause', async () => {
    const items = await hold(300)
    await settings('1')
    settleAll(items.slice(0, 1), PARK)
    await expect.poll(() => lines.length).toBeGreaterThan(0)
    for (const item of items.slice(1)) {
      settler.settle(item, SETTLED)
      while (item.state !== 'gone') await new Promise((resolve) => setImmediate(resolve))
    }
    // The one that waits is tried again after each pause: there were not 299 pauses.
    expect(scripts.filter((name) => name === 'park').length).toBeLessThan(100)
  })
})
