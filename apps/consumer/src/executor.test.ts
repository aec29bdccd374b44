import { ADAPTERS } from '@weir/core/adapters/table'
import { createDictionarySet, dictionaryOf } from '@weir/core/dictionaries'
import { Fault } from '@weir/core/faults'
import { PermanentError } from '@weir/core/handlers/handler'
import { createUnpacker } from '@weir/core/packing'
import { decodeRecord } from '@weir/core/record'
import { describe, expect, it } from 'vitest'
import type { Breakers } from './breakers.ts'
import { createDecoder } from './decode.ts'
import { HANDLER_TIMEOUT_MS, type Run, world } from './executor.test-support.ts'
import type { HeldItem } from './held.ts'
import { ConsumerStopping, OwnershipLost } from './run.ts'
import { makeEvent, type TestEvent } from './testing.ts'
import { createWorkers } from './workers.ts'

const throwing =
  (error: unknown): Run =>
  () => {
    throw error
  }

describe('the outcome', () => {
  it.each<[string, Run, Partial<HeldItem>, object, string[]]>([
    ['success', () => undefined, {}, { kind: 'settled' }, ['success']],
    [
      'a failure: parked with backoff',
      throwing(new Error('no')),
      {},
      { kind: 'park', reason: 'retry', attempts: 1, delayMs: 500, error: 'no' },
      ['failure'],
    ],
    [
      'a failure whose message quotes a secret: parked without it',
      throwing(new Error('POST with token hunter2 was refused')),
      {},
      { kind: 'park', reason: 'retry', error: 'POST with token [redacted] was refused' },
      ['failure'],
    ],
    [
      'the last failure whose message quotes a secret: dead without it',
      throwing(new PermanentError('hunter2')),
      {},
      { kind: 'dead', reason: 'permanent', error: '[redacted]' },
      [],
    ],
    [
      'the third failure: backoff doubled twice',
      throwing(new Error('no')),
      { attempts: 2 },
      { kind: 'park', reason: 'retry', attempts: 3, delayMs: 2_000 },
      ['failure'],
    ],
    [
      'the last failure: dead',
      throwing(new Error('no')),
      { attempts: 3 },
      { kind: 'dead', reason: 'handler', attempts: 4, error: 'no' },
      ['failure'],
    ],
    [
      'PermanentError: dead at once; the tool is well',
      throwing(new PermanentError('never')),
      {},
      { kind: 'dead', reason: 'permanent', attempts: 1, error: 'never' },
      [],
    ],
    [
      "a fault of the handler's own Redis: a failure like any other",
      throwing(new Fault('REDIS_UNAVAILABLE', 'mine')),
      {},
      { kind: 'park', reason: 'retry', attempts: 1 },
      ['failure'],
    ],
    [
      'not even a fault of this name makes an event wait for a dictionary',
      throwing(new Fault('DICTIONARY_MISSING', 'mine')),
      { attempts: 3 },
      { kind: 'dead', reason: 'handler', attempts: 4 },
      ['failure'],
    ],
  ])('of %s', async (_what, run, with_, expected, told) => {
    const w = world(run)
    w.add({}, with_)
    await w.idle()
    expect(w.outcomes).toMatchObject([expected])
    expect(w.told).toEqual(told)
    expect(w.held.size).toBe(0)
    expect(w.executor.running).toBe(0)
  })

  it.each<[string, TestEvent, Partial<HeldItem>, object]>([
    ['a malformed body: dead', { body: '{' }, {}, { kind: 'dead', reason: 'malformed', attempts: 1 }],
    ['an unknown tool: dead', { tool: 'other' }, {}, { kind: 'dead', reason: 'permanent', attempts: 1 }],
    [
      'a body that cannot be unpacked: dead',
      {},
      { record: { ...decodeRecord(makeEvent().fields), packed: Buffer.from('x') } },
      { kind: 'dead', reason: 'corrupt', attempts: 1 },
    ],
    [
      'a body that a newer version packed: waits for it, without an attempt',
      {},
      { attempts: 2, record: { ...decodeRecord(makeEvent().fields), encoding: 'sealed' } },
      { kind: 'park', reason: 'newer', attempts: 2, delayMs: 10_000 },
    ],
    [
      'a missing dictionary: waits, without an attempt',
      { dictionaries: createDictionarySet(new Map([['github', dictionaryOf(Buffer.alloc(500, 'ab'))]])) },
      { attempts: 2 },
      { kind: 'park', reason: 'dictionary', attempts: 2, delayMs: 10_000 },
    ],
    ['an event that nobody wants: settled', { tool: 'jira', type: 'x' }, {}, { kind: 'settled' }],
  ])('of %s; the breaker hears nothing', async (_what, event, with_, expected) => {
    const w = world(() => undefined)
    w.add(event, with_)
    await w.idle()
    expect(w.outcomes).toMatchObject([expected])
    expect(w.told).toEqual([])
  })

  it('of an event that was settled under another entry: superseded, unrun', async () => {
    let runs = 0
    const w = world(() => void runs++, { mayBeSettled: () => true, wasSettled: async () => true })
    w.add()
    await w.idle()
    expect(w.outcomes).toMatchObject([{ kind: 'superseded' }])
    expect(runs).toBe(0)
  })
})

