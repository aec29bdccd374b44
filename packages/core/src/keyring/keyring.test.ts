import { mkdtempSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../clock.ts'
import { Fault } from '../faults.ts'
import { destroyKeys, forgetKeys, rotateKeys } from './changes.ts'
import { createDirectoryStore } from './directory-store.ts'
import type { KeyStore } from './key-store.ts'
import { createKeyring, type Keyring, type KeyringEvent, type KeyringOptions, NO_KEYRING } from './keyring.ts'

const OLD = 'Zk3v0qXo9dT1uB7sYw5LmN8rHc2JfPgAeQiKtVx4'
const NEW = 'nT6yQ0wE4rU8iP2oA7sD1fG5hJ9kLzX3cVbM-mKj'
const BYTES = Buffer.from('what nobody else should read')

let directory: string
const open: Keyring[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-keyring-'))
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((keyring) => keyring.stop()))
  rmSync(directory, { recursive: true, force: true })
})

/** A clock whose waits end when the test says so: each is one look at the place. */
function lookClock() {
  let waiting: (() => void) | undefined
  const asleep = () => new Promise<void>((resolve) => (told = resolve))
  let told: () => void = () => undefined
  const clock: Clock = {
    ...systemClock,
    wait: (_ms, signal) =>
      new Promise((resolve) => {
        waiting = resolve
        signal?.addEventListener('abort', () => resolve())
        told()
      }),
  }
  return {
    clock,
    /** Lets it look once. */
    async look() {
      const done = asleep()
      waiting?.()
      await done
    },
  }
}

function process(masters: readonly [string, ...string[]] = [OLD], options: Partial<KeyringOptions> = {}) {
  const told: KeyringEvent[] = []
  const store = options.store ?? createDirectoryStore(directory)
  const cipher = createTenantCipher(masters)
  const { clock, look } = lookClock()
  const keyring = createKeyring({
    store,
    cipher,
    maxTenants: 100,
    refreshMs: 10_000,
    clock,
    tell: (event) => told.push(event),
    ...options,
  })
  open.push(keyring)
  return { keyring, store, cipher, told, look, kinds: () => told.map(({ kind }) => kind) }
}

/** How it ends to open bytes: the text, `other` for bytes that were meddled with, or the code of the fault. */
function outcome(keyring: Pick<Keyring, 'open'>, sealed: Buffer, belongs = 'a'): string {
  try {
    return keyring.open('acme', belongs, sealed)?.toString() ?? 'other'
  } catch (error) {
    if (error instanceof Fault) return error.code
    throw error
  }
}

async function sealedBy({ keyring }: { keyring: Keyring }): Promise<Buffer> {
  if (!keyring.ready('acme')) await keyring.prepare('acme')
  return keyring.seal('acme', 'a', BYTES)
}

describe('the key of a tenant', () => {
  it('is made when it is first needed, and found by everybody else', async () => {
    const gateway = process()
    const consumer = process()
    await Promise.all([gateway.keyring.start(), consumer.keyring.start()])
    expect(gateway.keyring.ready('acme')).toBe(false)
    expect(() => gateway.keyring.seal('acme', 'a', BYTES)).toThrow(
      expect.objectContaining({ code: 'KEY_MISSING' }),
    )
    const sealed = await sealedBy(gateway)
    expect(gateway.kinds()).toEqual(['made'])
    expect(outcome(consumer.keyring, sealed)).toBe('KEY_MISSING')
    await consumer.keyring.lookAgain('acme')
    expect(outcome(consumer.keyring, sealed)).toBe(BYTES.toString())
    expect(outcome(consumer.keyring, sealed, 'b')).toBe('other')
    expect(outcome(consumer.keyring, Buffer.from('never sealed'))).toBe('other')
  })

  it('is made once, however many want it at once', async () => {
    const gateways = [process(), process(), process()]
    await Promise.all(gateways.flatMap(({ keyring }) => [keyring.prepare('acme'), keyring.prepare('acme')]))
    const sealed = await Promise.all(gateways.map(sealedBy))
    for (const { keyring } of gateways)
      for (const bytes of sealed) expect(outcome(keyring, bytes)).toBe(BYTES.toString())
    expect(gateways.flatMap(({ kinds }) => kinds())).toEqual(['made'])
  })

  it('is one of its own: what one tenant sealed no other opens', async () => {
    const { keyring } = process()
    await Promise.all([keyring.prepare('acme'), keyring.prepare('other')])
    const sealed = keyring.seal('other', 'a', BYTES)
    expect(outcome(keyring, sealed)).toBe('KEY_MISSING')
    expect(keyring.open('other', 'a', sealed)).toEqual(BYTES)
  })

  it('is not made for more tenants than may have one', async () => {
    const { keyring } = process([OLD], { maxTenants: 2 })
    await keyring.prepare('one')
    await keyring.prepare('two')
    await expect(keyring.prepare('three')).rejects.toThrow(
      /keys of 2 tenants, and none is made for three.*keyring_max_tenants/,
    )
    expect(keyring.ready('three')).toBe(false)
    await keyring.prepare('two')
  })
})

