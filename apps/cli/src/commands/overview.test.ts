import { mintEventId } from '@weir/core/event'
import { reportGateway } from '@weir/core/stream/ledger'
import { describe, expect, it } from 'vitest'
import { contextsOf, pullRequest } from '../../../../tests/support/contexts.ts'
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

async function makeLagUnknown({ link, keys, accept, read }: TestPipeline): Promise<void> {
  for (let i = 0; i < 3; i++) await accept()
  await read('consumer-1', 1)
  const [last] = (await link.call('XREVRANGE', keys.stream, '+', '-', 'COUNT', 1)) as [[Buffer]]
  await link.call('XDEL', keys.stream, String(last[0]))
}

describe('audit ledger', () => {
  it('ends with 0 when every event is in exactly one place', async () => {
    const pipeline = await open()
    for (let i = 0; i < 3; i++) await pipeline.accept()
    const { code, rows, out, err } = await cli(['audit', 'ledger'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(rows).toContainEqual(['accepted', '3', 'events that the stream took'])
    expect(rows).toContainEqual(['unread', '3', 'in the stream, no consumer has read it'])
    expect(out).toContain('balanced: every accepted event is in exactly one place')
    expect((await cli(['audit', 'ledger', '--json'])).json()).toEqual((await pipeline.view.ledger()).audit)
  })

  it('ends with 1 when events are missing or counted twice', async () => {
    const pipeline = await open()
    await pipeline.accept()
    const entries = await pipeline.read('consumer-1')
    await pipeline.link.call('HSET', pipeline.keys.ledger, 'settled', 2)
    expect(await cli(['audit', 'ledger'])).toMatchObject({
      code: 1,
      out: expect.stringContaining('UNBALANCED: 2 events are in more'),
    })
    await pipeline.settle(...entries)
    await pipeline.link.call('HSET', pipeline.keys.ledger, 'settled', 0)
    expect(await cli(['audit', 'ledger'])).toMatchObject({
      code: 1,
      out: expect.stringContaining('UNBALANCED: 1 accepted events are in no place'),
    })
  })

  it('ends with 1 when Redis lost what it had acknowledged, with the range', async () => {
    const pipeline = await open()
    const { streamId } = await pipeline.accept()
    await reportGateway(pipeline.link, pipeline.keys, 'gateway-1', '99999999999999-0', { spooled: 0, at: 0 })
    const { code, out } = await cli(['audit', 'ledger'])
    expect(code).toBe(1)
    expect(out).toContain(
      `LOSS: Redis lost events that it had acknowledged (webhook-events: after ${streamId} up to 99999999999999-0)`,
    )
    expect((await cli(['audit', 'ledger', '--json'])).json()).toMatchObject({ verdict: 'loss' })
  })

  it('ends with 2 when Redis cannot tell, or is not there', async () => {
    await makeLagUnknown(await open())
    expect(await cli(['audit', 'ledger'])).toMatchObject({ code: 2, out: expect.stringContaining('unknown') })
    expect(await run(['audit', 'ledger'], { env: { REDIS_URL: 'redis://127.0.0.1:1' } })).toMatchObject({
      code: 2,
      out: '',
    })
  })
})

describe('status', () => {
  it('shows ledger, lag, consumers, gateways, breakers, stream and Redis', async () => {
    const pipeline = await open()
    for (let i = 0; i < 3; i++) await pipeline.accept()
    await pipeline.read('consumer-1', 2)
    const { link, keys } = pipeline
    const at = await pipeline.now()
    await link.call(
      'HSET',
      keys.consumers,
      'consumer-1',
      JSON.stringify({ at, held: 2, running: 1, metrics: [] }),
    )
    await reportGateway(link, keys, 'gateway-1', '', { spooled: 7, at })
    const { code, out, rows } = await cli(['status'])
    expect(code).toBe(0)
    expect(rows).toContainEqual(['lag', '3 (unread 1, pending 2, parked 0)'])
    expect(rows).toContainEqual(['spooled', '7'])
    expect(rows).toContainEqual(['stream', expect.stringMatching(/^webhook-events: 3 entries, \d/)])
    expect(rows).toContainEqual([
      'redis',
      expect.stringMatching(/^\d+\.\d+\.\d+, .* of no limit, noeviction$/),
    ])
    expect(rows).toContainEqual([
      'consumer-1',
      'alive',
      expect.any(String),
      expect.any(String),
      '2',
      '2',
      '1',
    ])
    expect(rows).toContainEqual(['gateway-1', expect.any(String), '7'])
    expect(rows).toContainEqual(['github', 'closed', '0', '-', '-'])
    expect(out.split('\n')[0]).toMatch(/^balanced/)
    expect(Object.keys((await cli(['status', '--json'])).json() as object)).toEqual(
      Object.keys(await pipeline.view.status()),
    )
  })

  it("shows when Redis' clock was set back, and says nothing of it otherwise", async () => {
    const { accept, link, keys } = await open()
    const { streamId } = await accept()
    expect((await cli(['status'])).rows.map(([name]) => name)).not.toContain('clock')
    await link.call('XSETID', keys.stream, `${Number(streamId.split('-')[0]) + 3 * 86_400_000}-0`)
    const { code, rows } = await cli(['status'])
    expect(code).toBe(0)
    expect(rows).toContainEqual([
      'clock',
      expect.stringMatching(/^SET BACK: 2d 23h behind the ids of its own stream/),
    ])
  })

  it('watches until it is stopped, a line of JSON each time', async () => {
    const pipeline = await open()
    await pipeline.accept()
    const stop = until(/(\n.*){3}/)
    const { code, out } = await cli(['status', '--watch', '--interval', '100ms', '--json'], stop)
    expect(code).toBe(0)
    const lines = out.trim().split('\n')
    expect(lines.length).toBeGreaterThanOrEqual(3)
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ ledger: { accepted: 1 } })
  })

  it('clears the screen between two looks on a terminal, and uses colours there', async () => {
    await open()
    const stop = until(/every accepted/)
    const { out } = await cli(['status', '--watch'], { ...stop, terminal: true, colour: true, columns: 80 })
    expect(out.startsWith('\u001b[H\u001b[2J\u001b[32mbalanced')).toBe(true)
    expect((await cli(['status'])).out).not.toContain('\u001b')
  })

  it('goes on watching through an outage', async () => {
    await open()
    const stop = until(/does not answer[\s\S]*"verdict"/)
    let killed = false
    const outage: Partial<Io> = {
      signal: stop.signal,
      err(text) {
        stop.err(text)
        if (!redis.server.running) void redis.server.restart()
      },
      out(text) {
        if (killed) stop.out(text)
        else void redis.server.kill('SIGKILL')
        killed = true
      },
    }
    const { code, err } = await cli(['status', '--watch', '--interval', '100ms', '--json'], outage)
    expect(code).toBe(0)
    expect(err).toContain('Redis does not answer')
  })
})

