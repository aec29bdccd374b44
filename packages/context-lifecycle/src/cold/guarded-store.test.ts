/** What a guard makes of a store that is slow, down, or refuses. */
import type { Clock } from '@weir/core/clock'
import { Fault } from '@weir/core/faults'
import { beforeEach, describe, expect, it } from 'vitest'
import { useColdDirectory } from './cold-directory.test-support.ts'
import { objectsOf } from './cold-objects.test-support.ts'
import { specifyColdStore } from './cold-store.test-support.ts'
import type { ColdObject, ColdStore } from './cold-store.ts'
import {
  type ColdObservation,
  createGuardedStore,
  type GuardedStore,
  type GuardState,
} from './guarded-store.ts'

const OPEN_MS = 30_000
const BYTES = Buffer.from('x')
const UNAVAILABLE = new Fault('COLD_UNAVAILABLE', 'it is away')
const REFUSED = new Fault('COLD_REFUSED', 'no such bucket')

/** A get that the store has begun, which the test ends. */
interface Begun {
  readonly name: string
  answer(found: Buffer | undefined): void
  fail(error: unknown): void
}

let nowMs = 0
const clock: Clock = { now: () => nowMs, monotonic: () => nowMs, wait: () => Promise.resolve() }
let begun: Begun[] = []
let listed: ColdObject[] = []
/** How many objects the store was asked for. */
let read = 0
let seen: ColdObservation[] = []
let states: GuardState[] = []
let guarded: GuardedStore

const store: ColdStore = {
  place: 's3://attic',
  put: async () => undefined,
  get: (name, signal) =>
    new Promise((answer, fail) => {
      begun.push({ name, answer, fail })
      signal?.addEventListener('abort', () => fail(signal.reason))
    }),
  delete: async () => undefined,
  async *list() {
    for (const object of listed) {
      read++
      yield object
    }
  },
  close: () => undefined,
}

beforeEach(() => {
  nowMs = 0
  begun = []
  listed = []
  read = 0
  seen = []
  states = []
  guarded = createGuardedStore(
    store,
    { failureThreshold: 3, openDurationMs: OPEN_MS, concurrency: 2 },
    { clock, observe: (one) => seen.push(one), onChange: (state) => states.push(state) },
  )
})

/** Lets everything that is settled run. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

const outcomeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: unknown) => error,
  )

/** One get that ends so. */
async function get(error?: unknown): Promise<unknown> {
  const outcome = outcomeOf(guarded.get('a'))
  await settled()
  const one = begun.pop()
  if (error === undefined) one?.answer(BYTES)
  else one?.fail(error)
  return outcome
}

const failed = async (times: number) => {
  for (let i = 0; i < times; i++) expect(await get(UNAVAILABLE)).toBe(UNAVAILABLE)
}

const shut = {
  code: 'COLD_UNAVAILABLE',
  message: expect.stringContaining('s3://attic failed 3 times in a row'),
}

describe('a breaker that is closed', () => {
  it('lets everything through, and opens after so many failures in a row', async () => {
    await failed(2)
    await get()
    await failed(2)
    expect(guarded.state).toBe('closed')
    await failed(1)
    expect(guarded.state).toBe('open')
    expect(states).toEqual(['open'])
  })

  it('takes a refusal for an answer', async () => {
    await failed(2)
    expect(await get(REFUSED)).toBe(REFUSED)
    await failed(2)
    expect(guarded.state).toBe('closed')
  })

  it('learns nothing from what is aborted, or wrong in itself', async () => {
    await failed(2)
    await get(new TypeError('a bug'))
    const controller = new AbortController()
    const aborted = outcomeOf(guarded.get('a', controller.signal))
    await settled()
    controller.abort(UNAVAILABLE)
    await aborted
    await expect(guarded.get('../a')).rejects.toThrow(RangeError)
    expect(guarded.state).toBe('closed')
    await failed(1)
    expect(guarded.state).toBe('open')
  })
})

