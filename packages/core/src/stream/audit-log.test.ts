import { type BrokenLink, createChainVerifier, GENESIS, sealEntry } from '@weir/security/audit-chain'
import { createCheckpointSigner } from '@weir/security/audit-checkpoint'
import { describe, expect, it } from 'vitest'
import { digest, outOfMemory, useWorld } from '../../../../tests/heart/world.ts'
import type { RedisLink } from '../redis/link.ts'
import {
  type AuditLine,
  type AuditPoint,
  appendAudit,
  auditCheckpoints,
  auditLineAt,
  auditLines,
  followOn,
  putAuditCheckpoint,
  readAuditState,
  trimAudit,
} from './audit-log.ts'

const world = useWorld()
const { keys } = world
const signer = createCheckpointSigner(undefined)

/** So many entries that follow on this point; entry n is of time n. */
function chain(count: number, after: AuditPoint = GENESIS): AuditLine[] {
  const lines: AuditLine[] = []
  for (let i = 0; i < count; i++) {
    const point = lines.at(-1) ?? after
    const at = point.n + 1
    lines.push(sealEntry({ at, actor: 'a', action: 'b', target: 'c', outcome: 'd', detail: { i } }, point))
  }
  return lines
}

/** Appends so many where the log ends; the state after it. */
async function append(link: RedisLink, count: number) {
  const after = followOn(await readAuditState(link, keys))
  const outcome = await appendAudit(link, keys, after, chain(count, after), after.n + count)
  expect(outcome.kind).toBe('appended')
  return outcome.state
}

async function checkpointAt(link: RedisLink, n: number): Promise<void> {
  const { checkpoint } = await readAuditState(link, keys)
  const { hash } = JSON.parse((await auditLineAt(link, keys, n)) ?? '{}')
  const text = signer.checkpoint({ n, hash }, n)
  const outcome = await putAuditCheckpoint(link, keys, checkpoint.n, { n, at: n, text })
  expect(outcome).toEqual({ kind: 'put', checkpoint: { n, at: n } })
}

async function all(link: RedisLink): Promise<string[]> {
  const { floor, head } = await readAuditState(link, keys)
  const lines: string[] = []
  for await (const line of auditLines(link, keys, floor.n, head.n)) lines.push(line)
  return lines
}

async function verified(link: RedisLink): Promise<BrokenLink | AuditPoint> {
  const { floor, head } = await readAuditState(link, keys)
  const verifier = createChainVerifier(floor, [{ ...head, says: 'the head' }])
  for (const line of await all(link)) if (!verifier.take(line)) break
  return verifier.end() ?? verifier.head
}

