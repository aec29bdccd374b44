/**
 * A random walk of senders, consumers, zombies and operators over a real server, beside a model that says what must be
 * true. After every step the ledger must agree with the model, place by place; again and again all that Redis holds is
 * compared. Windows are short, so that slices end all the time, with derived and minted ids together.
 *
 *   WEIR_WALK_STEPS=100000 WEIR_WALK_SEED=42 vitest run tests/heart/random-walk.test.ts
 */
import { expect, it } from 'vitest'
import { mintEventId } from '../../packages/core/src/event.ts'
import { decodeRecord } from '../../packages/core/src/record.ts'
import type { RedisLink, RedisReply } from '../../packages/core/src/redis/link.ts'
import type { Admission, Admitter } from '../../packages/core/src/stream/admit.ts'
import {
  findDeadLetter,
  listDeadLetters,
  purgeDeadLetter,
  replayDeadLetter,
} from '../../packages/core/src/stream/dead-letters.ts'
import { ensureGroup } from '../../packages/core/src/stream/group.ts'
import { readLedger } from '../../packages/core/src/stream/ledger.ts'
import { locateEvent } from '../../packages/core/src/stream/locate.ts'
import { settledKeys, settledMember } from '../../packages/core/src/stream/long-memory.ts'
import { claimParked, renewLeases, renewPending, wakeParked } from '../../packages/core/src/stream/parked.ts'
import { claimPending, listPending, removeConsumers } from '../../packages/core/src/stream/reclaim.ts'
import type { HeldEntry } from '../../packages/core/src/stream/settle.ts'
import { trimSettled } from '../../packages/core/src/stream/trim.ts'
import { Model, type ModelEntry, type Span } from './model.ts'
import { LONGEST_DELAY_MS, movesOf } from './moves.ts'
import { outOfMemory, passed, redisTime, useWorld } from './world.ts'

const STEPS = Number(process.env.WEIR_WALK_STEPS ?? 6_000)
const SEED = Number(process.env.WEIR_WALK_SEED ?? Math.floor(Math.random() * 2 ** 31))
/** All of Redis is compared with the model after this many steps. */
const INSPECTION_EVERY = 100
const CONSUMERS = ['a', 'b', 'c'] as const
/** One tool of each kind whose windows end all the time, and one whose window never does. */
const TOOLS = ['quick', 'quick', 'quick3', 'quick3', 'slow'] as const
const QUICK_MS = 250
const QUICK3_MS = 400

const world = useWorld({
  windows: {
    quick: { duration: QUICK_MS, maxSize: 1 },
    quick3: { duration: QUICK3_MS, maxSize: 3 },
    slow: { duration: 3_600_000, maxSize: 1 },
  },
  memory: { bloomBits: 1_024, bloomHashes: 4 },
})
const { keys } = world
const { settle, parkNow, buryNow } = movesOf(world)

