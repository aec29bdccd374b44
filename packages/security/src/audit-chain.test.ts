import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type AuditFacts,
  type BrokenLink,
  type ChainMark,
  type ChainPoint,
  createChainVerifier,
  GENESIS,
  readEntry,
  type SealedEntry,
  sealEntry,
} from './audit-chain.ts'

const facts = (n: number): AuditFacts => ({
  at: 1_700_000_000_000 + n,
  actor: 'ada@ops-1',
  action: 'dlq.purge',
  target: `letter ${n}`,
  outcome: 'done',
  detail: { count: n, tool: 'github' },
})

function chainOf(length: number, after: ChainPoint = GENESIS): SealedEntry[] {
  const chain: SealedEntry[] = []
  for (let i = 0; i < length; i++) chain.push(sealEntry(facts(i), chain.at(-1) ?? after))
  return chain
}

function verify(
  lines: readonly string[],
  anchor: ChainPoint = GENESIS,
  marks: readonly ChainMark[] = [],
): BrokenLink | ChainPoint {
  const verifier = createChainVerifier(anchor, marks)
  for (const line of lines) if (!verifier.take(line)) break
  return verifier.end() ?? verifier.head
}

const texts = (chain: readonly SealedEntry[]) => chain.map(({ text }) => text)
const pointOf = ({ n, hash }: SealedEntry): ChainPoint => ({ n, hash })
const markOf = (entry: SealedEntry): ChainMark => ({ ...pointOf(entry), says: 'the checkpoint' })

/** The line with members replaced, and its own hash made anew: by somebody who knows how. */
function rehashed(text: string, changes: Record<string, unknown>): string {
  const { hash: _, ...entry } = { ...JSON.parse(text), ...changes }
  const body = JSON.stringify(entry)
  const hash = createHash('sha256').update(body).digest('hex')
  return `${body.slice(0, -1)},"hash":"${hash}"}`
}

describe('an entry', () => {
  it('is one line of JSON whose hash anybody can calculate', () => {
    const { text, hash, n } = sealEntry(facts(0), GENESIS)
    expect(text).toBe(
      `{"n":1,"at":1700000000000,"actor":"ada@ops-1","action":"dlq.purge","target":"letter 0","outcome":"done",` +
        `"detail":{"count":0,"tool":"github"},"prev":"${'0'.repeat(64)}","hash":"${hash}"}`,
    )
    const body = text.replace(/,"hash":"[0-9a-f]{64}"\}$/, '}')
    expect({ n, hash }).toEqual({ n: 1, hash: createHash('sha256').update(body).digest('hex') })
    expect(readEntry(text)).toEqual({ n, hash, prev: GENESIS.hash, ...facts(0) })
  })

  it('is read as it was written, whatever it says', () => {
    const value = fc.oneof(fc.string({ unit: 'binary' }), fc.double(), fc.boolean(), fc.constant(null))
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'binary', maxLength: 700 }), { minLength: 4, maxLength: 4 }),
        fc.dictionary(fc.string({ unit: 'binary', maxLength: 50 }), value, { maxKeys: 30 }),
        fc.nat(),
        ([actor = '', action = '', target = '', outcome = ''], detail, at) => {
          const { n, hash, text } = sealEntry({ at, actor, action, target, outcome, detail }, GENESIS)
          expect(verify([text])).toEqual({ n, hash })
          expect(text).not.toContain('\n')
          expect(text.length).toBeLessThan(60_000)
          // The way through Redis and files.
          expect(verify([Buffer.from(text).toString()])).toEqual({ n, hash })
        },
      ),
    )
  })

  it('is bounded: texts are cut, members left out, numbers that are none are null', () => {
    const detail = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`m${i}`, i]))
    const long = { ...facts(0), target: `${'x'.repeat(299)}😀${'y'.repeat(1e6)}`, detail }
    const entry = readEntry(sealEntry(long, GENESIS).text)
    expect(entry?.target).toBe(`${'x'.repeat(299)}…`)
    expect(Object.keys(entry?.detail ?? {})).toHaveLength(20)
    const odd = { '1': 'first', 'A b': Number.NaN, c: Number.POSITIVE_INFINITY, d: 1.5 }
    expect(readEntry(sealEntry({ ...facts(0), detail: odd }, GENESIS).text)?.detail).toEqual({
      x_1: 'first',
      x_a_b: null,
      c: null,
      d: 1.5,
    })
  })

  it('hides what looks like a secret, should a caller tell one', () => {
    const detail = {
      ops_token: 't0p-secret',
      password: 't0p-secret',
      signature: 't0p-secret',
      authorization: 't0p-secret',
      error: 'connect redis://default:t0p-secret@redis:6379: refused, also rediss://t0p-secret@x',
      key_id: 'a1b2',
      signed: true,
    }
    const target = `https://user:t0p-secret@example.com/${'x'.repeat(1000)}`
    const { text } = sealEntry({ ...facts(0), target, detail }, GENESIS)
    expect(text).not.toContain('t0p-secret')
    expect(readEntry(text)).toMatchObject({
      target: expect.stringMatching(/^https:\/\/\*\*\*@example\.com\/x+…$/),
      detail: {
        ops_token: '***',
        error: 'connect redis://***@redis:6379: refused, also rediss://***@x',
        key_id: 'a1b2',
        signed: true,
      },
    })
  })

  it.each(['', 'no JSON', 'null', '[]', '{}', '7', '{"n":1}', '{"n":0}'])('%j is none', (text) => {
    expect(readEntry(text)).toBeUndefined()
    expect(verify([text])).toMatchObject({ n: 1, kind: 'changed' })
  })
})

