/** Encrypted events on their way through a consumer: with their key, before it comes, and after it was destroyed. */
import { createDictionarySet, dictionaryOf, publishDictionary, sealDictionary } from '@weir/core/dictionaries'
import type { HandlerEvent } from '@weir/core/handlers/handler'
import { destroyKeys } from '@weir/core/keyring/changes'
import type { TenantKeys } from '@weir/core/keyring/key-store'
import { wakeParked } from '@weir/core/stream/parked'
import { describe, expect, it } from 'vitest'
import { useKeyrings } from '../../../tests/support/keyring.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { onGithub, withConsumer } from './testing.ts'

const redis = useRedis()
const keyrings = useKeyrings()
/** Another place, where the gateway's keys are not. */
const elsewhere = useKeyrings()

async function gatewayKeyring() {
  const sealing = keyrings.open()
  await sealing.prepare('default')
  return sealing
}

describe('an encrypted event', () => {
  it('reaches its handlers as it was sent, though the consumer started before there was a key', async () => {
    const seen: HandlerEvent[] = []
    const bodies: string[] = []
    const handler = onGithub(async (event) => {
      seen.push(event)
      await undefined
      bodies.push(event.body.toString()) // the decoder's memory has another event by now: opened once more
    })
    const deps = { opener: keyrings.open() }
    await withConsumer(
      redis,
      {},
      [handler],
      async (world) => {
        const sealing = await gatewayKeyring()
        const admitted = await world.admitMany(20, () => ({ sealing }))
        await world.until({ settled: 20, parked: 0 })
        expect(bodies.sort()).toEqual(admitted.map(({ body }) => body.toString()).sort())
        expect(seen[0]?.payload).toMatchObject({ action: 'opened' })
        expect(world.lines.filter(({ level, event_id }) => level >= 40 && event_id !== undefined)).toEqual([])
      },
      { deps },
    )
  })

  it('packed with a learned dictionary, which is encrypted too, reaches them as well', async () => {
    const sizes: number[] = []
    const handler = onGithub((event) => void sizes.push(event.body.length))
    await withConsumer(
      redis,
      {},
      [handler],
      async (world) => {
        const sealing = await gatewayKeyring()
        const dictionary = dictionaryOf(Buffer.from('"action":"opened","delivery":"'.repeat(50)))
        const dictionaries = createDictionarySet(new Map([['github', dictionary]]))
        const sealed = sealDictionary(sealing, 'default', dictionary)
        await publishDictionary(world.link, world.keys, sealed, true)
        const stored = (await world.link.call('GET', world.keys.dictionary(dictionary.id))) as Buffer
        expect(stored.includes('delivery')).toBe(false)
        const { body } = await world.admit({ sealing, dictionaries })
        await world.until({ settled: 1, parked: 0 })
        expect(sizes).toEqual([body.length])
      },
      { deps: { opener: keyrings.open() } },
    )
  })

  it('whose key is nowhere waits, loudly and without using an attempt, until it is there', async () => {
    const attempts: number[] = []
    const handler = onGithub((event) => void attempts.push(event.attempt))
    await withConsumer(
      redis,
      {},
      [handler],
      async (world) => {
        const sealing = await gatewayKeyring()
        const { id } = await world.admit({ sealing })
        await world.until({ parked: 1 })
        const [state] = (await world.link.call('HVALS', world.keys.parkedState)) as Buffer[]
        expect(JSON.parse(String(state))).toMatchObject({ id, n: 0, reason: 'key' })
        expect(world.lines).toContainEqual(
          expect.objectContaining({
            level: 50,
            event_id: id,
            reason: 'key',
            err: expect.stringMatching(/^key [0-9a-f]{16} of tenant default is not in the keyring/),
          }),
        )
        await world.rest()
        expect(await world.consumer.metrics.missingKey.get()).toMatchObject({ values: [{ value: 1 }] })

        await elsewhere.store.replace((await keyrings.store.read('default')) as TenantKeys)
        await wakeParked(world.link, world.keys, 'key')
        await world.until({ settled: 1, parked: 0 })
        expect(attempts).toEqual([1])
      },
      { deps: { opener: elsewhere.open() } },
    )
  })

  it('whose key was destroyed is dead, and says so', async () => {
    await withConsumer(
      redis,
      {},
      [],
      async (world) => {
        const sealing = await gatewayKeyring()
        await destroyKeys(keyrings.store, 'default', 1)
        const { id } = await world.admit({ sealing })
        await world.until({ dead: 1 })
        expect(await world.letters()).toMatchObject([
          {
            record: { id },
            reason: 'key-destroyed',
            error: expect.stringMatching(/of tenant default was destroyed at/),
          },
        ])
      },
      { deps: { opener: keyrings.open() } },
    )
  })

  it('that somebody changed, or put into another record, is dead as corrupt', async () => {
    await withConsumer(
      redis,
      {},
      [],
      async (world) => {
        const sealing = await gatewayKeyring()
        const { fields } = await world.admit({ sealing, type: 'push' })
        await world.until({ settled: 1 })
        const forged = [...fields]
        forged[forged.indexOf('type') + 1] = 'release'
        await world.link.call('XADD', world.keys.stream, '*', ...forged)
        await world.until({ settled: 1, dead: 1 })
        expect(await world.letters()).toMatchObject([
          { reason: 'corrupt', error: expect.stringContaining('was changed since it was encrypted') },
        ])
      },
      { deps: { opener: keyrings.open() } },
    )
  })

  it('waits where the consumer has no master key', async () => {
    await withConsumer(redis, {}, [], async (world) => {
      await world.admit({ sealing: await gatewayKeyring() })
      await world.admit()
      await world.until({ settled: 1, parked: 1 })
      expect(world.lines).toContainEqual(
        expect.objectContaining({ level: 50, err: expect.stringContaining('set ENCRYPTION_MASTER_KEY') }),
      )
    })
  })
})