describe('time', () => {
  it('up: the signal aborts with the reason, the attempt counts, and the worker is free', async () => {
    const signals: AbortSignal[] = []
    const w = world((event, ctx) => {
      if (event.attempt > 1) return undefined
      signals.push(ctx.signal)
      return new Promise(() => undefined) // for ever
    })
    w.add()
    w.add()
    await w.idle()
    await w.pass(HANDLER_TIMEOUT_MS - 1)
    expect(w.outcomes).toEqual([])
    await w.pass(1)
    expect(w.outcomes).toMatchObject([
      { kind: 'park', reason: 'retry', attempts: 1, error: expect.stringContaining('5000 ms') },
      { kind: 'park', reason: 'retry', attempts: 1 },
    ])
    expect(signals.map(({ reason }) => reason)).toMatchObject([
      { code: 'HANDLER_TIMEOUT' },
      { code: 'HANDLER_TIMEOUT' },
    ])
    expect(w.told).toEqual(['failure', 'failure'])
    w.add({}, { attempts: 1 })
    await w.idle()
    expect(w.outcomes.at(-1)).toMatchObject({ kind: 'settled' })
  })

  it('up for the last attempt: dead, reason timeout', async () => {
    const w = world(() => new Promise(() => undefined))
    w.add({}, { attempts: 3 })
    await w.idle()
    await w.pass(HANDLER_TIMEOUT_MS)
    expect(w.outcomes).toMatchObject([{ kind: 'dead', reason: 'timeout', attempts: 4 }])
  })

  it('in which the whole process stood still does not count', async () => {
    const gate = Promise.withResolvers<void>()
    const w = world(() => gate.promise)
    w.add()
    await w.idle()
    w.executor.checkTimeouts()
    w.clock.advance(3_600_000) // SIGSTOP
    w.executor.checkTimeouts()
    await w.idle()
    expect(w.outcomes).toEqual([])
    await w.pass(HANDLER_TIMEOUT_MS) // its own time goes on
    expect(w.outcomes).toMatchObject([{ kind: 'park' }])
    gate.resolve()
  })

  it('up while the dictionary is fetched: the handlers are not started', async () => {
    const dictionary = dictionaryOf(Buffer.alloc(500, 'abc'))
    const fetched = Promise.withResolvers<void>()
    const known = createDictionarySet(new Map())
    let runs = 0
    const w = world(
      () => {
        runs++
        return Promise.reject(new Error('nobody would hear this'))
      },
      {
        decoder: createDecoder(ADAPTERS, createUnpacker(known), 1_000),
        fetchNeeds: async () => {
          await fetched.promise
          known.add(dictionary)
        },
      },
    )
    const item = w.add({ dictionaries: createDictionarySet(new Map([['github', dictionary]])) })
    await w.idle()
    item.abort?.(new Error('too late'))
    fetched.resolve()
    await w.idle()
    expect(runs).toBe(0)
    expect(w.outcomes).toMatchObject([{ kind: 'park', error: 'too late' }])
  })
})

