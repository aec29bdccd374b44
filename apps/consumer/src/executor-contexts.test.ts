import { Fault } from '@weir/core/faults'
import type { HandlerEvent } from '@weir/core/handlers/handler'
import { describe, expect, it } from 'vitest'
import { HANDLER_TIMEOUT_MS, type Run, world } from './executor.test-support.ts'
import type { ExecutorOptions } from './executor.ts'
import { ConsumerStopping, OwnershipLost } from './run.ts'
import { createFanOut } from './stages.ts'

describe('on its way through its context', () => {
  /** Contexts that take an event when the test says so. */
  function slowContexts() {
    const waiting: { readonly id: string; take(): void; fail(error: unknown): void }[] = []
    const remember = (event: HandlerEvent) =>
      new Promise<void>((resolve, reject) => waiting.push({ id: event.id, take: resolve, fail: reject }))
    return { waiting, remember }
  }

  it('an event has no worker; its handler starts when there is one, the first first', async () => {
    const { waiting, remember } = slowContexts()
    const handled: string[] = []
    const ends: (() => void)[] = []
    const run: Run = (event) => {
      handled.push(event.id)
      return new Promise((resolve) => ends.push(resolve))
    }
    const w = world(run, { remember })
    const ids = [1, 2, 3, 4, 5].map(() => w.add().record.id)
    expect(waiting.map(({ id }) => id)).toEqual(ids)
    for (const { take } of waiting) take()
    await w.idle()
    expect(handled).toEqual(ids.slice(0, 2))
    ends[0]?.()
    await w.idle()
    expect(handled).toEqual(ids.slice(0, 3))
    for (const end of ends) end()
    await w.idle()
    for (const end of ends) end()
    await w.idle()
    expect(w.outcomes.map(({ kind }) => kind)).toEqual(Array(5).fill('settled'))
  })

  it('are so many at most, those included that wait for a worker', async () => {
    const { waiting, remember } = slowContexts()
    const ends: (() => void)[] = []
    const w = world(() => new Promise((resolve) => ends.push(resolve)), { remember, maxAhead: 3 })
    for (let n = 0; n < 8; n++) w.add()
    expect(waiting).toHaveLength(3)
    for (const { take } of waiting.splice(0)) take()
    await w.idle()
    // Two run, one waits for a worker; the one more that came had the second worker for as long as it was decoded.
    expect([ends.length, waiting.length]).toEqual([2, 1])
    for (const end of ends.splice(0)) end()
    await w.idle()
    expect([ends.length, waiting.length]).toEqual([1, 3])
  })

  it('a breaker that opens meanwhile holds it back, and no attempt is used', async () => {
    const { waiting, remember } = slowContexts()
    let open = false
    let handled = 0
    const w = world(() => void handled++, {
      remember,
      gate: () => (open ? { kind: 'wait', waitMs: 5_000 } : undefined),
    })
    w.add()
    open = true
    waiting[0]?.take()
    await w.idle()
    expect(handled).toBe(0)
    expect(w.outcomes).toMatchObject([{ kind: 'park', reason: 'breaker', delayMs: 5_000, attempts: 0 }])
  })

  it('the probe of a half-open breaker stays the probe', async () => {
    const { waiting, remember } = slowContexts()
    let asked = 0
    const w = world(() => undefined, {
      remember,
      gate: () => (asked++ === 0 ? { kind: 'probe' } : undefined),
    })
    w.add()
    await w.idle()
    waiting[0]?.take()
    await w.idle()
    expect(w.told).toEqual(['success of probe'])
    expect(asked).toBe(1)
  })

  it('taken over by another consumer meanwhile: its handler does not run', async () => {
    const { waiting, remember } = slowContexts()
    let handled = 0
    const w = world(() => void handled++, { remember })
    const item = w.add()
    item.abort?.(new OwnershipLost('taken over'))
    waiting[0]?.take()
    await w.idle()
    expect([handled, w.outcomes, w.held.size, w.told]).toEqual([0, [], 0, []])
  })

  it('long ago confirmed when it comes to its turn: it is asked for again', async () => {
    const { waiting, remember } = slowContexts()
    const confirmed: string[] = []
    let handled = 0
    const w = world(() => void handled++, {
      remember,
      confirm: async (item) => {
        confirmed.push(item.streamId)
        return false
      },
    })
    const item = w.add()
    w.clock.advance(30_001)
    waiting[0]?.take()
    await w.idle()
    expect([confirmed, handled, w.held.size]).toEqual([[item.streamId], 0, 0])
  })

  it('has its time for handlers from when they start', async () => {
    const { waiting, remember } = slowContexts()
    const w = world(() => new Promise(() => undefined), { remember })
    w.add()
    await w.pass(HANDLER_TIMEOUT_MS)
    waiting[0]?.take()
    await w.idle()
    await w.pass(HANDLER_TIMEOUT_MS - 100)
    expect(w.outcomes).toEqual([])
    await w.pass(200)
    expect(w.outcomes).toMatchObject([{ kind: 'park', reason: 'retry', attempts: 1 }])
  })

  it('does not keep others from theirs when Redis does not take it', async () => {
    const { waiting, remember } = slowContexts()
    const w = world(() => undefined, { remember })
    const first = w.add()
    waiting[0]?.fail(new Fault('REDIS_UNAVAILABLE', 'away'))
    await w.idle()
    const others = [w.add(), w.add(), w.add()]
    for (const { take } of waiting.slice(1)) take()
    await w.idle()
    expect(w.outcomes.map(({ item }) => item)).toEqual(others)
    await w.pass(200)
    waiting[4]?.take()
    await w.idle()
    expect(w.outcomes.at(-1)).toMatchObject({ kind: 'settled', item: first })
  })

  it('lets go of its payload when its attempt is over', async () => {
    const { waiting, remember } = slowContexts()
    const payloads: unknown[] = []
    let kept: HandlerEvent | undefined
    const w = world(
      (event) => {
        kept = event
        payloads.push(event.payload)
      },
      { remember },
    )
    w.add()
    waiting[0]?.take()
    await w.idle()
    expect(kept?.payload).toEqual(payloads[0])
    expect(kept?.payload).not.toBe(payloads[0])
  })

  it('when the consumer stops, it goes back without using an attempt', async () => {
    const { waiting, remember } = slowContexts()
    const w = world(() => undefined, { remember })
    w.add()
    w.executor.shutDown(new ConsumerStopping('stopping'))
    waiting[0]?.take()
    await w.idle()
    expect(w.outcomes).toMatchObject([{ kind: 'park', reason: 'retry', delayMs: 0, attempts: 0 }])
  })
})

