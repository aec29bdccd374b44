/**
 * Senders, consumers and operators at the same time over several connections: whatever the order in which their scripts
 * come to run, the ledger balances at every moment at which it is read, and in the end every event has come to its end.
 */
import { expect, it } from 'vitest'
import { isFault } from '../../packages/core/src/faults.ts'
import { decodeRecord } from '../../packages/core/src/record.ts'
import type { RedisLink } from '../../packages/core/src/redis/link.ts'
import type { Admission } from '../../packages/core/src/stream/admit.ts'
import { listDeadLetters, replayDeadLetter } from '../../packages/core/src/stream/dead-letters.ts'
import { ensureGroup } from '../../packages/core/src/stream/group.ts'
import { readLedger } from '../../packages/core/src/stream/ledger.ts'
import { settledKeys, settledMember } from '../../packages/core/src/stream/long-memory.ts'
import { claimPending, listPending } from '../../packages/core/src/stream/reclaim.ts'
import type { HeldEntry } from '../../packages/core/src/stream/settle.ts'
import { trimSettled } from '../../packages/core/src/stream/trim.ts'
import { movesOf } from './moves.ts'
import { redisTime, useWorld } from './world.ts'

/** How long they go on, by Redis' clock, ms. */
const DURATION_MS = 3_000
const ACTORS = 12
const CONNECTIONS = 4

const world = useWorld({
  windows: { quick: { duration: 200, maxSize: 1 }, quick3: { duration: 300, maxSize: 3 } },
})
const { keys } = world
const { settle, parkNow, buryNow, claim, redelivered } = movesOf(world)

const int = (below: number) => Math.floor(Math.random() * below)
const pick = <T>(list: readonly T[]): T | undefined => list[int(list.length)]

it('many at once never unbalance the ledger, and everything comes to its end', async () => {
  const links = await Promise.all(Array.from({ length: CONNECTIONS }, () => world.link()))
  const monitor = await world.link()
  await monitor.call('CONFIG', 'SET', 'stream-node-max-entries', 4)
  await ensureGroup(monitor, keys)
  const end = (await redisTime(monitor)) + DURATION_MS
  const admitted: Admission[] = []
  let readings = 0
  let tokens = 0

  /** Ends the way of what is held, one way or another; now and then twice, as a zombie would. */
  const dispose = async (link: RedisLink, entries: readonly HeldEntry[]) => {
    for (const entry of entries) {
      const times = Math.random() < 0.1 ? 2 : 1
      for (let i = 0; i < times; i++) {
        const dice = Math.random()
        if (dice < 0.5) await settle(link, [entry])
        else if (dice < 0.8) await parkNow(link, entry, { delayMs: int(100) })
        else await buryNow(link, entry)
      }
    }
  }

  const act = async (link: RedisLink, name: string) => {
    const dice = Math.random()
    if (dice < 0.3) {
      const admission = world.admission({ tool: pick(['quick', 'quick3', 'slow'])! })
      admitted.push(admission)
      await world.admitter().admit(link, admission)
    } else if (dice < 0.45) {
      const admission = pick(admitted.slice(-50))
      if (admission !== undefined) await redelivered(link, admission)
    } else if (dice < 0.65) {
      await dispose(link, await world.read(link, name, 1 + int(4)))
    } else if (dice < 0.85) {
      await dispose(link, await claim(link, `${name}:${++tokens}`, int(60), 1 + int(4)))
    } else if (dice < 0.92) {
      const pending = pick(await listPending(link, keys, { count: 20 }))
      if (pending === undefined) return
      for (const { streamId, fields } of await claimPending(link, keys, name, 0, [pending.streamId])) {
        const holding = { kind: 'pending', consumer: name } as const
        await dispose(link, [{ streamId, holding, record: decodeRecord(fields!) }])
      }
    } else if (dice < 0.97) {
      const letter = pick(await listDeadLetters(link, keys, { count: 50 }))
      if (letter?.record === undefined) return
      const { record, letterId } = letter
      const now = await redisTime(link)
      const settled = {
        keys: settledKeys(world.memory, now, record.locator),
        member: settledMember(record.locator),
      }
      await replayDeadLetter(
        link,
        keys,
        { letterId, record },
        world.place(record.tool, record.locator),
        settled,
        now,
      )
    } else if (dice < 0.995) {
      await trimSettled(link, keys, int(300))
    } else {
      await link.call('XGROUP', 'DESTROY', keys.stream, keys.group)
      await ensureGroup(link, keys)
    }
  }

  const actors = Array.from({ length: ACTORS }, async (_, index) => {
    const link = links[index % CONNECTIONS]!
    while ((await redisTime(link)) < end) {
      await act(link, `actor-${index % 5}`).catch((error: unknown) => {
        // The group was just lost, by another actor's hand.
        if (isFault(error) || !String(error).includes('NOGROUP')) throw error
      })
    }
  })
  const watching = (async () => {
    while ((await redisTime(monitor)) < end) {
      const { ledger } = await readLedger(monitor, keys)
      expect(ledger, JSON.stringify(ledger)).toMatchObject({ unaccounted: 0 })
      readings++
    }
  })()
  await Promise.all([...actors, watching])
  expect(readings).toBeGreaterThan(50)
  expect(admitted.length).toBeGreaterThan(100)

  await ensureGroup(monitor, keys)
  await world.read(monitor, 'last', 100_000)
  const pending = await listPending(monitor, keys, { count: 100_000 })
  const taken = await claimPending(
    monitor,
    keys,
    'last',
    0,
    pending.map(({ streamId }) => streamId),
  )
  for (const { streamId, fields } of taken) {
    const entry: HeldEntry = {
      streamId,
      holding: { kind: 'pending', consumer: 'last' },
      record: decodeRecord(fields!),
    }
    expect(await settle(monitor, [entry])).toBe(1)
  }
  for (;;) {
    const { ledger } = await readLedger(monitor, keys)
    if (ledger.parked === 0) break
    await settle(monitor, await claim(monitor, 'last', 60_000, 1_000))
  }
  const ledger = await world.balanced(monitor)
  expect(ledger).toMatchObject({ unread: 0, pending: 0, parked: 0 })
  expect(ledger.settled + ledger.superseded + ledger.purged + ledger.dead).toBe(ledger.accepted)
  for (const key of [keys.parkedRecords, keys.parkedState, keys.parkedIds]) {
    expect(await monitor.call('EXISTS', key), key).toBe(0)
  }
})