describe('rotation', () => {
  it('gives another key to write with; the old one reads', async () => {
    const gateway = process()
    await gateway.keyring.start()
    const before = await sealedBy(gateway)
    await rotateKeys(gateway.store, gateway.cipher, 'acme', 5)
    await gateway.look()
    const after = await sealedBy(gateway)
    expect(gateway.cipher.keyOf(after)).not.toBe(gateway.cipher.keyOf(before))
    for (const sealed of [before, after]) expect(outcome(gateway.keyring, sealed)).toBe(BYTES.toString())
    expect(gateway.kinds()).toEqual(['made', 'changed'])
    expect(gateway.keyring.facts).toMatchObject({ tenants: 1, keys: 2 })
  })

  it('of the master key: the previous one reads until it is not needed', async () => {
    const before = await sealedBy(process([OLD]))
    const both = process([NEW, OLD])
    await both.keyring.start()
    expect(outcome(both.keyring, before)).toBe(BYTES.toString())
    // Until the keys are rotated, also to write.
    expect(both.cipher.keyOf(await sealedBy(both))).toBe(both.cipher.keyOf(before))
    await rotateKeys(both.store, both.cipher, 'acme', 5)
    await both.look()
    const after = await sealedBy(both)

    const alone = process([NEW])
    await alone.keyring.start()
    expect(alone.keyring.closed.size).toBe(0)
    expect(outcome(alone.keyring, after)).toBe(BYTES.toString())
    expect(() => alone.keyring.open('acme', 'a', before)).toThrow(
      /its master key [0-9a-f]{8} is not configured here; add it as ENCRYPTION_PREVIOUS_MASTER_KEYS/,
    )
  })

  it('that a process cannot follow, because it lacks the new master key, leaves it the old one to write with', async () => {
    const behind = process([OLD])
    await behind.keyring.start()
    const before = await sealedBy(behind)
    await rotateKeys(behind.store, createTenantCipher([NEW]), 'acme', 5)
    await behind.look()
    expect(behind.cipher.keyOf(await sealedBy(behind))).toBe(behind.cipher.keyOf(before))
  })

  it('forgets keys that are not to write with any more, and no other', async () => {
    const { keyring, store, cipher, look } = process()
    await keyring.start()
    const before = await sealedBy({ keyring })
    await rotateKeys(store, cipher, 'acme', 5)
    await look()
    const after = await sealedBy({ keyring })
    const ids = new Set([before, after].map((sealed) => cipher.keyOf(sealed) as string))
    expect((await forgetKeys(store, 'acme', ids, 6))?.keys.map(({ id }) => id)).toEqual([cipher.keyOf(after)])
    expect(await forgetKeys(store, 'acme', ids, 7)).toBeUndefined()
    await look()
    expect([outcome(keyring, before), outcome(keyring, after)]).toEqual(['KEY_DESTROYED', BYTES.toString()])
  })
})

describe('a destroyed key', () => {
  it('opens nothing any more, in every process that looks, and says that it was destroyed', async () => {
    const gateway = process()
    const consumer = process()
    await gateway.keyring.start()
    const sealed = await sealedBy(gateway)
    await consumer.keyring.start()
    expect(gateway.keyring.isCurrent('acme', sealed)).toBe(true)
    await destroyKeys(consumer.store, 'acme', Date.UTC(2026, 0, 2))
    await Promise.all([gateway.look(), consumer.look()])
    for (const { keyring } of [gateway, consumer]) {
      expect(() => keyring.open('acme', 'a', sealed)).toThrow(
        /of tenant acme was destroyed at 2026-01-02T00:00:00/,
      )
      expect(outcome(keyring, sealed)).toBe('KEY_DESTROYED')
      expect(keyring.isCurrent('acme', sealed)).toBe(false)
      expect(keyring.ready('acme')).toBe(false)
    }
    // Once more finds nothing to destroy, and clears what the first time may have left behind.
    expect(await destroyKeys(consumer.store, 'acme', 1)).toMatchObject({ revision: 3, keys: [] })
    expect(await destroyKeys(consumer.store, 'nobody', 1)).toBeUndefined()
  })

  it('is followed by a new one at the next event', async () => {
    const { keyring, store, look } = process()
    await keyring.start()
    const before = await sealedBy({ keyring })
    await destroyKeys(store, 'acme', 1)
    await look()
    const after = await sealedBy({ keyring })
    expect([outcome(keyring, before), outcome(keyring, after)]).toEqual(['KEY_DESTROYED', BYTES.toString()])
  })
})

