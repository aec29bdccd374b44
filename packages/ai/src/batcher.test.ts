import { Fault } from '@weir/core/faults'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { manualClock, rejection } from '../../../tests/support/ai.ts'
import { type BatcherOptions, createBatcher } from './batcher.ts'
import type { Embeddings } from './embedder.ts'

/** A text's own vector: its number. */
const own = (text: string) => Float32Array.of(Number(text))
const tokensOf = (texts: readonly string[]) => texts.reduce((sum, { length }) => sum + length, 0)
const answer = (texts: readonly string[]): Embeddings => ({
  vectors: texts.map(own),
  tokens: tokensOf(texts),
})

function batcherOf(changes: Partial<BatcherOptions> = {}) {
  const clock = manualClock()
  const batches: (readonly string[])[] = []
  const send = changes.send ?? (async (texts: readonly string[]) => answer(texts))
  const batcher = createBatcher({
    batchSize: 3,
    windowMs: 20,
    concurrent: 2,
    maxWaiting: 1_000,
    clock,
    ...changes,
    send(texts, signal) {
      batches.push(texts)
      return send(texts, signal)
    },
  })
  return { batcher, batches, clock }
}

/** Sends that end when the test says so. */
function held() {
  const ends: (() => void)[] = []
  const send = (texts: readonly string[]) =>
    new Promise<Embeddings>((resolve) => void ends.push(() => resolve(answer(texts))))
  return { ends, send }
}