describe('a chain', () => {
  it('that nobody touched holds, from the beginning and from any point of it', () => {
    const chain = chainOf(20)
    for (let from = 0; from <= chain.length; from++) {
      const anchor = from === 0 ? GENESIS : pointOf(chain[from - 1]!)
      expect(verify(texts(chain.slice(from)), anchor, chain.map(markOf))).toEqual(pointOf(chain.at(-1)!))
    }
    expect(verify([])).toEqual(GENESIS)
  })

  it('shows where it was tampered with, whatever was done to it', () => {
    const length = fc.integer({ min: 3, max: 30 })
    const member = fc.constantFrom(
      'at',
      'actor',
      'action',
      'target',
      'outcome',
      'detail',
      'prev',
      'hash',
      'n',
    )
    fc.assert(
      fc.property(length, fc.nat(), fc.nat(), member, (count, a, b, changed) => {
        const chain = chainOf(count)
        const lines = texts(chain)
        const last = markOf(chain.at(-1)!)
        /** Entry `i + 1`, which is not the last one. */
        const i = a % (count - 1)
        const found = (tampered: readonly string[]) => verify(tampered, GENESIS, [last])

        // Changed by somebody who does not know of hashes.
        const entry = JSON.parse(lines[i]!)
        const other = { at: 5, n: count + 7, detail: {}, prev: '1'.repeat(64), hash: '1'.repeat(64) }
        const value = other[changed as keyof typeof other] ?? 'mallory'
        const naive = JSON.stringify({ ...entry, [changed]: value })
        expect(found(lines.with(i, naive))).toMatchObject({ n: i + 1, kind: 'changed' })

        // Changed by somebody who does: the next entry tells.
        if (!['n', 'prev', 'hash'].includes(changed)) {
          const forged = lines.with(i, rehashed(lines[i]!, { [changed]: value }))
          expect(found(forged)).toMatchObject({ n: i + 2, kind: 'not-linked' })
        }
        // The last one has no next one, but there is the mark.
        const rewritten = lines.with(-1, rehashed(lines.at(-1)!, { actor: 'mallory' }))
        expect(found(rewritten)).toMatchObject({ n: count, kind: 'rewritten' })

        // Taken out.
        expect(found(lines.toSpliced(i, 1))).toMatchObject({ n: i + 1, kind: 'missing' })
        const cut = 1 + (b % count)
        expect(found(lines.slice(0, -cut))).toMatchObject({ n: count - cut + 1, kind: 'cut-off' })

        // Moved.
        const j = i + 1 + (b % (count - 1 - i))
        const swapped = lines.with(i, lines[j]!).with(j, lines[i]!)
        expect(found(swapped)).toMatchObject({ n: i + 1, kind: 'out-of-order' })

        // Put in: one of the others again, or one that was made to fit.
        expect(found(lines.toSpliced(j, 0, lines[i]!))).toMatchObject({ n: i + 1, kind: 'out-of-order' })
        const before = i === 0 ? GENESIS : pointOf(chain[i - 1]!)
        const fitting = sealEntry({ ...facts(i), actor: 'mallory' }, before)
        expect(found(lines.toSpliced(i, 0, fitting.text))).toMatchObject({ n: i + 1, kind: 'out-of-order' })
        expect(found(lines.toSpliced(i, 0, 'garbage'))).toMatchObject({ n: i + 1, kind: 'changed' })
      }),
    )
  })

  it('that was written anew from some entry on is another one, which only marks can tell', () => {
    const chain = chainOf(10)
    const anew = [...chain.slice(0, 4)]
    for (let i = 4; i < 10; i++) anew.push(sealEntry({ ...facts(i), actor: 'mallory' }, anew[i - 1]!))
    expect(verify(texts(anew))).toEqual(pointOf(anew.at(-1)!))
    expect(verify(texts(anew), GENESIS, [markOf(chain[3]!)])).toEqual(pointOf(anew.at(-1)!))
    expect(verify(texts(anew), GENESIS, [markOf(chain[6]!), markOf(chain[3]!)])).toMatchObject({
      n: 7,
      kind: 'rewritten',
      why: expect.stringContaining('the checkpoint'),
    })
  })

  it('must begin where it is said to begin, and with the entry that a mark knows', () => {
    const chain = chainOf(6)
    const lines = texts(chain.slice(3))
    expect(verify(lines)).toMatchObject({ n: 1, kind: 'missing', why: 'entries 1 to 3 are missing' })
    const elsewhere = { n: 3, hash: 'f'.repeat(64) }
    expect(verify(lines, elsewhere)).toMatchObject({ n: 4, kind: 'not-linked' })
    expect(verify(lines, elsewhere, [markOf(chain[2]!)])).toMatchObject({ n: 3, kind: 'rewritten' })
    expect(verify(lines, pointOf(chain[2]!), [markOf(chain[0]!), markOf(chain[2]!)])).toEqual(
      pointOf(chain[5]!),
    )
  })

  it('needs no further lines once it is known to be broken', () => {
    const chain = chainOf(3)
    const verifier = createChainVerifier(GENESIS, [])
    expect(verifier.take(chain[0]!.text)).toBe(true)
    expect(verifier.take('garbage')).toBe(false)
    expect(verifier.take(chain[1]!.text)).toBe(false)
    expect(verifier.head).toEqual(pointOf(chain[0]!))
  })

  it('counts bytes: the same said in another way is changed', () => {
    const { text } = sealEntry(facts(1), GENESIS)
    for (const other of [
      text.replace('"n":1', '"n": 1'),
      text.replace('ada', '\\u0061da'),
      text.replace('"n":1,', '"n":1,"x":1,'),
      text.replace('"actor":"ada@ops-1"', '"actor":"mallory","actor":"ada@ops-1"'),
    ]) {
      expect(other).not.toBe(text)
      expect(verify([other])).toMatchObject({ n: 1, kind: 'changed' })
    }
  })
})
