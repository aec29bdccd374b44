/** The audit trail under load: many processes write to it, and some of them, or Redis, are killed meanwhile. */
import { describe, expect, it } from 'vitest'
import {
  type AuditPoint,
  auditCheckpoints,
  auditLines,
  readAuditState,
} from '../../packages/core/src/stream/audit-log.ts'
import {
  type AuditEntry,
  type BrokenLink,
  createChainVerifier,
  readEntry,
} from '../../packages/security/src/audit-chain.ts'
import { readCheckpoint } from '../../packages/security/src/audit-checkpoint.ts'
import { useWorld } from '../heart/world.ts'
import type { TestProcess } from '../support/process.ts'
import { useProcesses } from '../support/use-processes.ts'

const world = useWorld({ appendfsync: 'always' })
const { keys } = world
const processes = useProcesses()
const PATIENT = { timeout: 60_000 }

const append = (actor: string, count: number): TestProcess =>
  processes.start('tests/audit/appender.ts', { args: [world.redis.url, actor, String(count)] })

/** Numbers of the entries that this process was told are written. */
const acknowledged = (process: TestProcess): number[] =>
  [...process.output().matchAll(/^wrote (\d+)$/gm)].map(([, n]) => Number(n))

const wrote = (process: TestProcess, count: number) =>
  expect.poll(() => acknowledged(process).length).toBeGreaterThanOrEqual(count)

async function trail(): Promise<{ result: BrokenLink | AuditPoint; entries: AuditEntry[] }> {
  const link = await world.link()
  const { floor, head } = await readAuditState(link, keys)
  const checkpoints = (await auditCheckpoints(link, keys)).map((line) => readCheckpoint(line)!)
  expect(checkpoints.length).toBeGreaterThan(0)
  const marks = [head, ...checkpoints].map(({ n, hash }) => ({ n, hash, says: 'a checkpoint' }))
  const verifier = createChainVerifier(floor, marks)
  const entries: AuditEntry[] = []
  for await (const line of auditLines(link, keys, floor.n, head.n)) {
    verifier.take(line)
    entries.push(readEntry(line)!)
  }
  return { result: verifier.end() ?? verifier.head, entries }
}

/** One chain, and in it all that was acknowledged, each once, each under the name of who wrote it. */
async function expectUnbroken(writers: ReadonlyMap<string, TestProcess>): Promise<AuditEntry[]> {
  const { result, entries } = await trail()
  expect(result).toMatchObject({ n: entries.length, hash: entries.at(-1)?.hash })
  for (const [actor, process] of writers) {
    for (const n of acknowledged(process)) {
      expect(entries[n - 1]).toMatchObject({ n, actor, action: 'test.record' })
    }
    for (const action of ['test.record', 'test.note']) {
      const serials = entries
        .filter((entry) => entry.actor === actor && entry.action === action)
        .map(({ detail }) => detail.i)
      expect(serials, `${actor} ${action}`).toEqual(Array.from(serials, (_, i) => i))
    }
  }
  return entries
}

describe('the audit trail of many processes', () => {
  it('is one unbroken chain', PATIENT, async () => {
    const writers = new Map(['a', 'b', 'c', 'd'].map((actor) => [actor, append(actor, 100)]))
    for (const process of writers.values()) expect(await process.exit).toMatchObject({ code: 0 })
    expect(await expectUnbroken(writers)).toHaveLength(4 * 200)
  })

  it('survives SIGKILL of those that write, in the middle of it', PATIENT, async () => {
    const writers = new Map<string, TestProcess>()
    const start = (actor: string) => {
      const process = append(actor, 1_000_000)
      writers.set(actor, process)
      return process
    }
    const survivor = start('survivor')
    for (let round = 0; round < 4; round++) {
      const victims = [start(`victim-${round}-a`), start(`victim-${round}-b`)]
      await Promise.all(victims.map((victim) => wrote(victim, 20)))
      await Promise.all(victims.map((victim) => victim.kill('SIGKILL')))
    }
    await wrote(survivor, 50)
    await survivor.kill('SIGKILL')
    await expectUnbroken(writers)
  })

  it(
    'survives SIGKILL of Redis: what was acknowledged is there, and those that write go on',
    PATIENT,
    async () => {
      const writers = new Map<string, TestProcess>()
      for (const actor of ['a', 'b']) writers.set(actor, append(actor, 1_000_000))
      const all = [...writers.values()]
      await Promise.all(all.map((process) => wrote(process, 50)))
      await world.redis.server.kill('SIGKILL')
      // A record that could not be written ends the process: it says what became of it.
      await Promise.all(all.map((process) => process.exit))
      await world.redis.server.restart()
      const { entries } = await trail()
      await Promise.all([append('c', 20).exit, append('d', 20).exit])
      const after = await expectUnbroken(writers)
      expect(after.slice(0, entries.length)).toEqual(entries)
      expect(after).toHaveLength(entries.length + 80)
    },
  )
})
