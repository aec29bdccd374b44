import { describe, expect, it } from 'vitest'
import { type TestPipeline, usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)
const cli = (...args: string[]) => run(args, { env: { REDIS_URL: redis.url } })

/** 2 unread, 1 pending, 1 parked. */
async function someWait(pipeline: TestPipeline): Promise<void> {
  for (let n = 0; n < 4; n++) await pipeline.accept()
  const [entry] = await pipeline.read('consumer-1', 2)
  await pipeline.park(entry!)
}

describe('lag', () => {
  it('shows what is unread, pending and parked, and for how long', async () => {
    await someWait(await open())
    const { code, rows } = await cli('lag')
    expect(code).toBe(0)
    expect(rows[1]?.slice(0, 5)).toEqual(['webhook-events', '4', '2', '1', '1'])
    const document = (await cli('lag', '--json')).json()
    expect(document).toMatchObject({
      messages: 4,
      group: true,
      oldest: { unread_ms: expect.any(Number) },
      partitions: [{ partition: 0, stream: 'webhook-events', messages: 4, unread: 2, pending: 1, parked: 1 }],
    })
  })

  it.each([
    [3, 1],
    [4, 0],
  ])('with --max %d ends with %d', async (max, code) => {
    await someWait(await open())
    expect(await cli('lag', '--max', String(max))).toMatchObject({ code })
  })

  it('never says 0 when nobody knows: unknown, 2, and what waits at least', async () => {
    const pipeline = await open()
    await someWait(pipeline)
    const [last] = (await pipeline.link.call('XREVRANGE', 'webhook-events', '+', '-', 'COUNT', 1)) as [
      [Buffer],
    ]
    await pipeline.link.call('XDEL', 'webhook-events', String(last[0]))
    const { code, rows, out } = await cli('lag')
    expect(code).toBe(2)
    expect(rows[1]?.slice(0, 5)).toEqual(['webhook-events', 'unknown', 'unknown', '1', '1'])
    expect(out).toContain('at least 2 wait')
    expect((await cli('lag', '--json')).json()).toMatchObject({ messages: null, unread: null, pending: 1 })
    // What is known may be too much already.
    expect(await cli('lag', '--max', '1')).toMatchObject({ code: 1 })
    expect(await cli('lag', '--max', '2')).toMatchObject({ code: 2 })
  })

  it('says that no consumer has ever run', async () => {
    const pipeline = await open()
    await pipeline.accept()
    const { code, out } = await cli('lag')
    expect(code).toBe(0)
    expect(out).toContain('no consumer has ever run')
  })

  it('watches, and ends with what it saw last', async () => {
    await someWait(await open())
    const stop = new AbortController()
    let lines = 0
    const { code, out } = await run(['lag', '--watch', '--interval', '100ms', '--max', '3', '--json'], {
      env: { REDIS_URL: redis.url },
      signal: stop.signal,
      out: () => {
        lines += 1
        if (lines === 2) stop.abort()
      },
    })
    expect(code).toBe(1)
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).messages),
    ).toEqual([4, 4])
  })
})
