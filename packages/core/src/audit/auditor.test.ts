import { type BrokenLink, createChainVerifier, readEntry } from '@weir/security/audit-chain'
import { createAuditChain, createCheckpointSigner, readCheckpoint } from '@weir/security/audit-checkpoint'
import { afterEach, describe, expect, it } from 'vitest'
import { outOfMemory, useWorld } from '../../../../tests/heart/world.ts'
import { type Clock, systemClock } from '../clock.ts'
import { Fault } from '../faults.ts'
import type { RedisLink } from '../redis/link.ts'
import { type AuditPoint, auditCheckpoints, auditLines, readAuditState } from '../stream/audit-log.ts'
import { type Auditor, type AuditorEvent, type AuditorOptions, createAuditor, NO_AUDIT } from './auditor.ts'

const world = useWorld()
const { keys } = world
const DAY_MS = 86_400_000

const auditors: Auditor[] = []
afterEach(() => Promise.all(auditors.splice(0).map((auditor) => auditor.close())))

function open(link: RedisLink, options: Partial<AuditorOptions> = {}) {
  const told: AuditorEvent[] = []
  const auditor = createAuditor({
    link,
    keys,
    chain: createAuditChain(createCheckpointSigner(undefined)),
    actor: 'test',
    checkpointEvery: 1_000_000,
    checkpointIntervalMs: DAY_MS,
    retentionMs: 90 * DAY_MS,
    clock: systemClock,
    random: Math.random,
    tell: (event) => told.push(event),
    ...options,
  })
  auditors.push(auditor)
  auditor.start()
  return { auditor, told }
}

const noteOf = (i: number | string) => ({
  action: 'test.note',
  target: `thing ${i}`,
  outcome: 'done',
  detail: { i },
})

async function linesOf(link: RedisLink): Promise<string[]> {
  const { floor, head } = await readAuditState(link, keys)
  const lines: string[] = []
  for await (const line of auditLines(link, keys, floor.n, head.n)) lines.push(line)
  return lines
}

async function entriesOf(link: RedisLink) {
  return (await linesOf(link)).map((line) => readEntry(line)!)
}

async function verified(link: RedisLink): Promise<BrokenLink | AuditPoint> {
  const { floor, head } = await readAuditState(link, keys)
  const verifier = createChainVerifier(floor, [{ ...head, says: 'the head' }])
  for (const line of await linesOf(link)) if (!verifier.take(line)) break
  return verifier.end() ?? verifier.head
}

/** The link, with some of its scripts answered otherwise. */
function intercepted(
  link: RedisLink,
  run: (name: string, go: () => ReturnType<RedisLink['run']>) => ReturnType<RedisLink['run']>,
): RedisLink {
  const wrapped: RedisLink['run'] = (script, scriptKeys, args) =>
    run(script.name, () => link.run(script, scriptKeys, args))
  return Object.create(link, { run: { value: wrapped } })
}