describe('the audit log', () => {
  it('of nothing is nothing', async () => {
    const link = await world.link()
    expect(await readAuditState(link, keys)).toEqual({
      head: GENESIS,
      last: 0,
      floor: GENESIS,
      checkpoint: { n: 0, at: 0 },
    })
    expect(await all(link)).toEqual([])
    expect(await auditCheckpoints(link, keys)).toEqual([])
    expect(await trimAudit(link, keys, Number.MAX_SAFE_INTEGER)).toEqual({ kind: 'kept' })
    expect(await link.call('DBSIZE')).toBe(0)
  })

  it('takes entries that follow on its head, and gives them back page by page', async () => {
    const link = await world.link()
    const lines = chain(1_234)
    await appendAudit(link, keys, GENESIS, lines.slice(0, 234), 5)
    const { kind, state } = await appendAudit(link, keys, lines[233]!, lines.slice(234), 6)
    const { n, hash } = lines.at(-1)!
    expect({ kind, state }).toEqual({
      kind: 'appended',
      state: { head: { n, hash }, last: 1_234, floor: GENESIS, checkpoint: { n: 0, at: 5 } },
    })
    expect(await all(link)).toEqual(lines.map(({ text }) => text))
    expect(await auditLineAt(link, keys, 700)).toBe(lines[699]?.text)
    expect(await auditLineAt(link, keys, 1_235)).toBeUndefined()
    expect(await verified(link)).toEqual({ n, hash })
  })

  it('refuses what does not, with the real head, and changes nothing', async () => {
    const link = await world.link()
    const state = await append(link, 3)
    const before = await digest(link)
    const other = chain(5)
    for (const after of [GENESIS, other[1]!, other[4]!, { n: 3, hash: 'f'.repeat(64) }]) {
      const outcome = await appendAudit(link, keys, after, chain(2, after), 9)
      expect(outcome).toEqual({ kind: 'behind', state })
    }
    expect(await digest(link)).toBe(before)
  })

  it('takes nothing at all when Redis is out of memory, and can be tried again', async () => {
    const link = await world.link()
    const state = await append(link, 3)
    const before = await digest(link)
    const lines = chain(50, state.head)
    await outOfMemory(link, async () => {
      const full = { code: 'REDIS_OUT_OF_MEMORY' }
      await expect(appendAudit(link, keys, state.head, lines, 9)).rejects.toMatchObject(full)
      const checkpoint = { n: 3, at: 9, text: signer.checkpoint(state.head, 9) }
      await expect(putAuditCheckpoint(link, keys, 0, checkpoint)).rejects.toMatchObject(full)
      expect(await readAuditState(link, keys)).toEqual(state)
      expect((await appendAudit(link, keys, GENESIS, lines, 9)).kind).toBe('behind')
    })
    expect(await digest(link)).toBe(before)
    expect((await appendAudit(link, keys, state.head, lines, 9)).kind).toBe('appended')
    expect(await verified(link)).toMatchObject({ n: 53 })
  })

  it('takes nothing on a server that is no master', async () => {
    const link = await world.link()
    const state = await append(link, 1)
    const server = world.redis.client()
    await server.call('REPLICAOF', '127.0.0.1', '1')
    try {
      const away = { code: 'REDIS_UNAVAILABLE' }
      await expect(appendAudit(link, keys, state.head, chain(1, state.head), 9)).rejects.toMatchObject(away)
    } finally {
      await server.call('REPLICAOF', 'NO', 'ONE')
    }
    expect(await readAuditState(await world.link(), keys)).toEqual(state)
  })
})

describe('a checkpoint', () => {
  it('is kept once: who did not know of the last one learns of it', async () => {
    const link = await world.link()
    const { head } = await append(link, 5)
    await checkpointAt(link, 5)
    const text = signer.checkpoint(head, 7)
    const last = { n: 5, at: 5 }
    for (const [known, n] of [
      [0, 5],
      [0, 9],
      [5, 5],
      [5, 3],
      [9, 10],
    ] as const) {
      expect(await putAuditCheckpoint(link, keys, known, { n, at: 7, text })).toEqual({
        kind: 'overtaken',
        checkpoint: last,
      })
    }
    expect(await auditCheckpoints(link, keys)).toEqual([signer.checkpoint(head, 5)])
    expect((await readAuditState(link, keys)).checkpoint).toEqual(last)
  })
})

