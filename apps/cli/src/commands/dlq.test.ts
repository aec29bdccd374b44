import { describe, expect, it } from 'vitest'
import { usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'
import type { Io } from '../io.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)

/** webhook-cli on this Redis. */
const cli = (args: readonly string[], io: Partial<Io> = {}) =>
  run(args, { env: { REDIS_URL: redis.url }, ...io })

describe('dlq list', () => {
  it('shows letters, and how to go on when there are more', async () => {
    const pipeline = await open()
    for (const tenant of ['a', 'b', 'b'])
      await pipeline.kill({ tenant }, { reason: 'timeout', error: 'took\ntoo long' })
    const first = await cli(['dlq', 'list', '--count', '2'])
    expect(first.code).toBe(0)
    expect(first.rows[0]).toEqual([
      'LETTER',
      'DIED',
      'TOOL',
      'TENANT',
      'TYPE',
      'ATTEMPTS',
      'REASON',
      'EVENT',
      'ERROR',
    ])
    expect(first.rows[1]?.slice(2)).toEqual([
      'github',
      'a',
      'push',
      '4',
      'timeout',
      expect.stringMatching(/^evt_/),
      'took too long',
    ])
    const after = /--after (\S+)/.exec(first.err)?.[1] ?? ''
    const rest = await cli(['dlq', 'list', '--after', after])
    expect(rest.rows).toHaveLength(2)
    expect(rest.err).toBe('')
    const page = (await cli(['dlq', 'list', '--tenant', 'b', '--json'])).json()
    expect(page).toEqual(await pipeline.view.deadLetters.page({ tenant: 'b' }, 50))
    expect(page).toMatchObject({ dead_letters: [{ tenant: 'b' }, { tenant: 'b' }], next: null })
  })

  it('says when there are none, also within filters', async () => {
    const pipeline = await open()
    await pipeline.kill()
    for (const filter of [
      ['--tool', 'jira'],
      ['--tenant', 'x'],
      ['--reason', 'poison'],
      ['--until', '1h'],
      ['--since', '2999-01-01T00:00:00Z'],
    ]) {
      expect(await cli(['dlq', 'list', ...filter])).toMatchObject({ code: 0, out: 'no dead letters\n' })
    }
    for (const filter of [
      ['--tool', 'github'],
      ['--reason', 'handler'],
      ['--since', '1h'],
      ['--until', '2999-01-01'],
    ]) {
      expect((await cli(['dlq', 'list', ...filter])).rows).toHaveLength(2)
    }
  })
})

describe('dlq show', () => {
  it('shows why it died and what it carries, by letter id or event id', async () => {
    const pipeline = await open()
    const { id, body } = await pipeline.kill(
      { json: { zen: 'Keep it \u001b[2J calm', list: [1, 2] } },
      { error: 'boom' },
    )
    const { code, out, rows } = await cli(['dlq', 'show', id])
    expect(code).toBe(0)
    expect(rows).toContainEqual(['error', 'boom'])
    expect(rows).toContainEqual(['content-type', 'application/json'])
    expect(out).toContain('"list": [\n    1,\n    2\n  ]')
    expect(out).not.toContain('\u001b[2J')
    const { letter_id: letter } = (await cli(['dlq', 'show', id, '--json'])).json() as { letter_id: string }
    expect((await cli(['dlq', 'show', letter, '--json'])).json()).toMatchObject({
      event_id: id,
      headers: { 'content-type': 'application/json' },
      body: body.toString(),
      body_base64: null,
      body_problem: null,
    })
    expect(await cli(['dlq', 'show', letter, '--raw'])).toMatchObject({ code: 0, out: '', bytes: body })
  })

  it('shows bytes that are no text as base64, and cuts long ones', async () => {
    const pipeline = await open()
    const binary = await pipeline.kill({ body: Buffer.from([0xff, 0xfe]) })
    expect((await cli(['dlq', 'show', binary.id, '--json'])).json()).toMatchObject({
      body: null,
      body_base64: '//4=',
    })
    const long = await pipeline.kill({ json: Array.from({ length: 100 }, (_, i) => i) })
    const { out } = await cli(['dlq', 'show', long.id])
    expect(out).toContain('--raw writes all of it')
    expect(out.split('\n').length).toBeLessThan(70)
  })

  it('ends with 1 when there is no such letter, or nothing to write', async () => {
    const pipeline = await open()
    expect(await cli(['dlq', 'show', '1-1'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('there is no dead letter 1-1'),
    })
    const letter = String(
      await pipeline.link.call('XADD', pipeline.keys.deadLetters, '*', 'sid', '1-0', 'reason', 'corrupt'),
    )
    expect(await cli(['dlq', 'show', letter])).toMatchObject({
      code: 0,
      out: expect.stringContaining('cannot be read'),
    })
    expect(await cli(['dlq', 'show', letter, '--raw'])).toMatchObject({ code: 1 })
  })
})

describe('dlq replay', () => {
  it('counts first, then replays all that the filters choose', async () => {
    const pipeline = await open()
    for (let i = 0; i < 6; i++) await pipeline.kill({ tenant: i < 4 ? 'a' : 'b' })
    expect(await cli(['dlq', 'replay', '--tenant', 'a', '--dry-run'])).toMatchObject({
      code: 0,
      out: '4 dead letters would be replayed (dry run)\n',
    })
    expect(await pipeline.ledger()).toMatchObject({ dead: 6 })
    const { code, out } = await cli(['dlq', 'replay', '--tenant', 'a', '--rate', '1000'])
    expect({ code, out }).toEqual({ code: 0, out: '4 of 4 dead letters replayed\n' })
    expect(await pipeline.ledger()).toMatchObject({ dead: 2, parked: 4 })
    expect((await cli(['dlq', 'replay', '--all', '--json'])).json()).toEqual({
      matched: 2,
      replayed: 2,
      superseded: 0,
      absent: 0,
      unreadable: 0,
      last: expect.any(String),
      stopped: false,
    })
  })

  it('replays named letters, and ends with 1 when one is not there', async () => {
    const pipeline = await open()
    const { id } = await pipeline.kill()
    const { code, rows } = await cli(['dlq', 'replay', id, '1-1'])
    expect({ code, rows }).toEqual({
      code: 1,
      rows: [
        [id, 'replayed'],
        ['1-1', 'absent'],
      ],
    })
    expect((await cli(['dlq', 'replay', id, '--json'])).json()).toEqual({
      results: [{ id, outcome: 'absent' }],
    })
  })

  it('leaves what cannot be read, and says so', async () => {
    const pipeline = await open()
    await pipeline.kill()
    await pipeline.link.call('XADD', pipeline.keys.deadLetters, '*', 'sid', '1-0', 'reason', 'corrupt')
    expect(await cli(['dlq', 'replay', '--all'])).toMatchObject({
      code: 1,
      out: '1 of 2 dead letters replayed, 1 unreadable and left where they are\n',
    })
  })

  it('stops when told, and prints the command that does the rest', async () => {
    const pipeline = await open()
    for (let i = 0; i < 5; i++) await pipeline.kill({ tenant: 'a' })
    // The third wait for the rate is when Ctrl-C comes.
    const stop = new AbortController()
    let waits = 0
    const clock = {
      now: Date.now,
      monotonic: () => 0,
      wait: async () => {
        waits += 1
        if (waits === 3) stop.abort()
      },
    }
    const stopped = await cli(['dlq', 'replay', '--tenant', 'a', '--rate', '1'], {
      signal: stop.signal,
      clock,
    })
    expect(stopped).toMatchObject({ code: 1, out: '2 of 2 dead letters replayed\n' })
    const command = /go on with: webhook-cli (.+)/.exec(stopped.err)?.[1] ?? ''
    expect(command).toMatch(/^dlq replay --tenant a --after \d+-\d+ --until \d{4}-\S+Z --rate 1$/)
    const faster = command.replace(' --rate 1', '').split(' ')
    expect(await cli(faster)).toMatchObject({ code: 0, out: '3 of 3 dead letters replayed\n' })
    expect(await pipeline.ledger()).toMatchObject({ dead: 0, parked: 5 })
  })

  it('says before it begins what does the rest, in words that a shell takes as they are', async () => {
    const pipeline = await open()
    await pipeline.kill({}, { reason: "it's odd" })
    const { err } = await cli(['dlq', 'replay', '--reason', "it's odd", '--since', '1h'])
    expect(err).toMatch(
      /^should it be killed, this does the rest: webhook-cli dlq replay --reason 'it'\\''s odd' --since \d{4}-\S+Z --until \d{4}-\S+Z\n$/,
    )
  })

  it('shows how far it is where somebody watches', async () => {
    const pipeline = await open()
    for (let i = 0; i < 3; i++) await pipeline.kill()
    const { err } = await cli(['dlq', 'replay', '--all'], { terminal: true })
    expect(err).toContain('100 %  3 of 3 dead letters')
    await pipeline.kill()
    const json = await cli(['dlq', 'replay', '--all', '--json'], { terminal: true })
    expect(json.err).not.toContain('█')
  })

  it('prints the same when Redis goes away on the way', async () => {
    const pipeline = await open()
    for (let i = 0; i < 3; i++) await pipeline.kill()
    let waits = 0
    const clock = {
      now: Date.now,
      monotonic: () => 0,
      wait: async () => {
        waits += 1
        if (waits === 2) await redis.server.kill('SIGKILL')
      },
    }
    const { code, err } = await cli(['dlq', 'replay', '--all', '--rate', '1'], { clock })
    expect(code).toBe(2)
    expect(err).toMatch(
      /1 of 1 dead letter replayed; go on with: webhook-cli dlq replay --after \S+ --until \S+/,
    )
    expect(err).toContain('REDIS_UNAVAILABLE')
  })
})

describe('dlq purge', () => {
  it('asks, and deletes only after a yes', async () => {
    const pipeline = await open()
    await pipeline.kill()
    await pipeline.kill()
    const questions: string[] = []
    const answering = (answer: string) => async (question: string) => {
      questions.push(question)
      return answer
    }
    expect(await cli(['dlq', 'purge', '--tool', 'github'], { ask: answering('y') })).toMatchObject({
      code: 1,
      err: 'error: nothing was deleted.\n',
    })
    expect(questions).toEqual(['Delete 2 dead letters, for good? Type yes: '])
    expect(await pipeline.ledger()).toMatchObject({ dead: 2, purged: 0 })
    expect(await cli(['dlq', 'purge', '--tool', 'github'], { ask: answering(' Yes\n') })).toMatchObject({
      code: 0,
      out: '2 of 2 dead letters purged\n',
    })
    expect(await pipeline.ledger()).toMatchObject({ dead: 0, purged: 2 })
  })

  it('refuses where nobody can be asked, unless told --yes', async () => {
    const pipeline = await open()
    const { id } = await pipeline.kill()
    expect(await cli(['dlq', 'purge', '--all'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('pass --yes'),
    })
    expect(await cli(['dlq', 'purge', id])).toMatchObject({
      code: 2,
      err: expect.stringContaining('pass --yes'),
    })
    expect(await cli(['dlq', 'purge', '--all', '--dry-run'])).toMatchObject({
      code: 0,
      out: '1 dead letter would be purged (dry run)\n',
    })
    expect((await cli(['dlq', 'purge', id, '--yes', '--json'])).json()).toEqual({
      results: [{ id, outcome: 'purged' }],
    })
    expect((await cli(['dlq', 'purge', '--all', '--yes', '--json'])).json()).toMatchObject({
      matched: 0,
      purged: 0,
    })
    expect(await cli(['dlq', 'purge', id, '--yes'])).toMatchObject({ code: 1 })
  })
})