describe('the stages of an attempt', () => {
  type Seen = [stage: string, ms: number]

  it('are measured one by one, without what was waited for between them', async () => {
    const seen: Seen[] = []
    const context = Promise.withResolvers<void>()
    const handler = Promise.withResolvers<void>()
    const w = world(() => handler.promise, {
      remember: () => context.promise,
      onStage: (stage, ms) => seen.push([stage, ms]),
    })
    w.add()
    await w.idle()
    expect(seen).toEqual([['decode', 0]])
    await w.pass(300)
    context.resolve()
    await w.idle()
    await w.pass(700)
    handler.resolve()
    await w.idle()
    expect(seen).toEqual([
      ['decode', 0],
      ['context', 300],
      ['handlers', 700],
    ])
    expect(w.outcomes).toMatchObject([{ kind: 'settled' }])
  })

  it('are measured too when they fail', async () => {
    const seen: Seen[] = []
    const onStage: ExecutorOptions['onStage'] = (stage, ms) => seen.push([stage, ms])
    const throwing = world(
      () => {
        throw new Error('no')
      },
      { onStage },
    )
    throwing.add()
    await throwing.idle()
    expect(seen.splice(0)).toEqual([
      ['decode', 0],
      ['handlers', 0],
    ])
    const late = world(() => new Promise(() => undefined), { onStage })
    late.add()
    await late.pass(HANDLER_TIMEOUT_MS)
    expect(seen.splice(0)).toEqual([
      ['decode', 0],
      ['handlers', HANDLER_TIMEOUT_MS],
    ])
    const unreadable = world(() => undefined, { onStage })
    unreadable.add({ body: 'not JSON' })
    await unreadable.idle()
    expect(unreadable.outcomes).toMatchObject([{ kind: 'dead' }])
    expect(seen.splice(0)).toEqual([['decode', 0]])
    const away = world(() => undefined, {
      onStage,
      remember: () => Promise.reject(new Fault('REDIS_UNAVAILABLE', 'away')),
    })
    away.add()
    await away.idle()
    expect(seen).toEqual([
      ['decode', 0],
      ['context', 0],
    ])
  })

  it('leave out handlers where nobody wants the event', async () => {
    const seen: Seen[] = []
    const w = world(() => undefined, {
      fanOut: createFanOut([]),
      onStage: (stage, ms) => seen.push([stage, ms]),
    })
    w.add()
    await w.idle()
    expect(seen).toEqual([['decode', 0]])
  })
})