describe('the breaker', () => {
  it('says wait: parked without an attempt, at least for a moment', async () => {
    let waitMs = 7_000
    let runs = 0
    const w = world(() => void runs++, { gate: () => ({ kind: 'wait', waitMs }) })
    w.add({}, { attempts: 2 })
    await w.idle()
    waitMs = 1
    w.add()
    await w.idle()
    expect(w.outcomes).toMatchObject([
      { kind: 'park', reason: 'breaker', delayMs: 7_000, attempts: 2 },
      { kind: 'park', reason: 'breaker', delayMs: 100, attempts: 0 },
    ])
    expect(runs).toBe(0)
  })

  it.each<[string, Run, string]>([
    ['succeeds', () => undefined, 'success of probe'],
    ['fails', throwing(new Error('no')), 'failure of probe'],
    ['is refused for good', throwing(new PermanentError('no')), 'release'],
  ])('hears of its probe that %s', async (_what, run, told) => {
    const w = world(run, { gate: () => ({ kind: 'probe' }) })
    w.add()
    await w.idle()
    expect(w.told).toEqual([told])
  })

  it('gets its probe back when the event was superseded', async () => {
    const options = { mayBeSettled: () => true, wasSettled: async () => true }
    const w = world(() => undefined, { ...options, gate: () => ({ kind: 'probe' }) })
    w.add()
    await w.idle()
    expect(w.told).toEqual(['release'])
    expect(w.outcomes).toMatchObject([{ kind: 'superseded' }])
  })

  it('that cannot be told does not keep the event from being settled', async () => {
    const w = world(throwing(new Error('no')))
    const away = () => Promise.reject(new Fault('REDIS_UNAVAILABLE', 'away'))
    const breakers: Breakers = {
      gate: () => undefined,
      report: away,
      release: away,
      refresh: away,
      states: () => new Map(),
    }
    const other = world(throwing(new Error('no')), { breakers })
    w.add()
    other.add()
    await other.idle()
    expect(other.outcomes).toMatchObject([{ kind: 'park', reason: 'retry' }])
  })
})

describe('ownership', () => {
  it('is asked for again when it is long ago; what is lost is not run', async () => {
    const asked: string[] = []
    let runs = 0
    const w = world(() => void runs++, {
      confirm: async (item) => {
        asked.push(item.streamId)
        return false
      },
    })
    w.clock.advance(40_000)
    const stale = w.add({}, { confirmedAt: 0 })
    w.add()
    await w.idle()
    expect(asked).toEqual([stale.streamId])
    expect(stale.state).toBe('gone')
    expect(runs).toBe(1)
    expect(w.outcomes).toHaveLength(1)
  })

  it('lost while running: aborted, dropped, nothing settled, nothing held against the tool', async () => {
    const w = world(() => new Promise(() => undefined), { gate: () => ({ kind: 'probe' }) })
    const item = w.add()
    await w.idle()
    item.abort?.(new OwnershipLost('gone'))
    await w.idle()
    expect(w.outcomes).toEqual([])
    expect(item.state).toBe('gone')
    expect(w.told).toEqual(['release'])
    expect(w.held.size).toBe(0)
  })
})

describe('workers', () => {
  const forever = () => new Promise<void>(() => undefined)

  it('are given back in the same turn by a handler that is done when it returns', () => {
    const order: string[] = []
    const w = world((event) => void order.push(`run ${event.id}`), {
      onRun: (item) => void order.push(`settled ${item.record.id}`),
    })
    const items = [w.add(), w.add(), w.add()]
    expect(order).toEqual(items.flatMap(({ record }) => [`run ${record.id}`, `settled ${record.id}`]))
    expect(w.outcomes).toHaveLength(3)
  })

  it('of handlers that fail at once, too', async () => {
    const w = world(throwing(new Error('no')))
    for (let n = 0; n < 5; n++) w.add()
    await w.idle()
    expect(w.outcomes).toHaveLength(5)
  })

  it('are shared: what one partition has taken the others do without, and take turns for', async () => {
    const workers = createWorkers(2)
    const gates: PromiseWithResolvers<void>[] = []
    const gated: Run = () => {
      const gate = Promise.withResolvers<void>()
      gates.push(gate)
      return gate.promise
    }
    const [a, b] = [world(gated, { workers }), world(gated, { workers })]
    for (let n = 0; n < 4; n++) a.add()
    for (let n = 0; n < 4; n++) b.add()
    expect([a.executor.running, b.executor.running]).toEqual([2, 0])
    const done: string[] = []
    for (let n = 0; n < 8; n++) {
      gates.shift()?.resolve()
      await a.idle()
      expect(workers.busy).toBe(Math.min(2, 8 - n - 1))
      done.push(`${a.outcomes.length} ${b.outcomes.length}`)
    }
    expect(done).toEqual(['1 0', '2 0', '3 0', '3 1', '4 1', '4 2', '4 3', '4 4'])
  })

  it('come back from a partition that is shut down', async () => {
    const workers = createWorkers(1)
    const [a, b] = [world(forever, { workers }), world(() => undefined, { workers })]
    a.add()
    a.add()
    b.add()
    a.executor.shutDown(new ConsumerStopping('bye'))
    await b.idle()
    expect(b.outcomes).toMatchObject([{ kind: 'settled' }])
    expect(workers.busy).toBe(0)
  })

  it.each<[string, (runs: number) => void | Promise<void>]>([
    ['are done when they return', () => undefined],
    ['resolve at once', () => Promise.resolve()],
  ])(
    'do not keep the event loop to themselves, however many events wait, when handlers %s',
    async (_what, run) => {
      let runs = 0
      const w = world(() => run(++runs))
      const count = 350
      for (let n = 0; n < count; n++) w.queue(makeEvent().fields)
      const turns = [0]
      const watch = () => {
        turns.push(runs)
        if (runs < count) setImmediate(watch)
      }
      setImmediate(watch)
      w.executor.pump()
      await expect.poll(() => turns.at(-1)).toBe(count)
      for (const [turn, at] of turns.entries()) expect(at - (turns[turn - 1] ?? 0)).toBeLessThanOrEqual(100)
    },
  )
})

