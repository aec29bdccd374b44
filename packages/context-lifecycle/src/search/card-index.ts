/**
 * The cards of all contexts in the memory of one process: put, replaced, removed, and ranked for a question. It keeps what
 * is shown of a card; its texts and its embedding go into the two indexes and are let go.
 */
import type { Card } from './card.ts'
import { nameOf, termsOf } from './question.ts'
import {
  COSINE_FLOOR,
  explained,
  type Measured,
  NAMED,
  type Scale,
  type Score,
  scoreOf,
  WEIGHTS,
  type Weights,
} from './rank.ts'
import { createTextIndex } from './text-index.ts'
import { wordsOf } from './tokens.ts'
import { createVectors, type Vectors } from './vectors.ts'

/** What is kept of a card. */
export type ShownCard = Omit<Card, 'people' | 'text' | 'summary' | 'embedding'>

/** undefined = whatever it is. */
export interface Filters {
  readonly tenant?: string | undefined
  readonly tool?: string | undefined
  readonly kind?: string | undefined
  /** As the card says it, in whatever case. */
  readonly state?: string | undefined
  /** Something happened last at or after, and before, ms. */
  readonly since?: number | undefined
  readonly until?: number | undefined
}

export interface Question extends Filters {
  readonly asked: string
  /** Of unit length. */
  readonly embedding?: { readonly model: string; readonly vector: Float32Array } | undefined
  /** ms */
  readonly now: number
  /** At most so many. */
  readonly limit: number
  readonly weights?: Weights
}

export interface Ranked extends Score {
  readonly card: ShownCard
}

export interface CardIndex {
  /** Puts a card in, in the place of the one that its context had. */
  put(card: Card): void
  remove(id: string): boolean
  get(id: string): ShownCard | undefined
  /** Best first. */
  rank(question: Question): readonly Ranked[]
  readonly size: number
  readonly facts: {
    readonly cards: number
    readonly embedded: number
    readonly words: number
    readonly dead: number
  }
}

/** How much a word counts where it stands. */
const SUBJECT_WORTH = 3
const TITLE_WORTH = 3
const PEOPLE_WORTH = 1.5
const KIND_WORTH = 1
const TEXT_WORTH = 1

/** Numbers for names, so that a filter compares numbers. */
function createNames() {
  const numbers = new Map<string, number>()
  return {
    of(name: string): number {
      const known = numbers.get(name)
      if (known !== undefined) return known
      numbers.set(name, numbers.size + 1)
      return numbers.size
    },
    /** -1, which no card has, for a name that none has. */
    find: (name: string | undefined): number => (name === undefined ? 0 : (numbers.get(name) ?? -1)),
  }
}

