import { describe, expect, it } from 'vitest'
import { createDictionarySet, loadBundledDictionaries } from '../dictionaries.ts'
import { createPacker, createUnpacker } from '../packing.ts'
import { LEAST_SAMPLES, measure, trainDictionary } from './train.ts'

/** Always the same numbers in [0, 1). */
function random(): () => number {
  let state = 7
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state / 2 ** 31
  }
}

const people = ['ada', 'grace', 'linus', 'barbara']
/** An event of one repository: what stands is the same, what happens is new. */
function content(n: number): Buffer {
  const next = random()
  for (let i = 0; i < n; i++) next()
  const commit = Array.from({ length: 40 }, () => Math.floor(next() * 16).toString(16)).join('')
  const body = {
    action: ['opened', 'closed', 'edited'][n % 3],
    number: n,
    pull_request: {
      head: { sha: commit },
      user: { login: people[n % 4], url: `https://git.acme.example/${people[n % 4]}` },
    },
    repository: {
      full_name: 'acme/warehouse-control',
      description: 'Steers the lorries between the three warehouses of Acme',
      html_url: 'https://git.acme.example/acme/warehouse-control',
    },
  }
  return Buffer.from(`[["content-type","application/json"]]\n${JSON.stringify(body)}`)
}
const contents = (from: number, count: number) => Array.from({ length: count }, (_, i) => content(from + i))
const options = { level: 3, maxBytes: 8192, before: undefined, random: random() }

describe('training', () => {
  it('makes events that it has not seen smaller, and says by how much', () => {
    const training = trainDictionary(contents(0, 300), options)
    if (training.kind !== 'trained') throw new Error(training.kind)
    const { dictionary, learnedFrom, measuredOn, before, after } = training
    expect({ learnedFrom, measuredOn }).toEqual({ learnedFrom: 225, measuredOn: 75 })
    expect(dictionary.bytes.length).toBeLessThanOrEqual(options.maxBytes)
    expect(after.packedBytes).toBeLessThan(before.packedBytes / 2)
    expect(after.ratio).toBeCloseTo(after.plainBytes / after.packedBytes)
    const unseen = measure(contents(5_000, 100), dictionary, 3)
    expect(unseen.packedBytes).toBeLessThan(before.packedBytes / 2)
  })

  it('compares with the dictionary that is in use', () => {
    const before = loadBundledDictionaries().get('github')
    const training = trainDictionary(contents(0, 200), { ...options, before })
    if (training.kind !== 'trained') throw new Error(training.kind)
  })

  it('does not learn the accidents of a few', () => {
    expect(trainDictionary(contents(0, LEAST_SAMPLES - 1), options)).toEqual({
      kind: 'too-few',
      found: LEAST_SAMPLES - 1,
      needed: LEAST_SAMPLES,
    })
  })

  it('copes with contents that are larger than the dictionary, empty, or not text', () => {
    const large = Array.from({ length: 100 }, (_, i) => Buffer.alloc(20_000, i))
    const odd = [...large, Buffer.alloc(0), Buffer.from([0xff, 0xfe, 0x00])]
    const training = trainDictionary(odd, options)
    if (training.kind !== 'trained') throw new Error(training.kind)
    expect(training.dictionary.bytes.length).toBeLessThanOrEqual(options.maxBytes)
  })
})

describe('packing with what was learned', () => {
  const training = trainDictionary(contents(0, 200), options)
  if (training.kind !== 'trained') throw new Error(training.kind)
  const { dictionary } = training
  const body = Buffer.from('{"repository":{"full_name":"acme/warehouse-control"}}')

  it('is for that tenant and tool only, until it is taken away', () => {
    const starters = loadBundledDictionaries()
    const set = createDictionarySet(starters)
    const packer = createPacker(set, 3)
    const used = (tenant: string, tool: string) => packer.pack(tool, [], body, tenant).dictionary
    set.learn(new Map([['acme/github', dictionary]]))
    expect(used('acme', 'github')).toBe(dictionary.id)
    expect(used('other', 'github')).toBe(starters.get('github')?.id)
    expect(used('acme', 'gitlab')).toBe(starters.get('gitlab')?.id)
    expect([...set.own()]).toEqual([...starters.values()])
    set.learn(new Map())
    expect(used('acme', 'github')).toBe(starters.get('github')?.id)
    expect(set.known(dictionary.id)).toBe(dictionary)
  })

  it('gives the same bytes back', () => {
    const set = createDictionarySet(new Map())
    set.learn(new Map([['acme/github', dictionary]]))
    const packed = createPacker(set, 3).pack('github', [['a', 'b']], body, 'acme')
    const record = { id: 'evt_x', tenant: 'acme', tool: 'github', type: 'push', receivedAt: 1, ...packed }
    expect(createUnpacker(set).unpack(record).body).toEqual(body)
  })
})
