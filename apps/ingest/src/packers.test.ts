import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createDictionarySet,
  type Dictionary,
  type DictionarySet,
  dictionaryOf,
  giveLearned,
  sealDictionary,
  takeLearned,
} from '@weir/core/dictionaries'
import { forgetKeys, rotateKeys } from '@weir/core/keyring/changes'
import { partitionKeys } from '@weir/core/keys'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MASTER_KEY, useKeyrings } from '../../../tests/support/keyring.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { createPackers, keepDictionaries } from './packers.ts'

const redis = useRedis()
const keyrings = useKeyrings()
const keys = partitionKeys({ stream: 's', deadLetters: 'd', group: 'g', cluster: false })
const dictionary = dictionaryOf(Buffer.from('"action":"opened","pull_request":{"number":'.repeat(20)))
const setOf = (...all: Dictionary[]) =>
  createDictionarySet(new Map(all.map((each, i) => [i === 0 ? 'github' : `t${i}`, each])))

const packersWith = (dictionaries: DictionarySet, spoolDirectory?: string) =>
  createPackers({ dictionaries, level: 3, maxLearned: 2, spoolDirectory })

describe('packing', () => {
  it('uses a dictionary only while Redis is known to hold it', async () => {
    const packers = packersWith(setOf(dictionary))
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
    const packers = packersWith(setOf(dictionary))
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

describe('learned dictionaries', () => {
  let directory: string
  let link: RedisLink
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'weir-dictionaries-'))
    link = connectRedis({
      url: redis.url,
      commandTimeoutMs: 1000,
      connectTimeoutMs: 1000,
      reconnectMaxDelayMs: 100,
      name: 'packers',
    })
    await link.ready()
  })
  afterEach(async () => {
    await link.close()
    rmSync(directory, { recursive: true, force: true })
  })
  const learned = (word: string) => dictionaryOf(Buffer.from(`"${word}":"of one tenant"`.repeat(20)))
  const give = (owner: string, { id, bytes }: Dictionary, at = 1) =>
    giveLearned(
      [{ link, keys }],
      owner,
      { id, bytes },
      { id, at, bytes: bytes.length, events: 1, ratioBefore: 1, ratioAfter: 2 },
    )
  const usedBy = (packers: ReturnType<typeof packersWith>, tenant: string) =>
    packers.current.pack('github', [], Buffer.from('{}'), tenant).dictionary

  it('are used for their tenant as soon as they are found, and no longer when they are taken away', async () => {
    const mine = learned('mine')
    const packers = packersWith(setOf(dictionary))
    await packers.publish(link, keys)
    expect(usedBy(packers, 'acme')).toBe(dictionary.id)
    await give('acme/github', mine)
    await packers.refresh(link, keys)
    expect([usedBy(packers, 'acme'), usedBy(packers, 'other')]).toEqual([mine.id, dictionary.id])
    await takeLearned([{ link, keys }], 'acme/github')
    await packers.refresh(link, keys)
    expect(usedBy(packers, 'acme')).toBe(dictionary.id)
  })

  it('are not used when Redis does not hold them, nor more of them than is allowed: then the newest', async () => {
    const packers = packersWith(setOf(dictionary))
    for (const [at, tenant] of ['a', 'b', 'c'].entries()) await give(`${tenant}/github`, learned(tenant), at)
    await link.call('DEL', keys.dictionary(learned('c').id))
    await packers.publish(link, keys)
    expect(['a', 'b', 'c'].map((tenant) => usedBy(packers, tenant))).toEqual([
      dictionary.id,
      learned('b').id,
      dictionary.id,
    ])
  })

  it('that were sealed anew are followed: what is copied, and would be published again, is the new one', async () => {
    const keyring = keyrings.open()
    await keyring.prepare('acme')
    const mine = learned('mine')
    const sealedNow = () => sealDictionary(keyring, 'acme', mine)
    const publish = async (sealed: Dictionary) => {
      const note = { id: mine.id, at: 1, bytes: 1, events: 1, ratioBefore: 1, ratioAfter: 2 }
      await giveLearned([{ link, keys }], 'acme/github', sealed, note)
    }
    const set = createDictionarySet(new Map([['github', dictionary]]), keyring.isCurrent)
    const packers = createPackers({
      dictionaries: set,
      level: 3,
      maxLearned: 2,
      spoolDirectory: directory,
      opener: keyring,
    })
    const copy = () => readFileSync(join(directory, 'dictionaries', `${mine.id}.learned`))
    const before = sealedNow()
    await publish(before)
    await packers.publish(link, keys)
    expect(usedBy(packers, 'acme')).toBe(mine.id)
    expect(copy()).toEqual(before.sealed)

    await rotateKeys(keyrings.store, createTenantCipher([MASTER_KEY]), 'acme', 5)
    await keyring.lookAgain('acme')
    const after = sealedNow()
    await publish(after)
    await packers.refresh(link, keys)
    expect(copy()).toEqual(after.sealed)
    const old = (await keyrings.store.read('acme'))!.keys[0]!.id
    await forgetKeys(keyrings.store, 'acme', new Set([old]), 6)
    await keyring.lookAgain('acme')
    expect(usedBy(packers, 'acme')).toBe(mine.id)
    await link.call('FLUSHALL')
    packers.distrust()
    await packers.ensure(link, keys, mine.id, 'acme')
    expect(await link.call('GET', keys.dictionary(mine.id))).toEqual(after.sealed)
  })

  it('come back from beside the spool when Redis has lost them, for the spooled events that need them, and only then', async () => {
    const mine = learned('mine')
    const packers = packersWith(setOf(dictionary), directory)
    await give('acme/github', mine)
    await packers.publish(link, keys)
    await link.call('FLUSHALL')
    const next = packersWith(setOf(dictionary), directory) // another process
    await next.publish(link, keys)
    expect(await link.call('EXISTS', keys.dictionary(mine.id))).toBe(0)
    await next.ensure(link, keys, mine.id, 'acme')
    expect(await link.call('GET', keys.dictionary(mine.id))).toEqual(mine.bytes)
    expect(usedBy(next, 'acme')).toBe(dictionary.id)
    await next.ensure(link, keys, 'ffffffffffffffff', 'acme') // nowhere: the event will wait
  })
})