export function createCardIndex(): CardIndex {
  const text = createTextIndex()
  const spaces = new Map<string, Vectors>()
  const slotOf = new Map<string, number>()
  const cards: (ShownCard | undefined)[] = []
  const spaceOf: (Vectors | undefined)[] = []
  /** Who has this name: mostly one, seldom one of each tenant. */
  const named = new Map<string, Set<string>>()
  const names = createNames()
  let columns = columnsOf(1_024)

  function nameCard(card: ShownCard, change: 'add' | 'delete'): void {
    for (const name of [card.subject, `${card.tool} ${card.subject}`, card.id].map(nameOf)) {
      const ids = named.get(name) ?? new Set()
      ids[change](card.id)
      if (ids.size === 0) named.delete(name)
      else named.set(name, ids)
    }
  }

  function drop(id: string): boolean {
    const slot = slotOf.get(id)
    if (slot === undefined) return false
    nameCard(cards[slot] as ShownCard, 'delete')
    text.remove(slot)
    leaveSpace(slot)
    cards[slot] = undefined
    columns.tenant[slot] = 0
    slotOf.delete(id)
    return true
  }

  function leaveSpace(slot: number): void {
    const space = spaceOf[slot]
    spaceOf[slot] = undefined
    space?.remove(slot)
    // Once the last embedding of a model was made anew with another one, its memory is given back.
    for (const [name, one] of spaces) if (one === space && one.count === 0) spaces.delete(name)
  }

  function spaceFor(model: string, dimensions: number): Vectors {
    const name = `${dimensions} ${model}`
    const space = spaces.get(name) ?? createVectors(dimensions)
    spaces.set(name, space)
    return space
  }

  /** Whether a slot is one of those asked for. */
  function passing(filters: Filters): (slot: number) => boolean {
    const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = filters
    const [tenant, tool, kind] = [
      names.find(filters.tenant),
      names.find(filters.tool),
      names.find(filters.kind),
    ]
    const state = names.find(filters.state?.toLowerCase())
    return (slot) => {
      const owner = columns.tenant[slot] as number
      const at = columns.lastAt[slot] as number
      return (
        owner !== 0 &&
        (tenant === 0 || owner === tenant) &&
        (tool === 0 || columns.tool[slot] === tool) &&
        (kind === 0 || columns.kind[slot] === kind) &&
        (state === 0 || columns.state[slot] === state) &&
        at >= since &&
        at < until
      )
    }
  }

  return {
    put(card) {
      drop(card.id)
      const slot = text.free()
      if (slot >= columns.tenant.length) columns = columnsOf(columns.tenant.length * 2, columns)
      const { id, tenant, tool, kind, subject, title, state, severity } = card
      const { people, text: written, summary, embedding, ...shown } = card
      text.put(slot, [
        { text: wordsOf(subject), weight: SUBJECT_WORTH },
        { text: wordsOf(title ?? ''), weight: TITLE_WORTH },
        { text: wordsOf(people.join(' ')), weight: PEOPLE_WORTH },
        { text: wordsOf([tool, kind, state, severity].join(' ')), weight: KIND_WORTH },
        { text: wordsOf(`${summary ?? ''}\n${written}`), weight: TEXT_WORTH },
      ])
      if (embedding !== undefined) {
        const space = spaceFor(embedding.model, embedding.vector.length)
        space.put(slot, embedding.vector)
        spaceOf[slot] = space
      }
      slotOf.set(id, slot)
      cards[slot] = shown
      nameCard(shown, 'add')
      columns.tenant[slot] = names.of(tenant)
      columns.tool[slot] = names.of(tool)
      columns.kind[slot] = names.of(kind)
      columns.state[slot] = state === null ? 0 : names.of(state.toLowerCase())
      columns.importance[slot] = card.importance
      columns.lastAt[slot] = card.lastAt
    },
    remove: drop,
    get(id) {
      const slot = slotOf.get(id)
      return slot === undefined ? undefined : cards[slot]
    },
    rank(question) {
      const { asked, embedding, now, limit, weights = WEIGHTS } = question
      const { slots } = text.facts
      const passes = passing(question)
      const terms = termsOf(asked)
      const texts = new Float32Array(slots)
      if (weights.text > 0) text.score(terms, texts)
      const cosines = new Float32Array(slots)
      const space = embedding && spaces.get(`${embedding.vector.length} ${embedding.model}`)
      if (space !== undefined && embedding !== undefined && weights.meaning > 0)
        space.cosines(embedding.vector, cosines)

      let [bestText, bestCosine] = [0, 0]
      for (let slot = 0; slot < slots; slot++) {
        if (!passes(slot)) continue
        bestText = Math.max(bestText, texts[slot] as number)
        bestCosine = Math.max(bestCosine, cosines[slot] as number)
      }
      const scale: Scale = { bestText, bestCosine, now, weights }
      const measured = (slot: number): Measured => ({
        text: texts[slot] as number,
        cosine: space !== undefined && spaceOf[slot] === space ? (cosines[slot] as number) : undefined,
        lastAt: columns.lastAt[slot] as number,
        importance: columns.importance[slot] as number,
      })
      const first = [...(named.get(nameOf(asked)) ?? [])]
        .map((id) => slotOf.get(id) as number)
        .filter(passes)
        .sort((a, b) => (columns.lastAt[b] as number) - (columns.lastAt[a] as number))
        .slice(0, limit)
      const best = createBest(limit)
      for (let slot = 0; slot < slots; slot++) {
        const related = (texts[slot] as number) > 0 || (cosines[slot] as number) > COSINE_FLOOR
        if (related && passes(slot)) best.offer(slot, scoreOf(measured(slot), scale))
      }
      const others = best.sorted().filter((slot) => !first.includes(slot))
      const found = text.found(terms, others)
      const untold =
        embedding === undefined ? 'the question has no embedding' : 'no embedding of the same model'
      const scored = others.map((slot) => ({
        card: cards[slot] as ShownCard,
        ...explained(measured(slot), scale, found.get(slot) ?? [], terms.length, untold),
      }))
      return [
        ...first.map((slot) => ({ card: cards[slot] as ShownCard, ...NAMED })),
        // By what is printed: two that differ in the fourth decimal must not look as if they stood the wrong way round.
        ...scored.sort((a, b) => b.score - a.score),
      ].slice(0, limit)
    },
    get size() {
      return slotOf.size
    },
    get facts() {
      const embedded = [...spaces.values()].reduce((sum, { count }) => sum + count, 0)
      return { cards: slotOf.size, embedded, words: text.facts.words, dead: text.facts.dead }
    },
  }
}

/** What is filtered and scored by, in arrays: a question goes through all of them. Tenant 0 = the slot is empty. */
interface Columns {
  readonly tenant: Uint32Array
  readonly tool: Uint32Array
  readonly kind: Uint32Array
  readonly state: Uint32Array
  readonly importance: Float32Array
  readonly lastAt: Float64Array
}

function columnsOf(capacity: number, before?: Columns): Columns {
  const columns: Columns = {
    tenant: new Uint32Array(capacity),
    tool: new Uint32Array(capacity),
    kind: new Uint32Array(capacity),
    state: new Uint32Array(capacity),
    importance: new Float32Array(capacity),
    lastAt: new Float64Array(capacity),
  }
  if (before !== undefined) {
    for (const name of Object.keys(columns) as (keyof Columns)[]) columns[name].set(before[name])
  }
  return columns
}

/** The so many best of those that are offered: a heap whose first is the worst of them. */
function createBest(limit: number) {
  const heap: { readonly slot: number; readonly score: number }[] = []
  const worse = (a: { slot: number; score: number }, b: { slot: number; score: number }) =>
    a.score < b.score || (a.score === b.score && a.slot > b.slot)
  return {
    offer(slot: number, score: number): void {
      const one = { slot, score }
      if (heap.length === limit) {
        if (limit === 0 || !worse(heap[0]!, one)) return
        heap[0] = one
        for (let at = 0; ; ) {
          const [left, right] = [2 * at + 1, 2 * at + 2]
          let least = at
          if (left < limit && worse(heap[left]!, heap[least]!)) least = left
          if (right < limit && worse(heap[right]!, heap[least]!)) least = right
          if (least === at) return
          ;[heap[at], heap[least]] = [heap[least]!, heap[at]!]
          at = least
        }
      }
      heap.push(one)
      for (let at = heap.length - 1; at > 0; ) {
        const above = (at - 1) >> 1
        if (!worse(heap[at]!, heap[above]!)) return
        ;[heap[at], heap[above]] = [heap[above]!, heap[at]!]
        at = above
      }
    },
    sorted: (): number[] => heap.toSorted((a, b) => (worse(a, b) ? 1 : -1)).map(({ slot }) => slot),
  }
}
