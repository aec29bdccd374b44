import { describe, expect, it } from 'vitest'
import { type TestPipeline, usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import type { Clock } from '../clock.ts'
import { openPipelineView } from '../pipeline-view.ts'
import { decodeRecord } from '../record.ts'
import { claimParked } from '../stream/parked.ts'
import type { BulkProgress } from './dead-letters.ts'
import { isLetterId } from './dead-letters.ts'
import { pipelineViewOptions } from './options.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)

/** So many dead letters of github, for two tenants in turn. */
async function killMany(pipeline: TestPipeline, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await pipeline.accept({ tenant: i % 2 === 0 ? 'even' : 'odd' })
  for (const entry of await pipeline.read('undertaker')) await pipeline.bury(entry)
}

/** Everything that is due now, as a consumer would claim it. */
async function claimAll({ link, keys }: TestPipeline) {
  return (await claimParked(link, keys, 'claimer:1', 60_000, 10_000, 10_000)).events
}

describe('pages of dead letters', () => {
  it('are oldest first and lead from one to the next', async () => {
    const pipeline = await open()
    await killMany(pipeline, 5)
    const { deadLetters } = pipeline.view
    const first = await deadLetters.page({}, 2)
    const second = await deadLetters.page({ after: first.next ?? undefined }, 2)
    const third = await deadLetters.page({ after: second.next ?? undefined }, 2)
    expect([first, second, third].map(({ dead_letters: letters }) => letters.length)).toEqual([2, 2, 1])
    expect(third.next).toBeNull()
    const died = [first, second, third].flatMap(({ dead_letters: letters }) =>
      letters.map((letter) => letter.letter_id),
    )
    expect(new Set(died).size).toBe(5)
    expect(await deadLetters.page({}, 5)).toMatchObject({ next: null })
  })

  it('show what an operator asks first', async () => {
    const pipeline = await open()
    const { id, streamId } = await pipeline.kill(
      { type: 'issues', tenant: 'acme' },
      { reason: 'timeout', error: 'too slow' },
    )
    const { dead_letters: letters } = await pipeline.view.deadLetters.page({}, 10)
    expect(letters).toEqual([
      {
        letter_id: expect.stringMatching(/^\d+-\d+$/),
        event_id: id,
        stream_id: streamId,
        tool: 'github',
        tenant: 'acme',
        type: 'issues',
        reason: 'timeout',
        error: 'too slow',
        attempts: 4,
        received_at: expect.any(String),
        first_failed_at: expect.any(String),
        dead_at: expect.any(String),
        readable: true,
      },
    ])
  })

  it('hold what all conditions choose', async () => {
    const pipeline = await open()
    await pipeline.kill({ tenant: 'a' }, { reason: 'handler' })
    await pipeline.kill({ tenant: 'b' }, { reason: 'handler' })
    await pipeline.kill({ tool: 'gitlab', tenant: 'b' }, { reason: 'timeout' })
    const { deadLetters } = pipeline.view
    const found = async (query: object) =>
      (await deadLetters.page(query, 10)).dead_letters.map(({ tool, tenant }) => `${tool}/${tenant}`)
    expect(await found({ tool: 'github' })).toEqual(['github/a', 'github/b'])
    expect(await found({ tenant: 'b' })).toEqual(['github/b', 'gitlab/b'])
    expect(await found({ reason: 'timeout' })).toEqual(['gitlab/b'])
    expect(await found({ tool: 'github', tenant: 'b', reason: 'handler' })).toEqual(['github/b'])
    expect(await found({ tool: 'jira' })).toEqual([])
  })

  it('are bounded by the time of death', async () => {
    const pipeline = await open()
    await pipeline.kill()
    const between = await pipeline.now()
    await expect.poll(() => pipeline.now()).toBeGreaterThan(between)
    await pipeline.kill()
    const { deadLetters } = pipeline.view
    expect((await deadLetters.page({ until: between }, 10)).dead_letters).toHaveLength(1)
    expect((await deadLetters.page({ since: between + 1 }, 10)).dead_letters).toHaveLength(1)
    expect((await deadLetters.page({ since: 0, until: between + 60_000 }, 10)).dead_letters).toHaveLength(2)
    expect((await deadLetters.page({ since: between + 60_000 }, 10)).dead_letters).toEqual([])
  })

  it('go on past long stretches without a match', async () => {
    const pipeline = await open()
    await killMany(pipeline, 250)
    await pipeline.kill({ tool: 'gitlab' })
    const { dead_letters: letters, next } = await pipeline.view.deadLetters.page({ tool: 'gitlab' }, 5)
    expect(letters).toHaveLength(1)
    expect(next).toBeNull()
    expect(await pipeline.view.deadLetters.count({ tenant: 'odd' })).toBe(125)
  })

  it('show a letter whose record cannot be read, with its reason', async () => {
    const pipeline = await open()
    await pipeline.link.call(
      'XADD',
      pipeline.keys.deadLetters,
      '*',
      'tool',
      'github',
      'sid',
      '1-0',
      'reason',
      'corrupt',
      'dead_at',
      '1700000000000',
    )
    const { dead_letters: letters } = await pipeline.view.deadLetters.page({ tool: 'github' }, 5)
    expect(letters).toMatchObject([
      { event_id: null, reason: 'corrupt', readable: false, dead_at: '2023-11-14T22:13:20.000Z' },
    ])
    expect(await pipeline.view.deadLetters.replayOne(letters[0]!.letter_id)).toBe('unreadable')
    expect(await pipeline.view.deadLetters.purgeOne(letters[0]!.letter_id)).toBe(true)
  })
})

describe('replay', () => {
  it('takes a letter up again with all its attempts before it', async () => {
    const pipeline = await open()
    const { id, streamId } = await pipeline.kill()
    const { dead_letters: letters } = await pipeline.view.deadLetters.page({}, 1)
    expect(await pipeline.view.deadLetters.replayOne(letters[0]!.letter_id)).toBe('replayed')
    expect(await pipeline.view.deadLetters.replayOne(letters[0]!.letter_id)).toBe('absent')
    expect(await pipeline.view.deadLetters.replayOne(id)).toBe('absent')
    expect(await pipeline.ledger()).toMatchObject({ dead: 0, parked: 1 })
    const [event] = await claimAll(pipeline)
    expect(event).toMatchObject({ streamId, state: { attempts: 0, reason: 'replay' } })
    expect(decodeRecord(event!.fields)).toMatchObject({ id, attempts: 0 })
  })

  it('finds a letter by the id of its event too', async () => {
    const pipeline = await open()
    const { id } = await pipeline.kill()
    expect(await pipeline.view.deadLetters.replayOne(id)).toBe('replayed')
  })

  it('closes a letter that a redelivery has overtaken, so that nothing runs twice', async () => {
    const pipeline = await open()
    await pipeline.kill({ deliveryId: 'same' })
    await pipeline.accept({ deliveryId: 'same' })
    expect(await pipeline.view.deadLetters.replay({})).toMatchObject({ matched: 1, done: 0, superseded: 1 })
    expect(await pipeline.ledger()).toMatchObject({ dead: 0, superseded: 1, unread: 1 })
  })

  it('of a query replays all that it chooses, without a cap, and nothing else', async () => {
    const pipeline = await open()
    await killMany(pipeline, 240)
    const result = await pipeline.view.deadLetters.replay({ tenant: 'odd' })
    expect(result).toMatchObject({
      matched: 120,
      done: 120,
      superseded: 0,
      absent: 0,
      unreadable: 0,
      stopped: false,
    })
    expect(await pipeline.ledger()).toMatchObject({ dead: 120, parked: 120 })
    expect(await pipeline.view.deadLetters.count({ tenant: 'odd' })).toBe(0)
  })

  it('does not take up again what dies again while it runs', async () => {
    const pipeline = await open()
    await killMany(pipeline, 40)
    let died = 0
    const dieAgain = async () => {
      for (const { streamId, fields } of await claimAll(pipeline)) {
        const holding = { kind: 'lease', token: 'claimer:1' } as const
        await pipeline.bury({ streamId, holding, record: decodeRecord(fields) })
        died += 1
      }
    }
    const deaths: Promise<void>[] = []
    const result = await pipeline.view.deadLetters.replay(
      {},
      { onProgress: () => void deaths.push(dieAgain()) },
    )
    await Promise.all(deaths)
    expect(result).toMatchObject({ matched: 40, done: 40 })
    expect(died).toBe(40)
    expect(await pipeline.ledger()).toMatchObject({ dead: 40, parked: 0 })
  })

  it('keeps to a rate, by the clock it was given', async () => {
    const pipeline = await open()
    await killMany(pipeline, 30)
    const waits: number[] = []
    let elapsed = 0
    const clock: Clock = {
      now: Date.now,
      monotonic: () => elapsed,
      wait: async (ms) => {
        waits.push(ms)
        elapsed += Math.max(0, ms)
      },
    }
    const view = openPipelineView(pipelineViewOptions(pipeline.config, [pipeline], clock))
    const times: number[] = []
    await view.deadLetters.replay(
      {},
      {
        rate: 10,
        onProgress({ matched }) {
          times[matched] = elapsed
        },
      },
    )
    // One at a time at 10/s: the n-th goes at (n − 1) tenths of a second.
    expect(times[1]).toBe(0)
    expect(times[11]).toBeCloseTo(1000)
    expect(times[30]).toBeCloseTo(2900)
    expect(waits).toHaveLength(30)
  })

  it('stops at a signal and goes on from there, each letter once', async () => {
    const pipeline = await open()
    await killMany(pipeline, 50)
    const stop = new AbortController()
    const first = await pipeline.view.deadLetters.replay(
      {},
      { signal: stop.signal, onProgress: ({ matched }) => matched >= 16 && stop.abort() },
    )
    expect(first).toMatchObject({ matched: 16, done: 16, stopped: true, last: expect.any(String) })
    const second = await pipeline.view.deadLetters.replay({
      after: first.last ?? undefined,
      until: first.bound,
    })
    expect(second).toMatchObject({ matched: 34, done: 34, stopped: false })
    expect(await pipeline.ledger()).toMatchObject({ dead: 0, parked: 50 })
  })

  it('reports as it goes', async () => {
    const pipeline = await open()
    await killMany(pipeline, 40)
    const reports: BulkProgress[] = []
    await pipeline.view.deadLetters.replay({}, { onProgress: (progress) => reports.push(progress) })
    expect(reports.map(({ matched }) => matched)).toEqual([16, 32, 40])
  })

  it('of an empty query is done at once', async () => {
    const pipeline = await open()
    expect(await pipeline.view.deadLetters.replay({})).toMatchObject({
      matched: 0,
      last: null,
      stopped: false,
    })
  })
})

describe('purge', () => {
  it('gives letters up for good, counted by the ledger', async () => {
    const pipeline = await open()
    await killMany(pipeline, 20)
    expect(await pipeline.view.deadLetters.purge({ tenant: 'even' })).toMatchObject({ matched: 10, done: 10 })
    expect(await pipeline.ledger()).toMatchObject({ dead: 10, purged: 10 })
    const { dead_letters: letters } = await pipeline.view.deadLetters.page({}, 1)
    expect(await pipeline.view.deadLetters.purgeOne(letters[0]!.letter_id)).toBe(true)
    expect(await pipeline.view.deadLetters.purgeOne(letters[0]!.letter_id)).toBe(false)
    expect(await pipeline.view.deadLetters.find(letters[0]!.letter_id)).toBeUndefined()
    expect(await pipeline.ledger()).toMatchObject({ dead: 9, purged: 11 })
  })
})

describe('letter ids', () => {
  it.each(['1700000000000-0', '0-1', '3:1700000000000-12'])('%s is one', (id) =>
    expect(isLetterId(id)).toBe(true),
  )
  it.each(['', '-', '+', '1700000000000', '(1-0', '1-0 ', 'evt_x', ':1-0'])('%j is none', (id) =>
    expect(isLetterId(id)).toBe(false),
  )
})