describe('retention', () => {
  it('removes up to the newest checkpoint that is old enough, and the rest is verified from there', async () => {
    const link = await world.link()
    for (const n of [10, 20, 30]) {
      await append(link, 10)
      await checkpointAt(link, n)
    }
    await append(link, 5)
    const whole = await all(link)
    expect(await trimAudit(link, keys, 9)).toEqual({ kind: 'kept' })
    const floor = { n: 20, hash: JSON.parse(whole[19]!).hash }
    expect(await trimAudit(link, keys, 29)).toEqual({ kind: 'trimmed', removed: 20, floor })
    expect(await readAuditState(link, keys)).toMatchObject({ floor, head: { n: 35 }, checkpoint: { n: 30 } })
    expect(await all(link)).toEqual(whole.slice(20))
    expect(await verified(link)).toMatchObject({ n: 35 })
    // The proof of the new beginning stays.
    const kept = (await auditCheckpoints(link, keys)).map((line) => JSON.parse(line).n)
    expect(kept).toEqual([20, 30])
    expect(await trimAudit(link, keys, 29)).toEqual({ kind: 'kept' })

    // Everything may go, and the chain goes on.
    await checkpointAt(link, 35)
    expect(await trimAudit(link, keys, 1_000)).toMatchObject({ kind: 'trimmed', removed: 15 })
    expect(await all(link)).toEqual([])
    expect(await verified(link)).toMatchObject({ n: 35 })
    await append(link, 2)
    expect(await verified(link)).toMatchObject({ n: 37 })
  })

  it('works when Redis is out of memory: it is what frees some', async () => {
    const link = await world.link()
    await append(link, 10)
    await checkpointAt(link, 10)
    await append(link, 1)
    await outOfMemory(link, async () => {
      expect(await trimAudit(link, keys, 1_000)).toMatchObject({ kind: 'trimmed', removed: 10 })
    })
    expect(await verified(link)).toMatchObject({ n: 11 })
  })

  it('removes nothing that its checkpoint does not know: it may be evidence', async () => {
    const link = await world.link()
    const { head } = await append(link, 10)
    const other = { n: 10, hash: 'e'.repeat(64) }
    const text = signer.checkpoint(other, 10)
    await putAuditCheckpoint(link, keys, 0, { n: 10, at: 10, text })
    expect(await trimAudit(link, keys, 1_000)).toEqual({ kind: 'refused', n: 10 })
    expect(await verified(link)).toEqual(head)
    await link.call('XDEL', keys.audit, '10-0')
    expect(await trimAudit(link, keys, 1_000)).toEqual({ kind: 'refused', n: 10 })
    expect(await readAuditState(link, keys)).toMatchObject({ floor: GENESIS })
  })

  it('is not led astray by lines that are no checkpoints', async () => {
    const link = await world.link()
    await append(link, 4)
    await link.call('XADD', keys.auditCheckpoints, '1-0', 'c', 'garbage')
    await link.call('XADD', keys.auditCheckpoints, '2-0', 'c', '{"n":"2"}')
    await link.call('XADD', keys.auditCheckpoints, '3-0', 'c', 'null')
    expect(await trimAudit(link, keys, 1_000)).toEqual({ kind: 'kept' })
  })
})

describe('a log that somebody meddled with goes on, and the chain shows it', () => {
  it('when its head was set back', async () => {
    const link = await world.link()
    await append(link, 3)
    const { hash } = JSON.parse((await auditLineAt(link, keys, 2)) ?? '')
    await link.call('XDEL', keys.audit, '3-0')
    await link.call('HSET', keys.auditHead, 'n', 2, 'hash', hash)
    expect(await readAuditState(link, keys)).toMatchObject({ head: { n: 2 }, last: 3 })
    await append(link, 2)
    expect(await verified(link)).toMatchObject({ n: 3, kind: 'missing' })
  })

  it('when its head was deleted', async () => {
    const link = await world.link()
    await append(link, 3)
    await link.call('DEL', keys.auditHead)
    await append(link, 2)
    expect(await verified(link)).toMatchObject({ n: 4, kind: 'not-linked' })
  })

  it('when its head was made nonsense', async () => {
    const link = await world.link()
    await append(link, 3)
    await link.call('HSET', keys.auditHead, 'n', 'x', 'hash', 'y', 'floor_n', 'z', 'checkpoint_n', '')
    expect(await readAuditState(link, keys)).toMatchObject({ head: { n: 0, hash: 'y' }, last: 3 })
  })

  it('when its end was cut off', async () => {
    const link = await world.link()
    await append(link, 3)
    await link.call('XDEL', keys.audit, '3-0')
    expect(await verified(link)).toMatchObject({ n: 3, kind: 'cut-off' })
  })

  it('when an entry was deleted, or put between others', async () => {
    const link = await world.link()
    await append(link, 4)
    await link.call('XDEL', keys.audit, '2-0')
    expect(await verified(link)).toMatchObject({ n: 2, kind: 'missing' })
    await link.call('DEL', keys.audit, keys.auditHead)
    await append(link, 4)
    await link.call('XADD', keys.audit, '4-1', 'e', 'garbage')
    expect(await verified(link)).toMatchObject({ n: 5, kind: 'changed' })
  })
})