/** mulberry32: small, and the same everywhere. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

class Walk {
  readonly model = new Model(world.windowOf)
  readonly history: string[] = []
  private readonly link: RedisLink
  private readonly random: () => number
  private readonly admitter: Admitter
  /** What consumers hold, or held once and, as zombies, believe to hold still. */
  private holdings: HeldEntry[] = []
  private tokens = 0

  constructor(link: RedisLink, random: () => number) {
    this.link = link
    this.random = random
    // The gateway's own clock is hours off and jumps: it must not matter.
    this.admitter = world.admitter(() => Date.now() + (random() < 0.01 ? 7_200_000 : -3_600_000))
  }

  private int(below: number): number {
    return Math.floor(this.random() * below)
  }
  private pick<T>(list: readonly T[]): T | undefined {
    return list[this.int(list.length)]
  }
  private say(what: string): void {
    this.history.push(what)
    if (this.history.length > 40) this.history.shift()
  }
  private async timed<T>(use: () => Promise<T>): Promise<{ result: T; span: Span }> {
    const from = await redisTime(this.link)
    const result = await use()
    return { result, span: { from, to: await redisTime(this.link) } }
  }
  private holding(): HeldEntry | undefined {
    // Mostly what was taken lately, sometimes what was taken long ago.
    const recent = this.random() < 0.7 ? this.holdings.slice(-12) : this.holdings
    return this.pick(recent)
  }
  private took(entries: readonly HeldEntry[]): void {
    this.holdings = [...this.holdings, ...entries].slice(-150)
  }

  private async admit(admission: Admission, occurrence: string): Promise<string> {
    const { result, span } = await this.timed(() => this.admitter.admit(this.link, admission))
    this.say(`admit ${admission.id} ${occurrence}${admission.repeat ? ' (repeat)' : ''} → ${result.kind}`)
    this.model.admitted(admission, occurrence, result, span)
    return result.kind
  }

  private readonly steps: Record<string, { weight: number; run: () => Promise<void> }> = {
    'a new event': {
      weight: 20,
      run: async () => {
        const admission = world.admission({ tool: this.pick(TOOLS)! })
        const occurrence = `${admission.tool}/${admission.locator.toString('hex')}`
        expect(await this.admit(admission, occurrence)).toBe('accepted')
        // The answer was lost: the gateway asks again with the same id.
        if (this.random() < 0.2) await this.admit({ ...admission, repeat: true }, occurrence)
      },
    },
    'a redelivery': {
      weight: 22,
      run: async () => {
        const event = this.pick(this.random() < 0.6 ? this.model.events.slice(-30) : this.model.events)
        if (event === undefined) return
        const { admission, occurrence } = event
        const id = admission.derived ? admission.id : mintEventId(await redisTime(this.link))
        const fields = admission.fields.map((field, i) => (admission.fields[i - 1] === 'id' ? id : field))
        await this.admit({ ...admission, id, fields }, occurrence)
      },
    },
    'a repeat after an unknown outcome, or a drain': {
      weight: 6,
      run: async () => {
        const event = this.pick(this.model.events.slice(-60))
        if (event !== undefined) await this.admit({ ...event.admission, repeat: true }, event.occurrence)
      },
    },
    read: {
      weight: 18,
      run: async () => {
        const consumer = this.pick(CONSUMERS)!
        const count = 1 + this.int(5)
        const entries = await world.read(this.link, consumer, count)
        this.say(`${consumer} reads ${entries.length}`)
        this.model.read(entries, count, consumer)
        this.took(entries)
      },
    },
    ok: {
      weight: 14,
      run: async () => {
        const entries = Array.from({ length: 1 + this.int(6) }, () => this.holding()).filter(
          (e) => e !== undefined,
        )
        const outcome = this.random() < 0.9 ? 'settled' : 'superseded'
        const done = entries.map((entry) => {
          const renewed = entry.record.derived && this.random() < 0.3
          return renewed ? { ...entry, renew: world.place(entry.record.tool, entry.record.locator) } : entry
        })
        const { result, span } = await this.timed(() => settle(this.link, done, outcome))
        this.say(`${outcome} ${entries.map(({ streamId }) => streamId).join(' ')} → ${result}`)
        const said = done.map((entry) => ({ sid: entry.streamId, renewed: 'renew' in entry }))
        this.model.settled(said, outcome, result, span)
      },
    },
    retry: {
      weight: 14,
      run: async () => {
        const entry = this.holding()
        if (entry === undefined) return
        const delayMs = this.random() < 0.5 ? 0 : this.int(LONGEST_DELAY_MS / 3)
        const owns = this.model.owns(this.model.entry(entry.streamId), entry.holding)
        const reason = this.random() < 0.5 ? 'retry' : 'breaker'
        const { result, span } = await this.timed(() => parkNow(this.link, entry, { delayMs, reason }))
        this.say(`park ${entry.streamId} as ${JSON.stringify(entry.holding)} for ${delayMs} → ${result}`)
        expect(result).toBe(owns ? 'done' : 'not-owner')
        if (result === 'done') this.model.parked(entry.streamId, delayMs, span)
      },
    },
    dead: {
      weight: 7,
      run: async () => {
        const entry = this.holding()
        if (entry === undefined) return
        const owns = this.model.owns(this.model.entry(entry.streamId), entry.holding)
        const result = await buryNow(this.link, entry)
        this.say(`bury ${entry.streamId} as ${JSON.stringify(entry.holding)} → ${result}`)
        expect(result).toBe(owns ? 'done' : 'not-owner')
        if (result !== 'done') return
        const letter = await findDeadLetter(this.link, keys, entry.record.id)
        expect(letter).toMatchObject({ streamId: entry.streamId })
        this.model.buried(entry.streamId, letter!.letterId)
      },
    },
    'take over': {
      weight: 5,
      run: async () => {
        const entry = this.pick(this.model.in('pending'))
        if (entry === undefined) return
        const consumer = this.pick(CONSUMERS)!
        const [claimed] = await claimPending(this.link, keys, consumer, 0, [entry.sid])
        this.say(`${consumer} takes ${entry.sid} over from ${entry.holder}`)
        expect(claimed?.streamId).toBe(entry.sid)
        this.model.move(entry, 'pending', consumer)
        const record = decodeRecord(claimed!.fields!)
        this.took([{ streamId: entry.sid, holding: { kind: 'pending', consumer }, record }])
      },
    },
    'claim parked': {
      weight: 14,
      run: async () => {
        const token = `${this.pick(CONSUMERS)}:${++this.tokens}`
        const leaseMs = this.random() < 0.4 ? 1 + this.int(80) : 60_000
        const max = 1 + this.int(5)
        const { result, span } = await this.timed(() =>
          claimParked(this.link, keys, token, leaseMs, max, max),
        )
        const sids = result.events.map(({ streamId }) => streamId)
        this.say(`${token} leases ${sids.join(' ')} for ${leaseMs}`)
        this.model.claimed(sids, token, leaseMs, max, span)
        this.took(
          result.events.map(({ streamId, fields }) => ({
            streamId,
            holding: { kind: 'lease', token },
            record: decodeRecord(fields),
          })),
        )
      },
    },
    renew: {
      weight: 4,
      run: async () => {
        const entry = this.holding()
        if (entry === undefined) return
        const { streamId, holding } = entry
        const known = this.model.entry(streamId)
        const owns = this.model.owns(known, holding)
        const { result, span } = await this.timed(() =>
          holding.kind === 'pending'
            ? renewPending(this.link, keys, holding.consumer, [streamId])
            : renewLeases(this.link, keys, holding.token, 500, [streamId]),
        )
        this.say(`renew ${streamId} as ${JSON.stringify(holding)} → ${result.size}`)
        expect(result.has(streamId)).toBe(owns)
        if (owns && holding.kind === 'lease') known.due = { from: span.from + 500, to: span.to + 500 }
      },
    },
    wake: {
      weight: 2,
      run: async () => {
        const before = this.model.in('parked').filter(({ holder }) => holder === '')
        const { result, span } = await this.timed(() => wakeParked(this.link, keys, 'breaker'))
        this.say(`wake → ${result}`)
        expect(result).toBeLessThanOrEqual(before.length)
        // Which of them waited for a breaker the model does not know: it forgets when they were due.
        for (const entry of before)
          entry.due = { from: Math.min(entry.due.from, span.from), to: entry.due.to }
      },
    },
    replay: {
      weight: 5,
      run: async () => {
        const entry = this.pick(this.model.in('dead'))
        if (entry === undefined) return
        const { event, letterId } = entry
        const letter = (await listDeadLetters(this.link, keys, { count: 10_000 })).find(
          (l) => l.letterId === letterId,
        )
        expect(letter?.record?.id).toBe(event.admission.id)
        const { result, span } = await this.timed(async () => {
          const now = await redisTime(this.link)
          const { locator } = event.admission
          return replayDeadLetter(
            this.link,
            keys,
            { letterId, record: letter!.record! },
            world.place(event.admission.tool, locator),
            { keys: settledKeys(world.memory, now, locator), member: settledMember(locator) },
            now,
          )
        })
        this.say(`replay ${entry.sid} → ${result}`)
        this.model.replayed(entry, result, span)
      },
    },
    purge: {
      weight: 1,
      run: async () => {
        const entry = this.pick(this.model.in('dead'))
        if (entry === undefined) return
        const which = { letterId: entry.letterId, eventId: entry.event.admission.id }
        expect(await purgeDeadLetter(this.link, keys, which)).toBe(true)
        this.say(`purge ${entry.sid}`)
        this.model.move(entry, 'purged')
      },
    },
    trim: {
      weight: 3,
      run: async () => {
        const { trimmed, floor } = await trimSettled(this.link, keys, this.pick([0, 100, 1_000])!)
        this.say(`trim ${trimmed}, floor ${floor}`)
        this.model.trimmed(floor)
      },
    },
    'lose the group': {
      weight: 0.3,
      run: async () => {
        await this.link.call('XGROUP', 'DESTROY', keys.stream, keys.group)
        expect((await trimSettled(this.link, keys, 0)).trimmed, 'nothing is trimmed without a group').toBe(0)
        const state = await ensureGroup(this.link, keys)
        this.say(`the group is lost → ${JSON.stringify(state)}`)
        if (state.kind !== 'created') throw new Error('the group was there')
        this.model.groupLost(state.from, state.unread)
      },
    },
    'let a slice end': {
      weight: 1,
      run: async () => {
        const window = this.pick([QUICK_MS, QUICK3_MS])!
        const now = await redisTime(this.link)
        await passed(this.link, now - (now % window) + window + this.int(5))
        this.say('a slice ended')
      },
    },
    'run out of memory': {
      weight: 0.5,
      run: async () => {
        const entry = this.pick(
          this.holdings.filter((each) => this.model.owns(this.model.entry(each.streamId), each.holding)),
        )
        this.say('out of memory')
        await outOfMemory(this.link, async () => {
          const full = { code: 'REDIS_OUT_OF_MEMORY' }
          await expect(
            this.admitter.admit(this.link, world.admission({ tool: 'slow' })),
          ).rejects.toMatchObject(full)
          if (entry === undefined) return
          await expect(parkNow(this.link, entry)).rejects.toMatchObject(full)
          await expect(buryNow(this.link, entry)).rejects.toMatchObject(full)
        })
      },
    },
    'disturb the connection': {
      weight: 0.5,
      run: async () => {
        await this.link.call('SCRIPT', 'FLUSH')
        await removeConsumers(this.link, keys, { idleMs: 0 })
        if (this.random() < 0.5) return
        this.link.reconnect()
        await expect.poll(() => this.link.connected).toBe(false)
        await this.link.ready(AbortSignal.timeout(5_000))
      },
    },
  }

  private readonly total = Object.values(this.steps).reduce((sum, { weight }) => sum + weight, 0)

  async step(): Promise<void> {
    let at = this.random() * this.total
    for (const { weight, run } of Object.values(this.steps)) {
      at -= weight
      if (at >= 0) continue
      await run()
      break
    }
    this.model.agreesWith((await readLedger(this.link, keys)).ledger)
  }

  /** Compares all that Redis holds with the model. */
  async inspect(): Promise<void> {
    const { model, link } = this
    const sidsIn = (entries: readonly ModelEntry[]) => entries.map(({ sid }) => sid).sort()
    const strings = async (...command: [string, ...string[]]) =>
      ((await link.call(...command)) as RedisReply[]).map(String).sort()

    const pending = await listPending(link, keys, { count: 100_000 })
    expect(pending.map(({ streamId }) => streamId).sort()).toEqual(sidsIn(model.in('pending')))
    for (const { streamId, consumer } of pending) expect(consumer).toBe(model.entry(streamId).holder)

    const parked = sidsIn(model.in('parked'))
    expect(await strings('ZRANGE', keys.parkedDue, '0', '-1')).toEqual(parked)
    expect(await strings('HKEYS', keys.parkedRecords)).toEqual(parked)
    expect(await strings('HKEYS', keys.parkedState)).toEqual(parked)
    for (const sid of await strings('HVALS', keys.parkedIds)) expect(parked).toContain(sid)

    const letters = await listDeadLetters(link, keys, { count: 100_000 })
    expect(letters.map(({ letterId }) => letterId).sort()).toEqual(
      model
        .in('dead')
        .map((each) => each.letterId)
        .sort(),
    )
    expect(letters.map(({ streamId }) => streamId).sort()).toEqual(sidsIn(model.in('dead')))
    const letterIds = new Set(letters.map(({ letterId }) => letterId))
    for (const letterId of await strings('HVALS', keys.deadIds)) expect(letterIds.has(letterId)).toBe(true)

    const inStream = new Set(
      ((await link.call('XRANGE', keys.stream, '-', '+')) as RedisReply[][]).map(([id]) => String(id)),
    )
    for (const entry of [...model.in('unread'), ...model.in('pending')])
      expect(inStream.has(entry.sid)).toBe(true)

    // An event with one entry is where that entry is; one that was given up is nowhere.
    for (const place of ['unread', 'pending', 'parked', 'dead', 'settled'] as const) {
      const alone = model.in(place).filter(({ event }) => event.entries.length === 1)
      const entry = this.pick(alone)
      if (entry === undefined) continue
      const evidence = (locator: Buffer) => [world.place(entry.event.admission.tool, locator)]
      const found = await locateEvent(
        link,
        { keys, memory: world.memory, evidence },
        entry.event.admission.id,
      )
      const forgotten = place === 'settled' && !inStream.has(entry.sid) && !entry.event.settled
      // Read anew after the group was lost, it may have died after all; it was processed.
      const processed = place === 'dead' && entry.event.settled
      expect(found?.place, `${entry.sid} is ${place}`).toBe(
        forgotten ? undefined : processed ? 'settled' : place,
      )
    }
  }

  /** Lets everything come to its end: nothing may be stuck. */
  async finish(): Promise<void> {
    for (;;) {
      const unread = this.model.in('unread').length
      if (unread === 0) break
      const entries = await world.read(this.link, 'z', 1_000)
      this.model.read(entries, 1_000, 'z')
    }
    const waiting = [...this.model.in('pending'), ...this.model.in('parked')]
    for (const entry of waiting) {
      const held: HeldEntry = {
        streamId: entry.sid,
        holding: { kind: 'pending', consumer: 'z' },
        record: decodeRecord(entry.event.admission.fields),
      }
      const { result, span } = await this.timed(() => settle(this.link, [held]))
      this.model.settled([{ sid: entry.sid, renewed: false }], 'settled', result, span)
    }
    this.model.agreesWith((await readLedger(this.link, keys)).ledger)
    await this.inspect()
  }
}

it(
  `a random walk of ${STEPS} steps never loses, doubles or forgets an event (seed ${SEED})`,
  async () => {
    console.info(`random walk: WEIR_WALK_SEED=${SEED} WEIR_WALK_STEPS=${STEPS}`)
    const link = await world.link()
    await link.call('CONFIG', 'SET', 'stream-node-max-entries', 4)
    await ensureGroup(link, keys)
    const walk = new Walk(link, randomOf(SEED))
    let step = 0
    try {
      for (; step < STEPS; step++) {
        await walk.step()
        if (step % INSPECTION_EVERY === 0) await walk.inspect()
      }
      await walk.finish()
    } catch (error) {
      const what = `step ${step} of the walk with seed ${SEED}; the last steps were:\n  ${walk.history.join('\n  ')}`
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n${what}`, { cause: error })
    }
  },
  30_000 + STEPS * 30,
)