describe('notes', () => {
  it('are written in their order, in batches, with who noted them', async () => {
    const link = await world.link()
    const batches: string[] = []
    const counting = intercepted(link, (name, go) => {
      batches.push(name)
      return go()
    })
    const { auditor } = open(counting)
    for (let i = 0; i < 250; i++) auditor.note(noteOf(i))
    auditor.note({ ...noteOf('x'), actor: 'somebody' })
    await auditor.close()
    const entries = await entriesOf(link)
    expect(entries.map(({ target }) => target)).toEqual([
      ...Array.from({ length: 250 }, (_, i) => `thing ${i}`),
      'thing x',
    ])
    expect(entries[7]).toMatchObject({ n: 8, actor: 'test', action: 'test.note', detail: { i: 7 } })
    expect(entries.at(-1)?.actor).toBe('somebody')
    expect(batches.filter((name) => name === 'append-audit')).toHaveLength(3)
    expect(auditor.counts).toEqual({ waiting: 0, written: 251, dropped: 0 })
    expect(await verified(link)).toMatchObject({ n: 251 })
  })

  it('wait while Redis is away, and are written when it is back', async () => {
    const link = await world.link()
    const { auditor, told } = open(link)
    await auditor.record(noteOf(0))
    await world.redis.server.kill('SIGKILL')
    for (let i = 1; i < 5; i++) auditor.note(noteOf(i))
    await expect.poll(() => told.map(({ kind }) => kind)).toEqual(['away'])
    await world.redis.server.restart()
    await expect.poll(() => told.map(({ kind }) => kind)).toEqual(['away', 'back'])
    expect((await entriesOf(link)).map(({ target }) => target)).toEqual(
      [0, 1, 2, 3, 4].map((i) => `thing ${i}`),
    )
  })

  it('are bounded; what did not fit is counted, and the count is noted', async () => {
    const link = await world.link()
    const { auditor, told } = open(link, { maxWaiting: 10 })
    for (let i = 0; i < 25; i++) auditor.note(noteOf(i))
    expect(auditor.counts).toEqual({ waiting: 10, written: 0, dropped: 15 })
    await auditor.close()
    const entries = await entriesOf(link)
    expect(entries).toHaveLength(11)
    expect(entries.at(-1)).toMatchObject({ action: 'audit.dropped', detail: { count: 15 } })
    expect(told).toEqual([{ kind: 'dropped', count: 15 }])
  })

  it('that the end overtakes are told', async () => {
    const link = await world.link()
    const { auditor, told } = open(link, { closeMs: 200 })
    await outOfMemory(link, async () => {
      for (let i = 0; i < 3; i++) auditor.note(noteOf(i))
      await auditor.close()
    })
    expect(told.map(({ kind }) => kind)).toEqual(['away', 'unwritten'])
    expect(told[1]).toMatchObject({ count: 3 })
    expect(await entriesOf(link)).toEqual([])
    auditor.note(noteOf(4)) // harmless
    await expect(auditor.record(noteOf(5))).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    await auditor.close()
  })

  it('are written by the end though nobody had started it', async () => {
    const link = await world.link()
    const auditor = createAuditor({
      link,
      keys,
      chain: createAuditChain(undefined),
      actor: 'test',
      checkpointEvery: 1,
      checkpointIntervalMs: 1,
      retentionMs: DAY_MS,
      clock: systemClock,
      random: Math.random,
      tell: () => undefined,
    })
    auditor.note(noteOf(1))
    await auditor.close()
    expect(await entriesOf(link)).toHaveLength(1)
    expect(await auditCheckpoints(link, keys)).toEqual([])
  })
})

describe('a record', () => {
  it('tells its place in the chain, after the notes before it', async () => {
    const link = await world.link()
    const { auditor } = open(link)
    auditor.note(noteOf(1))
    const point = await auditor.record(noteOf(2))
    const entry = (await entriesOf(link)).at(-1)
    expect(entry).toMatchObject({ target: 'thing 2', ...point, n: 2 })
    expect(await NO_AUDIT.record(noteOf(3))).toBeUndefined()
  })

  it('is refused when it could not be written, and written later all the same', async () => {
    const link = await world.link()
    const { auditor, told } = open(link)
    await outOfMemory(link, async () => {
      await expect(auditor.record(noteOf(1))).rejects.toMatchObject({ code: 'REDIS_OUT_OF_MEMORY' })
    })
    await auditor.record(noteOf(2))
    await expect.poll(() => told.map(({ kind }) => kind)).toEqual(['away', 'back'])
    expect((await entriesOf(link)).map(({ target }) => target)).toEqual(['thing 1', 'thing 2'])
  })

  it('whose outcome nobody knew is in the chain once, whatever became of it', async () => {
    const link = await world.link()
    /** What happens to the next appends: the answer is lost after, or the command before it arrives. */
    const fates: ('answer lost' | 'command lost')[] = ['answer lost', 'command lost', 'answer lost']
    const unlucky = intercepted(link, async (name, go) => {
      const fate = name === 'append-audit' ? fates.shift() : undefined
      if (fate === undefined) return go()
      if (fate === 'answer lost') await go()
      throw new Fault('REDIS_UNAVAILABLE', fate)
    })
    const { auditor } = open(unlucky)
    for (let i = 0; i < 4; i++) {
      await auditor.record(noteOf(i)).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
      })
    }
    await auditor.close()
    expect((await entriesOf(link)).map(({ target }) => target)).toEqual([0, 1, 2, 3].map((i) => `thing ${i}`))
    expect(await verified(link)).toMatchObject({ n: 4 })
  })

  it('that arrives late, after it was tried again, is in the chain once', async () => {
    const link = await world.link()
    let late: (() => Promise<unknown>) | undefined
    const unlucky = intercepted(link, async (name, go) => {
      if (name !== 'append-audit') return go()
      if (late === undefined) {
        late = go // in the buffer of a connection that nobody reads
        throw new Fault('REDIS_UNAVAILABLE', 'no answer')
      }
      await late() // just before the next one
      return go()
    })
    const { auditor } = open(unlucky)
    await expect(auditor.record(noteOf(1))).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    await auditor.close()
    expect(await entriesOf(link)).toHaveLength(1)
    expect(await verified(link)).toMatchObject({ n: 1 })
  })
})

