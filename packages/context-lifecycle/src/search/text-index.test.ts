import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { termsOf } from './question.ts'
import { createTextIndex } from './text-index.ts'
import { wordsOf } from './tokens.ts'

function scores(index: ReturnType<typeof createTextIndex>, question: string): number[] {
  const into = new Float32Array(index.facts.slots)
  index.score(termsOf(question), into)
  return [...into]
}
const put = (index: ReturnType<typeof createTextIndex>, text: string): number => {
  const slot = index.free()
  index.put(slot, [{ text: wordsOf(text), weight: 1 }])
  return slot
}

describe('the index of words', () => {
  it('ranks by rare words, by how often they stand there, and by how little else does', () => {
    const index = createTextIndex()
    for (const text of [
      'lag of a consumer',
      'lag lag lag',
      'lag of a gateway in a long text of many other words',
      'consumer',
      'gateway',
      'other',
    ])
      put(index, text)
    const [both, often, long, one, gateway, other] = scores(index, 'consumer lag') as [
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    expect(both).toBeGreaterThan(often)
    expect(often).toBeGreaterThan(long)
    expect(one).toBeGreaterThan(long)
    expect([gateway, other]).toEqual([0, 0])
  })

  it('finds what begins like a word that is nowhere, and what people call otherwise, for less', () => {
    const index = createTextIndex()
    for (const text of [
      'octocoders linter',
      '5bd5f196a46b8222fb',
      'the pull_request is open',
      'a build failed',
      'fehler',
    ])
      put(index, text)
    expect(scores(index, 'octoc').map((score) => score > 0)).toEqual([true, false, false, false, false])
    expect(scores(index, '5bd5f196').map((score) => score > 0)).toEqual([false, true, false, false, false])
    expect(scores(index, 'PR').map((score) => score > 0)).toEqual([false, false, true, false, false])
    expect(scores(index, 'fehler')[4]).toBeGreaterThan(scores(index, 'fehler')[3] as number)
    expect(scores(index, 'oc')).toEqual([0, 0, 0, 0, 0])
  })

  it('answers after any changes as one that was made of what is left', () => {
    const text = fc.constantFrom('a b c', 'lag', 'lag lag b', 'consumer lag', 'gateway c c', 'x', 'consumers')
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(20), fc.option(text)), { maxLength: 80 }), (changes) => {
        const index = createTextIndex()
        const there = new Map<number, { slot: number; text: string }>()
        for (const [key, written] of changes) {
          const before = there.get(key)
          if (before !== undefined) index.remove(before.slot)
          there.delete(key)
          if (written !== null) there.set(key, { slot: put(index, written), text: written })
        }
        const fresh = createTextIndex()
        const expected = [...there.values()].map(({ slot, text: written }) => ({
          slot,
          other: put(fresh, written),
        }))
        for (const question of ['lag', 'consumer c', 'gat']) {
          const [found, wanted] = [scores(index, question), scores(fresh, question)]
          // How rare a word is counts cards that are gone until they are swept out, so only the order is the same.
          for (const one of expected) expect(found[one.slot]! > 0, question).toBe(wanted[one.other]! > 0)
          const living = new Set(expected.map(({ slot }) => slot))
          for (const [slot, score] of found.entries()) if (!living.has(slot)) expect(score).toBe(0)
        }
      }),
    )
  })

  it('does not grow by replacing: dead slots are swept out and used again', () => {
    const index = createTextIndex()
    let slot = put(index, 'first')
    for (let n = 0; n < 20_000; n++) {
      index.remove(slot)
      slot = put(index, `change ${n} of one card`)
    }
    expect(index.facts.slots).toBeLessThan(5_000)
    expect(index.facts.words).toBeLessThan(5_000)
    expect(scores(index, 'card').filter((score) => score > 0)).toHaveLength(1)
    expect(scores(index, '19999')[slot]).toBeGreaterThan(0)
  })
})
