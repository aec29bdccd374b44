/** Prewarming as the configuration asks for it, from the access that is noted to the context that is hot. */
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { describe, expect, it } from 'vitest'
import { useLink } from '../../../../tests/support/ai.ts'
import { eventOf, pullRequest, recordOf } from '../../../../tests/support/contexts.ts'
import { configuredContexts } from '../configured.ts'
import { contextIdBytes, contextIdOf } from '../context-id.ts'
import { configuredPrewarmer } from './configured.ts'

const server = useLink()
const DAY_MS = 86_400_000
const idOf = (number: number) => contextIdOf('acme', 'github', `acme/site#${number}`)

async function worldOf(switches: { readonly contexts?: boolean; readonly prewarming?: boolean }) {
  const { config } = await loadConfig({
    env: { REDIS_URL: server.redis.url, CONTEXTS_ENABLED: String(switches.contexts ?? true) },
  })
  config.webhook.ai.prewarming.enabled = switches.prewarming ?? config.webhook.ai.prewarming.enabled
  const kept = configuredContexts(config, {
    home: server.link,
    keyring: undefined,
    keyOf: () => undefined,
    name: 'configured',
    clock: systemClock,
  })
  for (const number of [1, 2]) {
    const { record } = recordOf({ delivery: String(number), json: pullRequest(number, 'edited') })
    await kept.contexts.append(eventOf(record), record)
    await kept.mover.cool(idOf(number), 1)
  }
  const told: string[] = []
  const prewarmer = configuredPrewarmer(config, kept, (result, id) => void told.push(`${result} ${id}`))
  const [{ keys }] = kept.places
  return { ...kept, keys, told, prewarmer }
}

describe('with the defaults', () => {
  it('what was read after another one on five days is hot before it is read, and a hit when it is', async () => {
    const { contexts, keys, prewarmer, told } = await worldOf({})
    const [seconds] = (await server.link.call('TIME')) as Buffer[]
    for (let day = 5; day > 0; day--) {
      // At another hour each day, so that the hour says nothing.
      const at = Number(seconds) * 1000 - day * DAY_MS + day * 4_000_000
      await server.link.call('XADD', keys.accesses, `${at}-*`, 'c', contextIdBytes(idOf(1)))
      await server.link.call('XADD', keys.accesses, `${at + 300_000}-*`, 'c', contextIdBytes(idOf(2)))
    }
    expect(await prewarmer?.run()).toMatchObject({ warmed: 0 })
    await contexts.read(idOf(1), { access: true })
    expect(await prewarmer?.run()).toMatchObject({ warmed: 1 })
    expect(await contexts.read(idOf(2), { access: true })).toMatchObject({ tier: 'hot', accesses: 1 })
    await prewarmer?.run()
    expect(told).toEqual([`warmed ${idOf(2)}`, `hit ${idOf(2)}`])
  })
})

describe.each([{ contexts: false }, { prewarming: false }])('with %j', (switches) => {
  it('nothing is noted, and nothing made hot', async () => {
    const { contexts, keys, prewarmer } = await worldOf(switches)
    expect(await contexts.read(idOf(1), { access: true })).toMatchObject({ accesses: 1 })
    expect(prewarmer).toBeUndefined()
    expect(await server.link.call('EXISTS', keys.accesses)).toBe(0)
  })
})