describe('many at once', () => {
  it('make one unbroken chain, each with its own entries in their order', async () => {
    const links = await Promise.all(Array.from({ length: 6 }, () => world.link()))
    const open6 = links.map((link, who) => open(link, { actor: `w${who}`, checkpointEvery: 50 }).auditor)
    await Promise.all(
      open6.map(async (auditor) => {
        for (let i = 0; i < 100; i++) {
          if (i % 3 === 0) await auditor.record(noteOf(i))
          else auditor.note(noteOf(i))
        }
        await auditor.close()
      }),
    )
    const link = links[0] as RedisLink
    expect(await verified(link)).toMatchObject({ n: 600 })
    const entries = await entriesOf(link)
    for (let who = 0; who < 6; who++) {
      const own = entries.filter(({ actor }) => actor === `w${who}`).map(({ detail }) => detail.i)
      expect(own).toEqual(Array.from({ length: 100 }, (_, i) => i))
    }
    const checkpoints = (await auditCheckpoints(link, keys)).map((line) => readCheckpoint(line)!)
    expect(checkpoints.length).toBeGreaterThanOrEqual(6)
    for (const { n, hash } of checkpoints) expect(entries[n - 1]).toMatchObject({ n, hash })
  })

  it('that are too many are a fault, not a wait without end', async () => {
    const link = await world.link()
    let rival = 0
    const losing = intercepted(link, async (name, go) => {
      if (name === 'append-audit') await link.call('HSET', keys.auditHead, 'n', ++rival)
      return go()
    })
    const { auditor } = open(losing, { random: () => 0, closeMs: 10 })
    await expect(auditor.record(noteOf(1))).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    expect(rival).toBe(100)
  })
})

describe('checkpoints', () => {
  it('are made after so many entries, and after so long, by whoever writes', async () => {
    const link = await world.link()
    let ahead = 0
    const clock: Clock = { ...systemClock, now: () => Date.now() + ahead }
    const { auditor, told } = open(link, { checkpointEvery: 5, checkpointIntervalMs: 60_000, clock })
    for (let i = 0; i < 12; i++) await auditor.record(noteOf(i))
    const numbers = async () => (await auditCheckpoints(link, keys)).map((line) => readCheckpoint(line)?.n)
    await expect.poll(numbers).toEqual([5, 10])
    ahead = 61_000
    await auditor.record(noteOf(12))
    await expect.poll(numbers).toEqual([5, 10, 13])
    await auditor.close()
    const lines = told.flatMap((event) => (event.kind === 'checkpoint' ? [event.line] : []))
    expect(lines).toEqual(await auditCheckpoints(link, keys))
  })

  it('are made of what others left, when it is time', async () => {
    const link = await world.link()
    const first = open(link, { checkpointIntervalMs: 1_100 })
    await first.auditor.record(noteOf(1))
    await first.auditor.close()
    expect(await auditCheckpoints(link, keys)).toEqual([])
    const second = open(link, { checkpointIntervalMs: 1_100 })
    await expect.poll(() => auditCheckpoints(link, keys)).toHaveLength(1)
    expect(second.told).toMatchObject([{ kind: 'checkpoint' }])
  })

  it('do not fail what they follow', async () => {
    const link = await world.link()
    const failing = intercepted(link, (name, go) =>
      name === 'put-audit-checkpoint' ? Promise.reject(new Error('no')) : go(),
    )
    const { auditor, told } = open(failing, { checkpointEvery: 1 })
    expect(await auditor.record(noteOf(1))).toMatchObject({ n: 1 })
    await auditor.close()
    expect(told[0]).toMatchObject({ kind: 'upkeep-failed' })
  })
})

