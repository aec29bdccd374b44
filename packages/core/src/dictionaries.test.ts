import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { useWorld } from '../../../tests/heart/world.ts'
import {
  createDictionarySet,
  dictionaryOf,
  fetchDictionary,
  loadBundledDictionaries,
  publishDictionaries,
} from './dictionaries.ts'

const world = useWorld()
const structure = dictionaryOf(Buffer.from('{"action":"","repository":{}}'))
const binary = dictionaryOf(Buffer.from([0, 255, 10, 13, 0xc3, 0x28]))

describe('a dictionary', () => {
  it('is named by its content', () => {
    const digest = createHash('sha256').update(structure.bytes).digest('hex')
    expect(structure.id).toBe(digest.slice(0, 16))
  })

  it('is bundled as one file per tool; other files are ignored', () => {
    const directory = mkdtempSync(join(tmpdir(), 'weir-dictionaries-'))
    writeFileSync(join(directory, 'github.dict'), structure.bytes)
    writeFileSync(join(directory, 'README.md'), 'not a dictionary')
    expect(loadBundledDictionaries(pathToFileURL(`${directory}/`))).toEqual(new Map([['github', structure]]))
    rmSync(directory, { recursive: true })
  })

  it('is known by tool and by id', () => {
    const set = createDictionarySet(new Map([['github', structure]]))
    expect(set.forEvent('acme', 'github')).toBe(structure)
    expect(set.forEvent('acme', 'jira')).toBeUndefined()
    expect(set.known(structure.id)).toBe(structure)
    set.addOwn(binary)
    expect(set.known(binary.id)).toBe(binary)
    expect([...set.own()]).toEqual([structure, binary])
  })
})

describe('publishing', () => {
  it('stores every dictionary under its id, and is harmless when repeated', async () => {
    const link = await world.link()
    const set = createDictionarySet(
      new Map([
        ['a', structure],
        ['b', binary],
      ]),
    )
    await publishDictionaries(link, world.keys, set)
    await publishDictionaries(link, world.keys, set)
    expect(await link.call('GET', world.keys.dictionary(binary.id))).toEqual(binary.bytes)
    expect(await link.call('DBSIZE')).toBe(2)
  })

  it('notices that other bytes stand under that id, names the key, and does not overwrite them', async () => {
    const link = await world.link()
    const key = world.keys.dictionary(structure.id)
    await link.call('SET', key, 'other bytes')
    const publishing = publishDictionaries(link, world.keys, createDictionarySet(new Map([['a', structure]])))
    await expect(publishing).rejects.toMatchObject({
      code: 'DICTIONARY_MISSING',
      message: expect.stringContaining(key),
    })
    expect(await link.call('GET', key)).toEqual(Buffer.from('other bytes'))
  })
})

describe('fetching', () => {
  it('finds what another process published, and keeps it', async () => {
    const link = await world.link()
    await publishDictionaries(link, world.keys, createDictionarySet(new Map([['a', binary]])))
    const set = createDictionarySet(new Map())
    expect(await fetchDictionary(link, world.keys, set, binary.id)).toEqual(binary)
    await link.call('FLUSHALL')
    expect(await fetchDictionary(link, world.keys, set, binary.id)).toEqual(binary)
  })

  it('is a loud fault when it is nowhere', async () => {
    const link = await world.link()
    await expect(
      fetchDictionary(link, world.keys, createDictionarySet(new Map()), structure.id),
    ).rejects.toMatchObject({
      code: 'DICTIONARY_MISSING',
      message: expect.stringContaining(structure.id),
    })
  })

  it('does not take other bytes for it', async () => {
    const link = await world.link()
    await link.call('SET', world.keys.dictionary(structure.id), 'other bytes')
    const set = createDictionarySet(new Map())
    await expect(fetchDictionary(link, world.keys, set, structure.id)).rejects.toMatchObject({
      code: 'DICTIONARY_MISSING',
    })
    expect(set.known(structure.id)).toBeUndefined()
  })
})
