import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuditor } from '@weir/core/audit/auditor'
import { systemClock } from '@weir/core/clock'
import { trimAudit } from '@weir/core/stream/audit-log'
import { reportBreaker } from '@weir/core/stream/breaker'
import { createAuditChain, createCheckpointSigner } from '@weir/security/audit-checkpoint'
import { afterAll, describe, expect, it } from 'vitest'
import { outOfMemory } from '../../../../tests/heart/world.ts'
import { type TestPipeline, usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'
import type { Io } from '../io.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)
const directory = mkdtempSync(join(tmpdir(), 'weir-cli-audit-'))
afterAll(() => rmSync(directory, { recursive: true }))

const at = (name: string, text?: string): string => {
  const path = join(directory, name)
  if (text !== undefined) writeFileSync(path, text)
  return path
}
const newKey = () =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const KEY = newKey()
const signer = createCheckpointSigner(KEY)
const keyFile = at('key.pem', KEY)
const publicKey = at('public.pem', signer.publicKey)
const DAY_MS = 86_400_000

/** webhook-cli on this Redis, with auditing, and the key. */
const ON = { WEBHOOK_AUDIT_LOGGING: 'true', WEBHOOK_AUDIT_SIGNING_KEY_FILE: keyFile }
const cli = (args: readonly string[], io: Partial<Io> = {}) =>
  run(args, { ...io, env: { REDIS_URL: redis.url, ...ON, ...io.env } })

interface Line {
  n: number
  at: number
  actor: string
  action: string
  target: string
  outcome: string
  detail: Record<string, unknown>
}

async function entries(): Promise<Line[]> {
  const { out, code } = await cli(['audit', 'export'])
  expect(code).toBe(0)
  return out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
}

/** Writes so many entries, with a signed checkpoint after every so many; entry n is of time n. */
async function fill(
  { link, keys }: TestPipeline,
  count: number,
  every: number,
  { key = KEY, actor = 'test' } = {},
) {
  let now = 0
  const auditor = createAuditor({
    link,
    keys,
    chain: createAuditChain(createCheckpointSigner(key)),
    actor,
    checkpointEvery: every,
    checkpointIntervalMs: DAY_MS,
    retentionMs: DAY_MS,
    clock: { ...systemClock, now: () => now },
    random: Math.random,
    tell: () => undefined,
  })
  auditor.start()
  for (now = 1; now <= count; now++) {
    await auditor.record({ action: 'test.do', target: `thing ${now}`, outcome: 'done' })
  }
  await auditor.close()
}

const verify = async (args: readonly string[] = [], io: Partial<Io> = {}) => {
  const { code, out, err } = await cli(['audit', 'verify', '--json', ...args], io)
  const document = out === '' ? undefined : (JSON.parse(out) as Record<string, unknown>)
  return { code, err, document }
}

describe('what operators change', () => {
  it('is recorded before it is done, and what became of it after', async () => {
    const pipeline = await open()
    const first = await pipeline.kill({ tenant: 'a' })
    await pipeline.kill({ tenant: 'b' })
    await pipeline.kill({ tenant: 'b' })
    await cli(['dlq', 'replay', first.id, '1-1'])
    await cli(['dlq', 'purge', '--tenant', 'b', '--since', '1h', '--yes'], { operator: 'ada@ops' })
    await cli(['dlq', 'replay', '--all'])
    await cli(['claim-pending', '--idle-time', '5m'])
    const settings = { failureThreshold: 1, openDurationMs: 60_000, probeLeaseMs: 1000 }
    await reportBreaker(pipeline.link, pipeline.keys, 'github', settings, 1, false)
    await cli(['reset-circuit-breaker', '--tool', 'github'])
    await cli(['dict', 'drop', '--tool', 'github', '--tenant', 'a'])
    const lines = await entries()
    expect(lines.map(({ action, target, outcome }) => `${action} ${target}: ${outcome}`)).toEqual([
      `dlq.replay letter ${first.id} 1-1: intended`,
      `dlq.replay letter ${first.id}: replayed`,
      'dlq.replay letter 1-1: absent',
      `dlq.replay letter ${first.id} 1-1: done`,
      expect.stringMatching(/^dlq\.purge tenant b, since 20\S+Z: intended$/),
      expect.stringMatching(/^dlq\.purge tenant b, since 20\S+Z: done$/),
      'dlq.replay all dead letters: intended',
      'dlq.replay all dead letters: done',
      'pending.claim entries idle for 5m: intended',
      'pending.claim entries idle for 5m: done',
      'breaker.reset github: intended',
      'breaker.reset github: done',
      'dictionary.drop a/github: intended',
      'dictionary.drop a/github: absent',
    ])
    expect(lines[3]).toMatchObject({ actor: 'tester@test', detail: { intended: 1, done: 1 } })
    expect(lines[5]).toMatchObject({ actor: 'ada@ops', detail: { intended: 5, matched: 2, done: 2 } })
    expect(lines[11]).toMatchObject({ detail: { was_closed: false } })
    expect(await verify()).toMatchObject({ code: 0, document: { verdict: 'intact', entries: 14 } })
  })

  it('is not recorded while nothing is changed, or auditing is off', async () => {
    const pipeline = await open()
    await pipeline.kill()
    await cli(['dlq', 'purge', '--all', '--dry-run'])
    await cli(['dlq', 'replay', '--all', '--dry-run'])
    await cli(['claim-pending', '--dry-run'])
    await cli(['dlq', 'purge', '--all'], { ask: async () => 'no' })
    await cli(['dict', 'train', '--tool', 'github'])
    await cli(['status'])
    await cli(['dlq', 'replay', '--all'], { env: { WEBHOOK_AUDIT_LOGGING: 'false' } })
    expect(await entries()).toEqual([])
    expect(await pipeline.ledger()).toMatchObject({ dead: 0, parked: 1 })
  })

  it('is not done when the trail cannot be told of it', async () => {
    const pipeline = await open()
    await pipeline.kill()
    await outOfMemory(pipeline.link, async () => {
      const refused = await cli(['dlq', 'purge', '--all', '--yes'])
      expect(refused).toMatchObject({ code: 2, out: '' })
      expect(refused.err).toContain('nothing was done')
      expect(refused.err).toContain('WEBHOOK_AUDIT_LOGGING=false')
      expect(await pipeline.ledger()).toMatchObject({ dead: 1 })
      const anyway = await cli(['dlq', 'purge', '--all', '--yes'], {
        env: { WEBHOOK_AUDIT_LOGGING: 'false' },
      })
      expect(anyway.code).toBe(0)
    })
    expect(await pipeline.ledger()).toMatchObject({ dead: 0, purged: 1 })
  })

  it('holds no secret, wherever one is', async () => {
    await open()
    const url = redis.url.replace('redis://', 'redis://default:s3cret-pass@')
    const client = redis.client()
    await client.call('CONFIG', 'SET', 'requirepass', 's3cret-pass')
    try {
      const env = { REDIS_URL: url, OPS_TOKEN: 's3cret-token', GITHUB_WEBHOOK_SECRET: 's3cret-github' }
      await cli(['reset-circuit-breaker', '--tool', 'github'], { env })
      const { out } = await cli(['audit', 'export'], { env })
      expect(out.split('\n')).toHaveLength(3)
      expect(out).not.toContain('s3cret')
    } finally {
      await client.call('CONFIG', 'SET', 'requirepass', '')
    }
  })

  it('is recorded by an operator who may not read the key, without a checkpoint', async () => {
    await open()
    const env = { WEBHOOK_AUDIT_SIGNING_KEY_FILE: at('nowhere.pem') }
    expect(await cli(['reset-circuit-breaker', '--tool', 'github'], { env })).toMatchObject({
      code: 0,
      err: '',
    })
    expect(await entries()).toHaveLength(2)
    const { code, err } = await verify([], { env })
    expect(code).toBe(0)
    expect(err).toContain('signatures are not checked')
  })
})

describe('audit verify', () => {
  it('finds nothing wrong with a trail of nothing', async () => {
    await open()
    expect(await cli(['audit', 'verify'])).toMatchObject({
      code: 0,
      out: 'intact: no entry (there are some where webhook.security.enable_audit_logging is true)\n',
      err: '',
    })
    expect((await verify()).document).toMatchObject({
      entries: 0,
      first: null,
      last: null,
      covered_up_to: null,
    })
  })

  it('says how far signed checkpoints cover it', async () => {
    const pipeline = await open()
    await fill(pipeline, 25, 10)
    const { document } = await verify()
    expect(document).toEqual({
      verdict: 'intact',
      source: 'redis',
      entries: 25,
      first: 1,
      last: 25,
      head: expect.stringMatching(/^[0-9a-f]{64}$/),
      problems: [],
      checkpoints: { signed: 2, unsigned: 0, unchecked: 0 },
      keys: [signer.keyId],
      covered_up_to: 20,
    })
    const text = await cli(['audit', 'verify', '--public-key', publicKey])
    expect(text.out).toBe(
      `intact: entries 1 to 25\nA checkpoint signed with ${signer.keyId} covers it up to entry 20; of the 5 after that, nothing outside of the chain is known.\n`,
    )
    const unchecked = await cli(['audit', 'verify'], { env: { WEBHOOK_AUDIT_SIGNING_KEY_FILE: '' } })
    expect(unchecked.out).toContain('nothing was there to check them with')
  })

  it('shows how far it is where somebody watches, and not with --json', async () => {
    await fill(await open(), 5, 2)
    const { err } = await cli(['audit', 'verify'], { terminal: true })
    expect(err).toMatch(/█.* % {2}\d of 5 entries/)
    expect((await cli(['audit', 'verify', '--json'], { terminal: true })).err).toBe('')
    const file = at('watched.jsonl', (await cli(['audit', 'export'])).out)
    const fromFile = await cli(['audit', 'verify', '--file', file], { terminal: true })
    expect(fromFile.err).toMatch(new RegExp(`█.* % {2}\\d+ of ${statSync(file).size} bytes`))
    const fromInput = await cli(['audit', 'verify', '--file', '-'], {
      terminal: true,
      readInput: async () => readFileSync(file),
    })
    expect(fromInput.err).toContain(`of ${statSync(file).size} bytes`)
  })

  it('names the first broken link', async () => {
    const pipeline = await open()
    const { link, keys } = pipeline
    await fill(pipeline, 10, 100)
    await link.call('XDEL', keys.audit, '7-0')
    const { code, document } = await verify()
    expect(code).toBe(1)
    expect(document).toMatchObject({
      verdict: 'broken',
      entries: 6,
      problems: [{ n: 7, kind: 'missing', why: 'entry 7 is missing' }],
    })
    expect((await cli(['audit', 'verify'])).out).toMatch(
      /^BROKEN at 7, missing: .+\nHolds: entries 1 to 6\.\n/,
    )
  })

  it('sees a cut-off end by the recorded head, by a checkpoint in Redis, or by one that was kept elsewhere', async () => {
    const pipeline = await open()
    const { link, keys } = pipeline
    await fill(pipeline, 12, 5)
    const outside = at('checkpoints.jsonl', (await cli(['audit', 'export', '--checkpoints'])).out)
    const { hash } = JSON.parse(
      readFileSync(at('all.jsonl', (await cli(['audit', 'export'])).out), 'utf8').split('\n')[7] ?? '',
    )
    await link.call('XDEL', keys.audit, '9-0', '10-0', '11-0', '12-0')
    const cut = { code: 1, document: { problems: [{ n: 9, kind: 'cut-off' }] } }
    expect(await verify()).toMatchObject(cut)
    // Whoever cut it off set the record back as well…
    await link.call('XSETID', keys.audit, '8-0')
    await link.call('HSET', keys.auditHead, 'n', 8, 'hash', hash)
    expect(await verify()).toMatchObject(cut)
    // … and removed the checkpoint.
    await link.call('XTRIM', keys.auditCheckpoints, 'MAXLEN', 1)
    await link.call('XDEL', keys.auditCheckpoints, '10-0')
    expect(await verify()).toMatchObject({ code: 0 })
    expect(await verify(['--checkpoints', outside, '--public-key', publicKey])).toMatchObject(cut)
  })

  it('sees what was written anew, and checkpoints that are not signed as they say', async () => {
    const pipeline = await open()
    const { link, keys } = pipeline
    await fill(pipeline, 12, 5)
    const outside = at('before.jsonl', (await cli(['audit', 'export', '--checkpoints'])).out)
    await link.call('DEL', keys.audit, keys.auditHead, keys.auditCheckpoints)
    await fill(pipeline, 12, 5, { key: newKey(), actor: 'mallory' })
    const inside = await verify(['--public-key', publicKey])
    expect(inside).toMatchObject({ code: 1, document: { covered_up_to: null } })
    expect(inside.document?.problems).toMatchObject([
      { n: 5, kind: 'foreign-checkpoint' },
      { n: 10, kind: 'foreign-checkpoint' },
    ])
    // In the name of our key, but without it.
    const foreign = (await cli(['audit', 'export', '--checkpoints'])).out
    const forged = at('forged.jsonl', foreign.replaceAll(/"key":"[0-9a-f]+"/g, `"key":"${signer.keyId}"`))
    const withForged = await verify(['--public-key', publicKey, '--checkpoints', forged])
    expect(withForged.document?.problems).toContainEqual(
      expect.objectContaining({ n: 5, kind: 'forged-checkpoint' }),
    )
    // Without any checkpoint in Redis, those that were kept elsewhere tell.
    await link.call('DEL', keys.auditCheckpoints)
    expect(await verify(['--public-key', publicKey])).toMatchObject({
      code: 0,
      document: { covered_up_to: null },
    })
    const other = await verify(['--checkpoints', outside, '--public-key', publicKey])
    expect(other).toMatchObject({ code: 1, document: { problems: [{ n: 5, kind: 'rewritten' }] } })
  })

  it('begins where retention ended, and sees when that was not retention', async () => {
    const pipeline = await open()
    const { link, keys } = pipeline
    await fill(pipeline, 25, 10)
    expect(await trimAudit(link, keys, 10)).toMatchObject({ kind: 'trimmed', removed: 10 })
    expect(await verify()).toMatchObject({ code: 0, document: { first: 11, entries: 15, covered_up_to: 20 } })
    const then = { ...systemClock, now: () => DAY_MS }
    expect(await verify([], { clock: then })).toMatchObject({
      code: 1,
      document: { problems: [{ n: 10, kind: 'removed' }] },
    })
    await link.call('XDEL', keys.auditCheckpoints, '10-0')
    const unproven = await verify()
    expect(unproven).toMatchObject({ code: 1, document: { problems: [{ n: 10, kind: 'removed' }] } })
    // Retention of somebody's own making.
    const lines = (await cli(['audit', 'export'])).out.split('\n')
    const { hash } = JSON.parse(lines[3] ?? '')
    await link.call('XTRIM', keys.audit, 'MINID', '15-0')
    await link.call('HSET', keys.auditHead, 'floor_n', 14, 'floor_hash', hash)
    expect(await verify()).toMatchObject({ code: 1, document: { problems: [{ n: 14, kind: 'removed' }] } })
  })

  it('sees a record that was set back, and lines that are no checkpoints', async () => {
    const pipeline = await open()
    const { link, keys } = pipeline
    await fill(pipeline, 6, 3)
    await link.call('HSET', keys.auditHead, 'n', 3)
    await link.call('XADD', keys.auditCheckpoints, '9-0', 'c', 'garbage')
    const { document } = await verify()
    expect(document?.problems).toMatchObject([
      { n: 3, kind: 'rewritten' },
      { n: 6, kind: 'forged-checkpoint' },
      { n: 4, kind: 'unrecorded' },
    ])
  })

  it('checks files too, without Redis', async () => {
    const pipeline = await open()
    await fill(pipeline, 25, 10)
    const nowhere = { env: { REDIS_URL: 'redis://127.0.0.1:1' } }
    const all = (await cli(['audit', 'export'])).out
    const points = at('points.jsonl', (await cli(['audit', 'export', '--checkpoints'])).out)
    const file = at('export.jsonl', all)
    const args = ['--file', file, '--checkpoints', points]
    expect(await verify(args, nowhere)).toMatchObject({
      code: 0,
      document: { source: file, entries: 25, covered_up_to: 20, checkpoints: { signed: 2 } },
    })
    const lines = all.split('\n')
    const part = at('part.jsonl', lines.slice(12, 22).join('\n'))
    expect(await verify(['--file', part, '--checkpoints', points], nowhere)).toMatchObject({
      code: 0,
      document: { first: 13, last: 22, covered_up_to: 20 },
    })
    for (const [tampered, problem] of [
      [all.replace('thing 9"', 'thing X"'), { n: 9, kind: 'changed' }],
      [lines.toSpliced(8, 1).join('\n'), { n: 9, kind: 'missing' }],
      [lines.with(8, lines[9]!).with(9, lines[8]!).join('\n'), { n: 9, kind: 'out-of-order' }],
      [lines.slice(0, 19).join('\n'), { n: 20, kind: 'cut-off' }],
      [`${all}\ngarbage`, { n: 26, kind: 'changed' }],
      ['garbage', { n: 1, kind: 'changed' }],
    ] as const) {
      const result = await verify(
        ['--file', at('tampered.jsonl', tampered), '--checkpoints', points],
        nowhere,
      )
      expect(result).toMatchObject({ code: 1, document: { problems: [problem] } })
    }
    const readInput = async () => Buffer.from(all)
    expect(await verify(['--file', '-'], { ...nowhere, readInput })).toMatchObject({ code: 0 })
    expect(await verify(['--file', at('empty.jsonl', '')], nowhere)).toMatchObject({
      code: 0,
      document: { entries: 0 },
    })
  })

  it.each([
    [['--file', 'nowhere.jsonl'], 'cannot be read'],
    [['--checkpoints', 'nowhere.jsonl'], 'cannot be read'],
    [['--checkpoints', 'key.pem'], 'line 1 is no checkpoint'],
    [['--public-key', 'nowhere.pem'], 'cannot be read'],
    [['--public-key', 'no.pem'], 'no key in PEM form'],
  ])('%j is told what is wrong', async (args, says) => {
    await open()
    at('no.pem', 'not a key')
    const { code, err, document } = await verify(args, { cwd: directory })
    expect({ code, document }).toEqual({ code: 2, document: undefined })
    expect(err).toContain(says)
    expect(err).not.toMatch(/\n\s+at /)
  })
})

describe('audit export', () => {
  it('writes a file that is whole, for its owner alone', async () => {
    const pipeline = await open()
    await fill(pipeline, 1_200, 500)
    const out = join(directory, 'out.jsonl')
    const { code, json } = await cli(['audit', 'export', '--out', 'out.jsonl', '--json'], { cwd: directory })
    expect({ code, answer: json() }).toEqual({
      code: 0,
      answer: { file: 'out.jsonl', lines: 1_200, first: 1, last: 1_200 },
    })
    expect(readFileSync(out, 'utf8')).toBe((await cli(['audit', 'export'])).out)
    expect(statSync(out).mode & 0o777).toBe(0o600)
    expect(
      await cli(['audit', 'export', '--after', '1190', '--out', 'out.jsonl'], { cwd: directory }),
    ).toMatchObject({
      code: 0,
      out: '10 lines written to out.jsonl\n',
    })
    expect(await cli(['audit', 'export', '--out', 'no/where.jsonl'], { cwd: directory })).toMatchObject({
      code: 2,
      err: expect.stringContaining('--out no/where.jsonl: ENOENT'),
    })
  })

  it('writes a run of entries by time, or after one', async () => {
    const pipeline = await open()
    await fill(pipeline, 9, 100)
    const clock = { ...systemClock, now: () => 9 }
    const numbers = async (...args: string[]) => {
      const { out } = await cli(['audit', 'export', ...args], { clock })
      return out.split('\n').flatMap((line) => (line === '' ? [] : [(JSON.parse(line) as Line).n]))
    }
    expect(await numbers('--since', '5ms')).toEqual([4, 5, 6, 7, 8, 9])
    expect(await numbers('--until', '5ms')).toEqual([1, 2, 3, 4])
    expect(await numbers('--since', '7ms', '--until', '5ms')).toEqual([2, 3, 4])
    expect(await numbers('--after', '7')).toEqual([8, 9])
    expect(await numbers('--after', '70')).toEqual([])
    expect(await numbers('--since', '2999-01-01')).toEqual([])
    expect(await numbers('--until', '1969-01-01')).toEqual([])
    expect(await cli(['audit', 'export', '--checkpoints', '--after', '1'])).toMatchObject({ code: 2 })
  })
})
