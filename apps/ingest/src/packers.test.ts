import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDictionarySet, type Dictionary, dictionaryOf } from '@weir/core/dictionaries'
import { partitionKeys } from '@weir/core/keys'
import { connectRedis } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { createPackers, keepDictionaries } from './packers.ts'

const redis = useRedis()
const keys = partitionKeys({ stream: 's', deadLetters: 'd', group: 'g', cluster: false })
const dictionary = dictionaryOf(Buffer.from('"action":"opened","pull_request":{"number":'.repeat(20)))
const setOf = (...all: Dictionary[]) =>
  createDictionarySet(new Map(all.map((each, i) => [i === 0 ? 'github' : `t${i}`, each])))

describe('packing', () => {
  it('uses a dictionary only while Redis is known to hold it', async () => {
    const packers = createPackers(setOf(dictionary), 3)
    const used = () => packers.current.pack('github', [], Buffer.from('{"action":"opened"}')).dictionary
    expect(used()).toBe('')
    const link = connectRedis({
      url: redis.url,
      commandTimeoutMs: 1000,
      connectTimeoutMs: 1000,
      reconnectMaxDelayMs: 100,
      name: 'packers',
    })
    await link.ready()
    await packers.publish(link, keys)
    expect(used()).toBe(dictionary.id)
    expect(await redis.client().getBuffer(keys.dictionary(dictionary.id))).toEqual(dictionary.bytes)
    packers.distrust()
    expect(used()).toBe('')
    await packers.publish(link, keys)
    expect(used()).toBe(dictionary.id)
    await link.close()
  })

  it('goes on without one when publishing fails', async () => {
    const packers = createPackers(setOf(dictionary), 3)
    const link = connectRedis({
      url: redis.url,
      commandTimeoutMs: 1000,
      connectTimeoutMs: 1000,
      reconnectMaxDelayMs: 100,
      name: 'packers',
    })
    await link.ready()
    await redis.client().set(keys.dictionary(dictionary.id), 'somebody else wrote this')
    await expect(packers.publish(link, keys)).rejects.toMatchObject({ code: 'DICTIONARY_MISSING' })
    expect(packers.current.pack('github', [], Buffer.from('{}')).dictionary).toBe('')
    await link.close()
  })
})

describe('the dictionaries beside the spool', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'weir-dictionaries-'))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  it('outlive the version that packed with them', async () => {
    await keepDictionaries(setOf(dictionary), directory)
    const next = dictionaryOf(Buffer.from('another version'))
    const set = setOf(next)
    await keepDictionaries(set, directory)
    expect(set.known(dictionary.id)?.bytes).toEqual(dictionary.bytes)
    // Events of this version are packed with its own.
    expect(set.forEvent('acme', 'github')?.id).toBe(next.id)
    expect(readdirSync(join(directory, 'dictionaries')).sort()).toEqual(
      [`${dictionary.id}.dict`, `${next.id}.dict`].sort(),
    )
  })

  it('that are damaged are left alone', async () => {
    await keepDictionaries(setOf(dictionary), directory)
    writeFileSync(join(directory, 'dictionaries', `${dictionary.id}.dict`), 'damaged')
    writeFileSync(join(directory, 'dictionaries', 'notes.txt'), 'not ours')
    const set = setOf()
    await keepDictionaries(set, directory)
    expect([...set.own()]).toEqual([])
  })
})