describe('the batcher', () => {
  it('sends a batch when it is full, without waiting', async () => {
    const { batcher, batches } = batcherOf()
    const all = await Promise.all(['1', '2', '3'].map((text) => batcher.embed(text)))
    expect(all.map(({ vector }) => vector[0])).toEqual([1, 2, 3])
    expect(batches).toEqual([['1', '2', '3']])
    expect(batcher.held).toBe(0)
  })

  it('sends what there is at the end of the window', async () => {
    const { batcher, batches, clock } = batcherOf()
    const both = Promise.all([batcher.embed('1'), batcher.embed('2')])
    await clock.advance(19)
    expect(batches).toEqual([])
    await clock.advance(1)
    await both
    expect(batches).toEqual([['1', '2']])
  })

  it('gives every caller its own vector, in batches no larger than allowed, however they come', async () => {
    const plans = fc.record({
      batchSize: fc.integer({ min: 1, max: 7 }),
      concurrent: fc.integer({ min: 1, max: 4 }),
      groups: fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 8 }),
    })
    await fc.assert(
      fc.asyncProperty(plans, async ({ batchSize, concurrent, groups }) => {
        let underWay = 0
        const send = async (texts: readonly string[]) => {
          underWay += 1
          expect(underWay).toBeLessThanOrEqual(concurrent)
          await Promise.resolve()
          underWay -= 1
          return answer(texts)
        }
        const { batcher, batches, clock } = batcherOf({ batchSize, concurrent, send })
        const answers: Promise<number | undefined>[] = []
        for (const group of groups) {
          for (let each = 0; each < group; each++)
            answers.push(batcher.embed(`${answers.length}`).then(({ vector }) => vector[0]))
          await clock.advance(20)
        }
        await clock.advance(20)
        expect(await Promise.all(answers)).toEqual(answers.map((_, at) => at))
        for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(batchSize)
        expect(batches.flat()).toHaveLength(answers.length)
      }),
    )
  })

  it('shares what a batch cost among its texts by their length', async () => {
    const { batcher } = batcherOf({ send: async (texts) => ({ ...answer(texts), tokens: 100 }) })
    const texts = ['1', '2', '0'.repeat(32)]
    const parts = await Promise.all(texts.map((text) => batcher.embed(text)))
    expect(parts.map(({ tokens }) => tokens)).toEqual([10, 10, 80])
  })

  it('has no more under way than allowed; what waits then leaves together', async () => {
    const { ends, send } = held()
    const { batcher, batches, clock } = batcherOf({ concurrent: 1, send })
    const first = Promise.all(['1', '2', '3'].map((text) => batcher.embed(text)))
    const second = Promise.all(['4', '5'].map((text) => batcher.embed(text)))
    await clock.advance(100)
    expect(batches).toHaveLength(1)
    ends[0]?.()
    await first
    expect(batches).toEqual([
      ['1', '2', '3'],
      ['4', '5'],
    ])
    ends[1]?.()
    await second
  })

  it('fails those of a batch that failed, and nobody else', async () => {
    const send = async (texts: readonly string[]) => {
      if (texts.includes('2')) throw new Fault('AI_UNAVAILABLE', 'down')
      return answer(texts)
    }
    const { batcher } = batcherOf({ send })
    const all = await Promise.allSettled(['1', '2', '3', '4', '5', '6'].map((text) => batcher.embed(text)))
    expect(all.map(({ status }) => status)).toEqual([
      ...Array(3).fill('rejected'),
      ...Array(3).fill('fulfilled'),
    ])
  })

  it('finds the text that is to blame for a refusal: the others have their vectors', async () => {
    const count = fc.integer({ min: 1, max: 20 })
    const plan = count.chain((texts) =>
      fc.record({ texts: fc.constant(texts), bad: fc.uniqueArray(fc.nat(texts - 1)) }),
    )
    await fc.assert(
      fc.asyncProperty(plan, async ({ texts, bad }) => {
        const send = async (sent: readonly string[]) => {
          if (sent.some((text) => bad.includes(Number(text)))) throw new Fault('AI_INPUT_REFUSED', 'no')
          return answer(sent)
        }
        const { batcher, clock } = batcherOf({ batchSize: 20, send })
        const asked = Array.from({ length: texts }, (_, at) => batcher.embed(`${at}`))
        const settled = Promise.allSettled(asked)
        await clock.advance(20)
        for (const [at, result] of (await settled).entries())
          expect(result.status).toBe(bad.includes(at) ? 'rejected' : 'fulfilled')
      }),
    )
  })

  it('does not send what nobody waits for any more', async () => {
    const { batcher, batches, clock } = batcherOf()
    const stop = new AbortController()
    const gone = rejection(batcher.embed('1', stop.signal))
    const stays = batcher.embed('2')
    stop.abort(new Error('gone'))
    expect((await gone).message).toBe('gone')
    await clock.advance(20)
    await stays
    expect(batches).toEqual([['2']])
  })

  it('holds so many texts and no more', async () => {
    const { ends, send } = held()
    const { batcher } = batcherOf({ maxWaiting: 3, send })
    const all = Promise.all(['1', '2', '3'].map((text) => batcher.embed(text)))
    expect(await rejection(batcher.embed('4'))).toMatchObject({ code: 'AI_UNAVAILABLE' })
    ends[0]?.()
    await all
    void batcher.embed('5').catch(() => undefined)
    expect(batcher.held).toBe(1)
    batcher.stop()
  })

  it('divides what would be too much for one request', async () => {
    const { batcher, batches, clock } = batcherOf({ batchSize: 100 })
    const large = '1'.repeat(300_000)
    const all = Promise.all([large, large, '3'].map((text) => batcher.embed(text)))
    await clock.advance(20)
    await clock.advance(20)
    await all
    expect(batches.map(({ length }) => length)).toEqual([2, 1])
  })

  it('stops: what waits is refused, what is under way is told', async () => {
    let seen: AbortSignal | undefined
    const send = (_: readonly string[], signal: AbortSignal) => {
      seen = signal
      return new Promise<never>((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason)),
      )
    }
    const { batcher } = batcherOf({ send })
    const all = Promise.allSettled(['1', '2', '3', '4'].map((text) => batcher.embed(text)))
    batcher.stop()
    batcher.stop()
    expect((await all).map(({ status }) => status)).toEqual(Array(4).fill('rejected'))
    expect(seen?.aborted).toBe(true)
    expect(await rejection(batcher.embed('5'))).toMatchObject({ code: 'AI_UNAVAILABLE' })
  })
})