describe('events get', () => {
  it('shows where an event is', async () => {
    const pipeline = await open()
    const { id } = await pipeline.accept({
      tenant: 'acme',
      type: 'push',
      json: { ref: 'refs/heads/main', repository: { full_name: 'acme/site' } },
    })
    const [entry] = await pipeline.read('consumer-1')
    await pipeline.park(entry!, { error: 'first line\nsecond \u001b[31mline' })
    const { code, rows } = await cli(['events', 'get', id])
    expect(code).toBe(0)
    expect(rows).toContainEqual(['place', 'parked'])
    expect(rows).toContainEqual(['tenant', 'acme'])
    expect(rows).toContainEqual(['failed attempts', '1'])
    // One line, and nothing that a terminal would obey.
    expect(rows).toContainEqual(['error', 'first line second �[31mline'])
    const found = await pipeline.view.find(id)
    expect((await cli(['events', 'get', id, '--json'])).json()).toEqual({ ...found, context: null })
  })

  it('shows its context, which keeps its bytes when the stream has not got them any more', async () => {
    const pipeline = await open()
    const contexts = contextsOf(pipeline)
    const { id, body } = await pipeline.accept({ type: 'pull_request', json: pullRequest(7, 'opened') })
    const entries = await pipeline.read('consumer-1')
    const [context = ''] = await contexts.remember(...entries)
    expect((await cli(['events', 'get', id])).rows).toContainEqual(['context', context])
    await pipeline.settle(...entries)
    await pipeline.link.call('XTRIM', pipeline.keys.stream, 'MAXLEN', 0)
    const { code, rows } = await cli(['events', 'get', id])
    expect(code).toBe(0)
    expect(rows).toContainEqual(['place', 'settled'])
    expect(rows).toContainEqual(['context', context])
    expect(rows).toContainEqual(['subject', 'pull_request acme/site#7'])
    expect(rows.at(-1)).toEqual(['bytes', expect.stringMatching(/^\d+ B, application\/json \(--raw/)])
    expect((await cli(['events', 'get', id, '--json'])).json()).toMatchObject({
      ...{ context, stream_id: null, bytes_available: true, size: body.length },
    })
    expect(await cli(['events', 'get', id, '--raw'])).toMatchObject({ code: 0, out: '', bytes: body })
  })

  it('writes the very bytes with --raw', async () => {
    const pipeline = await open()
    const body = Buffer.from([0x7b, 0x00, 0xff, 0x7d])
    const { id } = await pipeline.accept({ body })
    expect(await cli(['events', 'get', id, '--raw'])).toMatchObject({ code: 0, out: '', bytes: body })
  })

  it('ends with 1 when nobody knows it, or its bytes are gone', async () => {
    const pipeline = await open()
    const unknown = await cli(['events', 'get', mintEventId(Date.now())])
    expect(unknown).toMatchObject({ code: 1, out: '', err: expect.stringContaining('nobody knows') })
    const { id } = await pipeline.accept()
    await pipeline.settle(...(await pipeline.read('consumer-1')))
    await pipeline.link.call('XTRIM', pipeline.keys.stream, 'MAXLEN', 0)
    expect(await cli(['events', 'get', id])).toMatchObject({
      code: 0,
      out: expect.stringContaining('no longer held'),
    })
    expect(await cli(['events', 'get', id, '--raw'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('no longer held'),
    })
  })
})