describe('what goes wrong before a handler runs', () => {
  it('puts the item back, whatever it is, and it runs later', async () => {
    let broken = true
    let runs = 0
    const w = world(() => void runs++, {
      mayBeSettled() {
        if (broken) throw new Error('no window is known')
        return false
      },
    })
    w.add()
    await w.idle()
    expect(runs).toBe(0)
    expect(w.held.size).toBe(1)
    broken = false
    w.clock.advance(200)
    await w.idle()
    expect(runs).toBe(1)
    expect(w.outcomes).toMatchObject([{ kind: 'settled' }])
  })

  it('is asked in order: the breaker is not troubled for an item that is not ours', async () => {
    let asked = 0
    const w = world(() => undefined, {
      confirm: async () => false,
      gate: () => {
        asked++
        return { kind: 'probe' }
      },
    })
    w.clock.advance(40_000)
    w.add({}, { confirmedAt: 0 })
    await w.idle()
    expect(asked).toBe(0)
    expect(w.told).toEqual([])
  })
})

describe('Redis that does not answer', () => {
  it('a question: the item keeps its place, and is asked about again later', async () => {
    let answers = false
    const w = world(() => undefined, {
      confirm: async () => {
        if (!answers) throw new Fault('REDIS_UNAVAILABLE', 'away')
        return true
      },
    })
    w.clock.advance(40_000)
    w.add({}, { confirmedAt: 0 })
    await w.idle()
    expect(w.held.size).toBe(1)
    w.clock.advance(200)
    await w.idle()
    expect(w.outcomes).toEqual([])
    answers = true
    w.clock.advance(200)
    await w.idle()
    expect(w.outcomes).toMatchObject([{ kind: 'settled' }])
  })
})

describe('shutDown', () => {
  it('aborts what runs, without using an attempt, and starts nothing more', async () => {
    let runs = 0
    const w = world(() => {
      runs++
      return new Promise(() => undefined)
    })
    for (let n = 0; n < 5; n++) w.add({}, { attempts: 1 })
    await w.idle()
    expect(runs).toBe(2)
    w.executor.shutDown(new ConsumerStopping('bye'))
    await w.idle()
    expect(w.outcomes).toMatchObject([
      { kind: 'park', reason: 'retry', delayMs: 0, attempts: 1 },
      { kind: 'park', reason: 'retry', delayMs: 0, attempts: 1 },
    ])
    expect(runs).toBe(2)
    expect(w.held.queued).toBe(3)
    expect(w.told).toEqual([])
  })

  it('puts what was still asking Redis back into the queue, and gives the probe back', async () => {
    const decision = Promise.withResolvers<boolean>()
    let runs = 0
    const w = world(() => void runs++, {
      gate: () => ({ kind: 'probe' }),
      mayBeSettled: () => true,
      wasSettled: () => decision.promise,
    })
    w.add()
    await w.idle()
    w.executor.shutDown(new ConsumerStopping('bye'))
    decision.resolve(false)
    await w.idle()
    expect(runs).toBe(0)
    expect(w.held.queued).toBe(1)
    expect(w.told).toEqual(['release'])
  })
})