describe('a place that fails', () => {
  /** The store, with what the test breaks. */
  function failing() {
    const store = createDirectoryStore(directory)
    const state = { broken: false }
    const unlessBroken = async <T>(work: () => Promise<T>): Promise<T> => {
      if (state.broken) throw new Fault('KEYRING_UNAVAILABLE', 'the disk is gone')
      return work()
    }
    const broken: KeyStore = {
      ...store,
      readAll: () => unlessBroken(store.readAll),
      read: (tenant) => unlessBroken(() => store.read(tenant)),
      replace: (next) => unlessBroken(() => store.replace(next)),
    }
    return { broken, state }
  }

  it('stops nobody who has a key; told once, and when it is back', async () => {
    const { broken, state } = failing()
    const gateway = process([OLD], { store: broken })
    await gateway.keyring.start()
    const sealed = await sealedBy(gateway)
    state.broken = true
    await gateway.look()
    await gateway.look()
    await gateway.keyring.lookAgain('acme')
    expect(outcome(gateway.keyring, sealed)).toBe(BYTES.toString())
    await sealedBy(gateway)
    await expect(gateway.keyring.prepare('other')).rejects.toThrow('the disk is gone')
    state.broken = false
    await gateway.look()
    expect(gateway.kinds()).toEqual(['made', 'away', 'back'])
    await gateway.keyring.prepare('other')
  })

  it('lets a process start, which then waits for it', async () => {
    const { broken, state } = failing()
    const sealed = await sealedBy(process())
    state.broken = true
    const late = process([OLD], { store: broken })
    await late.keyring.start()
    expect([late.kinds(), late.keyring.facts.ageMs]).toEqual([['away'], undefined])
    expect(outcome(late.keyring, sealed)).toBe('KEY_MISSING')
    state.broken = false
    await late.look()
    expect(outcome(late.keyring, sealed)).toBe(BYTES.toString())
  })

  it('gets back what it lost from whoever still has it', async () => {
    const gateway = process()
    await gateway.keyring.start()
    const sealed = await sealedBy(gateway)
    for (const name of readdirSync(directory)) unlinkSync(join(directory, name))
    await gateway.look()
    expect(gateway.kinds()).toEqual(['made', 'restored'])
    const next = process()
    await next.keyring.start()
    expect(outcome(next.keyring, sealed)).toBe(BYTES.toString())
    await gateway.look()
    expect(gateway.kinds()).toEqual(['made', 'restored'])
  })

  it('with a damaged entry stops that tenant alone, and does not write over it', async () => {
    await sealedBy(process())
    const [name] = readdirSync(directory)
    writeFileSync(join(directory, name as string), '{"v":1')
    const gateway = process()
    await gateway.keyring.start()
    await gateway.look()
    expect(gateway.kinds()).toEqual(['damaged'])
    await expect(gateway.keyring.prepare('acme')).rejects.toMatchObject({ code: 'KEYRING_CORRUPT' })
    await gateway.keyring.prepare('other')
    expect(gateway.keyring.ready('other')).toBe(true)
  })

  it('that went back in time is believed, and told', async () => {
    const gateway = process()
    await gateway.keyring.start()
    await gateway.keyring.prepare('acme')
    const before = await gateway.store.read('acme')
    await rotateKeys(gateway.store, gateway.cipher, 'acme', 5)
    await gateway.look()
    for (const name of readdirSync(directory)) unlinkSync(join(directory, name))
    await gateway.store.replace(before!)
    await gateway.look()
    expect(gateway.kinds()).toEqual(['made', 'changed', 'went-back'])
    expect(gateway.keyring.facts.keys).toBe(1)
  })
})

describe('the wrong master key', () => {
  it('is found out: keys are there, and none can be derived', async () => {
    const sealed = await sealedBy(process([OLD]))
    const mistyped = process([NEW])
    await mistyped.keyring.start()
    expect([...mistyped.keyring.closed]).toEqual([
      ['acme', expect.stringMatching(/^its master key [0-9a-f]{8} is not configured here/)],
    ])
    expect(mistyped.kinds()).toEqual(['closed'])
    await expect(mistyped.keyring.prepare('acme')).rejects.toMatchObject({ code: 'KEY_MISSING' })
    expect(outcome(mistyped.keyring, sealed)).toBe('KEY_MISSING')
  })

  it('and a changed salt is: nothing is opened, or sealed, with what it makes', async () => {
    const first = process()
    const sealed = await sealedBy(first)
    const entry = (await first.store.read('acme'))!
    const salt = first.cipher.create('acme').kept.salt
    const meddled = { ...entry, revision: 2, keys: entry.keys.map((key) => ({ ...key, salt })) }
    await first.store.replace(meddled)
    const next = process()
    await next.keyring.start()
    expect(next.kinds()).toEqual(['closed'])
    expect(() => next.keyring.open('acme', 'a', sealed)).toThrow(/is damaged in the keyring/)
    await expect(next.keyring.prepare('acme')).rejects.toThrow(/is damaged in the keyring/)
  })

  it('none at all opens nothing, and says what to set', () => {
    const sealed = Buffer.concat([Buffer.from([1]), BYTES])
    expect(() => NO_KEYRING.open('acme', 'a', sealed)).toThrow(/set ENCRYPTION_MASTER_KEY/)
    expect(NO_KEYRING.open('acme', 'a', BYTES)).toBeUndefined()
  })
})
