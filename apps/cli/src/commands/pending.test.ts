import { reportBreaker } from '@weir/core/stream/breaker'
import { claimParked } from '@weir/core/stream/parked'
import { describe, expect, it } from 'vitest'
import { type TestPipeline, usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'
import type { Io } from '../io.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)

/** webhook-cli on this Redis. */
const cli = (args: readonly string[], io: Partial<Io> = {}) =>
  run(args, { env: { REDIS_URL: redis.url }, ...io })

/** Aborts as soon as a text has been written that matches. */
function until(pattern: RegExp): Pick<Io, 'signal' | 'out' | 'err'> {
  const stop = new AbortController()
  let seen = ''
  const look = (text: string) => {
    seen += text
    if (pattern.test(seen)) stop.abort()
  }
  return { signal: stop.signal, out: look, err: look }
}

describe('claim-pending', () => {
  const stale = async (pipeline: TestPipeline, count: number) => {
    const { link, keys } = pipeline
    const ids: string[] = []
    for (let i = 0; i < count; i++) ids.push((await pipeline.accept()).streamId)
    await pipeline.read('dead-consumer')
    await link.call('XCLAIM', keys.stream, keys.group, 'dead-consumer', 0, ...ids, 'IDLE', 600_000, 'JUSTID')
  }

  it('gives back what was idle for so long, so that a running consumer picks it up', async () => {
    const pipeline = await open()
    await stale(pipeline, 3)
    await pipeline.accept()
    await pipeline.read('live-consumer')
    const dry = await cli(['claim-pending', '--idle-time', '5m', '--dry-run'])
    expect(dry.rows).toEqual([
      ['CONSUMER', 'ENTRIES'],
      ['dead-consumer', '3'],
      ['3 events would be given back (dry run)'],
    ])
    expect(await pipeline.ledger()).toMatchObject({ pending: 4 })

    const { code, rows, err } = await cli(['claim-pending', '--idle-time', '5m'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(rows).toContainEqual(['3 events given back, due now'])
    expect(await pipeline.ledger()).toMatchObject({ pending: 1, parked: 3 })
    const { events } = await claimParked(pipeline.link, pipeline.keys, 'live-consumer:1', 60_000, 10, 0)
    expect(events).toHaveLength(3)
    expect(await cli(['claim-pending'])).toMatchObject({
      code: 0,
      out: 'no entry has been pending for 5m without a sign of life\n',
    })
  })

  it('answers counts with --json, and warns of a time below reclaim_idle', async () => {
    const pipeline = await open()
    await stale(pipeline, 1)
    const { code, err, json } = await cli(['claim-pending', '--idle-time', '10s', '--json'])
    expect(code).toBe(0)
    expect(err).toContain('webhook.consumer.reclaim_idle')
    expect(json()).toEqual({
      idle_time_ms: 10_000,
      dry_run: false,
      found: 1,
      released: 1,
      gone: 0,
      consumers: [{ consumer: 'dead-consumer', entries: 1 }],
    })
  })
})

describe('breakers and reset-circuit-breaker', () => {
  it('show an open breaker, and close it with the events that wait', async () => {
    const pipeline = await open()
    await pipeline.accept()
    const [entry] = await pipeline.read('consumer-1')
    await pipeline.park(entry!, { reason: 'breaker', attempts: 0, error: '' })
    const settings = { failureThreshold: 1, openDurationMs: 60_000, probeLeaseMs: 1000 }
    await reportBreaker(pipeline.link, pipeline.keys, 'github', settings, 1, false)
    const before = await cli(['breakers'])
    expect(before.rows[1]).toEqual([
      'github',
      'open',
      '1',
      expect.stringMatching(/^20/),
      expect.stringMatching(/^(1m|5\d\.\ds)$/),
    ])
    expect((await cli(['breakers', '--json'])).json()).toMatchObject({
      breakers: expect.arrayContaining([expect.objectContaining({ tool: 'github', state: 'open' })]),
    })
    expect(await cli(['reset-circuit-breaker', '--tool', 'github'])).toMatchObject({
      code: 0,
      out: 'github: the breaker is closed now; 1 waiting event due now\n',
    })
    expect((await cli(['reset-circuit-breaker', '--tool', 'github', '--json'])).json()).toEqual({
      tool: 'github',
      state: 'closed',
      was_closed: true,
      woken: 1,
    })
    expect((await cli(['breakers'])).rows[1]).toEqual(['github', 'closed', '0', '-', '-'])
  })
})

describe('tail', () => {
  it('shows events as they come, decoded, and ends after so many', async () => {
    const pipeline = await open()
    await pipeline.accept({ json: { zen: 'before' } })
    const json = {
      action: 'opened',
      number: 7,
      repository: { full_name: 'acme/site' },
      pull_request: { number: 7, title: 'Mend \u0007 it' },
    }
    const began = Promise.withResolvers<void>()
    const tail = cli(['tail', '--count', '2', '--type', 'pull_request'], { out: () => began.resolve() })
    await began.promise
    const send = async () => {
      await pipeline.accept({ type: 'push' })
      return pipeline.accept({ type: 'pull_request', tenant: 'acme', json })
    }
    // The command may not have looked at the stream's end yet: send until it has seen enough.
    let done = false
    void tail.then(() => {
      done = true
    })
    const isDone = async () => {
      if (!done) await send()
      return done
    }
    await expect.poll(isDone).toBe(true)
    const { code, rows } = await tail
    expect(code).toBe(0)
    expect(rows[0]).toEqual(['RECEIVED', 'EVENT', 'TOOL', 'TENANT', 'TYPE', 'SIZE', 'SUBJECT'])
    expect(rows).toHaveLength(3)
    expect(rows[1]).toEqual([
      expect.stringMatching(/^20.*Z$/),
      expect.stringMatching(/^evt_/),
      'github',
      'acme',
      'pull_request.opened',
      expect.stringMatching(/ B$/),
      'acme/site#7',
      'Mend � it',
    ])
    expect(await pipeline.ledger()).toMatchObject({ pending: 0, settled: 0 })
  })

  it('begins with events that are there, filtered, as lines of JSON', async () => {
    const pipeline = await open()
    for (const tenant of ['a', 'b', 'a']) await pipeline.accept({ tenant })
    const { code, out } = await cli(['tail', '--last', '10', '--tenant', 'a', '--count', '2', '--json'])
    expect(code).toBe(0)
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown)
    expect(lines).toMatchObject([
      { tenant: 'a', type: 'push' },
      { tenant: 'a', type: 'push' },
    ])
  })

  it('ends with 0 when it is stopped', async () => {
    await open()
    expect(await cli(['tail'], until(/SUBJECT/))).toMatchObject({ code: 0, err: '' })
  })
})