describe('a breaker that is open', () => {
  beforeEach(() => failed(3))

  it('refuses at once, without asking the store', async () => {
    nowMs += OPEN_MS - 1
    await expect(guarded.get('a')).rejects.toMatchObject(shut)
    await expect(guarded.put('a', BYTES)).rejects.toMatchObject(shut)
    await expect(guarded.delete('a')).rejects.toMatchObject(shut)
    await expect(objectsOf(guarded.list(''))).rejects.toMatchObject(shut)
    expect(begun).toEqual([])
    expect(guarded.state).toBe('open')
  })

  it('lets one through after its time, and closes when that is answered', async () => {
    nowMs += OPEN_MS
    expect(guarded.state).toBe('half-open')
    const probe = guarded.get('probe')
    await expect(guarded.get('a')).rejects.toMatchObject(shut)
    await settled()
    expect(begun.map(({ name }) => name)).toEqual(['probe'])
    begun.pop()?.answer(undefined)
    expect(await probe).toBeUndefined()
    expect(guarded.state).toBe('closed')
    expect(states).toEqual(['open', 'half-open', 'closed'])
    await failed(2)
    expect(guarded.state).toBe('closed')
  })

  it('closes after a probe that is refused: the store is there', async () => {
    nowMs += OPEN_MS
    expect(await get(REFUSED)).toBe(REFUSED)
    expect(guarded.state).toBe('closed')
  })

  it('opens again, for as long, when the probe fails', async () => {
    nowMs += OPEN_MS
    await failed(1)
    expect(guarded.state).toBe('open')
    nowMs += OPEN_MS - 1
    await expect(guarded.get('a')).rejects.toMatchObject(shut)
    nowMs += 1
    expect(await get()).toBe('done')
    expect(states).toEqual(['open', 'half-open', 'open', 'half-open', 'closed'])
  })

  it('lets the next one through when the probe was aborted', async () => {
    nowMs += OPEN_MS
    const controller = new AbortController()
    const probe = outcomeOf(guarded.get('probe', controller.signal))
    await settled()
    controller.abort(new Error('no longer wanted'))
    await probe
    expect(guarded.state).toBe('half-open')
    expect(await get()).toBe('done')
    expect(guarded.state).toBe('closed')
  })
})

describe('an operation that began before the breaker opened', () => {
  it.each([
    ['succeeds', (one: Begun) => one.answer(BYTES)],
    ['fails', (one: Begun) => one.fail(UNAVAILABLE)],
  ])('says nothing about now when it %s', async (_, end) => {
    const late = outcomeOf(guarded.get('late'))
    await settled()
    const [one] = begun.splice(0, 1)
    await failed(3)
    nowMs += OPEN_MS
    const probe = guarded.get('probe')
    await settled()
    end(one as Begun)
    await late
    expect(guarded.state).toBe('half-open')
    begun.pop()?.answer(BYTES)
    await probe
    expect(guarded.state).toBe('closed')
  })
})