describe('retention', () => {
  /** Wakes an auditor early: an hour is a moment. */
  function hurried() {
    let ahead = 0
    const clock: Clock = {
      ...systemClock,
      now: () => Date.now() + ahead,
      monotonic: () => performance.now() + ahead,
      wait: (ms, signal) => systemClock.wait(Math.min(ms, 20), signal),
    }
    const pass = (ms: number) => {
      ahead += ms
    }
    return { clock, pass }
  }

  it('removes what is older, and notes that it did', async () => {
    const link = await world.link()
    const { clock, pass } = hurried()
    const { auditor, told } = open(link, { checkpointEvery: 10, retentionMs: DAY_MS, clock })
    for (let i = 0; i < 10; i++) await auditor.record(noteOf(i))
    await expect.poll(() => auditCheckpoints(link, keys)).toHaveLength(1)
    pass(DAY_MS + 1)
    await expect.poll(() => told.map(({ kind }) => kind)).toContain('trimmed')
    await expect
      .poll(async () => (await entriesOf(link))[0])
      .toMatchObject({
        n: 11,
        action: 'audit.trim',
        target: 'entries to 10',
        detail: { removed: 10 },
      })
    expect(await verified(link)).toMatchObject({ n: 11 })
  })

  it('leaves a broken chain alone, and says so', async () => {
    const link = await world.link()
    const { clock, pass } = hurried()
    const { auditor, told } = open(link, { checkpointEvery: 3, retentionMs: DAY_MS, clock })
    for (let i = 0; i < 3; i++) await auditor.record(noteOf(i))
    await expect.poll(() => auditCheckpoints(link, keys)).toHaveLength(1)
    await link.call('XDEL', keys.audit, '3-0')
    pass(DAY_MS + 1)
    await expect.poll(() => told).toContainEqual({ kind: 'trim-refused', n: 3 })
  })
})

describe('a Redis that lost what it had acknowledged', () => {
  it('is found out after the reconnect, told, and noted', async () => {
    const link = await world.link()
    const { auditor, told } = open(link)
    await auditor.record(noteOf(1))
    const lost = await auditor.record(noteOf(2))
    const { hash } = (await entriesOf(link))[0]!
    // As after a failover to a replica that did not have it yet.
    await link.call('XDEL', keys.audit, '2-0')
    await link.call('XSETID', keys.audit, '1-0')
    await link.call('HSET', keys.auditHead, 'n', 1, 'hash', hash)
    const { epoch } = link
    link.reconnect()
    await expect.poll(() => link.epoch).toBeGreaterThan(epoch)
    await auditor.record(noteOf(3))
    await auditor.close()
    expect(told).toEqual([{ kind: 'lost', point: lost }])
    expect((await entriesOf(link)).map(({ action, target }) => `${action} ${target}`)).toEqual([
      'test.note thing 1',
      'test.note thing 3',
      'audit.lost entry 2',
    ])
    expect(await verified(link)).toMatchObject({ n: 3 })
  })

  it('is not suspected after a reconnect alone', async () => {
    const link = await world.link()
    const { auditor, told } = open(link)
    await auditor.record(noteOf(1))
    const { epoch } = link
    link.reconnect()
    await expect.poll(() => link.epoch).toBeGreaterThan(epoch)
    await auditor.record(noteOf(2))
    expect(told).toEqual([])
  })
})