describe('operations beyond what may be done at once', () => {
  it('wait for their turn, in order', async () => {
    const all = ['a', 'b', 'c', 'd'].map((name) => guarded.get(name))
    await settled()
    expect(begun.map(({ name }) => name)).toEqual(['a', 'b'])
    nowMs = 5
    begun[0]?.answer(BYTES)
    await settled()
    expect(begun.map(({ name }) => name)).toEqual(['a', 'b', 'c'])
    for (const one of begun) one.answer(BYTES)
    await settled()
    for (const one of begun) one.answer(BYTES)
    await Promise.all(all)
    expect(seen.map(({ ms, waitedMs }) => [ms, waitedMs])).toEqual([
      [5, 0],
      [5, 0],
      [0, 5],
      [0, 5],
    ])
  })

  it('are refused when the breaker opens meanwhile: nobody waits for a store that is down', async () => {
    const all = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => outcomeOf(guarded.get(name)))
    for (let i = 0; i < 3; i++) {
      await settled()
      begun[i]?.fail(UNAVAILABLE)
    }
    await settled()
    begun[3]?.answer(BYTES)
    const outcomes = await Promise.all(all)
    expect(outcomes.slice(0, 3)).toEqual([UNAVAILABLE, UNAVAILABLE, UNAVAILABLE])
    expect(outcomes[3]).toBe('done')
    for (const outcome of outcomes.slice(4)) expect(outcome).toMatchObject(shut)
    expect(begun).toHaveLength(4)
  })

  it('leave the line when they are aborted', async () => {
    const running = [guarded.get('a'), guarded.get('b')]
    const reason = new Error('no longer wanted')
    const controller = new AbortController()
    const waiting = guarded.get('c', controller.signal)
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    await settled()
    for (const one of begun) one.answer(BYTES)
    await Promise.all(running)
    expect(begun).toHaveLength(2)
  })
})

describe('a list', () => {
  beforeEach(() => {
    listed = Array.from({ length: 2500 }, (_, i) => ({ name: `a/${1e6 + i}`, bytes: 1 }))
  })

  it('is everything, page by page, each an operation', async () => {
    expect(await objectsOf(guarded.list(''))).toEqual(listed)
    expect(seen.map(({ operation, outcome }) => `${operation} ${outcome}`)).toEqual(Array(3).fill('list ok'))
  })

  it('holds no turn between its pages: who gets what it names does not wait for himself', async () => {
    const lists = [guarded.list(''), guarded.list(''), guarded.list('')].map((list) =>
      list[Symbol.asyncIterator](),
    )
    for (const list of lists) await list.next()
    expect(await get()).toBe('done')
  })

  it('reads no more than the page that is wanted', async () => {
    for await (const _ of guarded.list('')) break
    expect(read).toBe(1000)
  })

  it('ends with the breaker, at a page', async () => {
    const found = guarded.list('')[Symbol.asyncIterator]()
    for (let i = 0; i < 1000; i++) await found.next()
    await failed(3)
    await expect(found.next()).rejects.toMatchObject(shut)
  })
})

describe('what is seen', () => {
  it('is every operation, with what became of it', async () => {
    await guarded.put('a', BYTES)
    await guarded.delete('a')
    await get()
    const missing = guarded.get('a')
    await settled()
    nowMs += 7
    begun.pop()?.answer(undefined)
    await missing
    await get(REFUSED)
    await get(new TypeError('a bug'))
    await outcomeOf(guarded.get('a', AbortSignal.abort()))
    await failed(3)
    await outcomeOf(guarded.get('a'))
    expect(seen.map(({ operation, outcome, ms }) => `${operation} ${outcome} ${ms}`)).toEqual([
      'put ok 0',
      'delete ok 0',
      'get ok 0',
      'get missing 7',
      'get refused 0',
      'get failed 0',
      'get aborted 0',
      ...Array(3).fill('get unavailable 0'),
      'get shut 0',
    ])
  })
})

describe('a store that is closed', () => {
  it('refuses, and whoever waited is told', async () => {
    const running = [outcomeOf(guarded.get('a')), outcomeOf(guarded.get('b'))]
    const waiting = outcomeOf(guarded.get('c'))
    await settled()
    guarded.close()
    guarded.close()
    expect(await waiting).toMatchObject({ message: 'cold storage: s3://attic is closed' })
    await expect(guarded.put('a', BYTES)).rejects.toMatchObject({ code: 'COLD_UNAVAILABLE' })
    for (const one of begun) one.answer(BYTES)
    await Promise.all(running)
  })
})

describe('a guarded directory', () => {
  const place = useColdDirectory()
  const settings = { failureThreshold: 3, openDurationMs: OPEN_MS, concurrency: 4 }
  specifyColdStore(async () => ({ open: () => createGuardedStore(place.open(), settings, { clock }) }))
})
