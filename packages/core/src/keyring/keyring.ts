/**
 * The keys of the tenants in one process: read from their place (key-store.ts), kept up with, and used to seal and open.
 *
 *   tenant unknown ──prepare──▶ its key found in the place, or made there ──▶ ready
 *   a key id unknown ──lookAgain──▶ found, or KEY_MISSING: whoever wanted it waits
 *   every `refreshMs`: rotated keys come, destroyed ones go
 *
 * While the place is away, what is known goes on to count; only tenants that are new have to wait. An entry that the place
 * has lost is brought back to it: a destroyed key leaves its id behind, so what is missing without a trace was lost.
 *
 * How keys are derived and bytes are sealed is @weir/security's business, which core does not import: it is handed in.
 */
import type { Clock } from '../clock.ts'
import { Fault, isFault, messageOf } from '../faults.ts'
import type { DestroyedKey, KeyNote, KeyStore, TenantKeys } from './key-store.ts'

/** A derived key; only the cipher looks inside. */
export interface CipherKey {
  readonly id: string
}

type KeptKey = Omit<KeyNote, 'at'>

export interface KeyCipher {
  /** Ids of the master keys that there are; the first one is for new keys. */
  readonly masters: readonly string[]
  create(tenant: string): { readonly kept: KeptKey; readonly key: CipherKey }
  derive(tenant: string, kept: KeptKey): CipherKey | 'no-master' | 'damaged'
  seal(key: CipherKey, belongs: string, bytes: Uint8Array): Buffer
  open(key: CipherKey, belongs: string, sealed: Buffer): Buffer | undefined
  keyOf(sealed: Buffer): string | undefined
}

/** What opens sealed bytes. */
export interface Opener {
  /**
   * @param belongs what they were sealed to belong to
   * @returns the plain bytes; undefined when they were changed, or belong to something else
   * Throws Fault KEY_MISSING (look again, or wait) or KEY_DESTROYED.
   */
  open(tenant: string, belongs: string, sealed: Buffer): Buffer | undefined
  /** Reads a tenant's entry anew. Never rejects: what is still missing shows at the next `open`. */
  lookAgain(tenant: string): Promise<void>
}

/** What seals bytes. */
export interface Sealing extends Opener {
  /** Whether something can be sealed for this tenant now. */
  ready(tenant: string): boolean
  /**
   * Finds or makes the key of a tenant. Throws Fault KEYRING_UNAVAILABLE, KEYRING_CORRUPT, or KEY_MISSING when there are keys but
   * none that this process has the master key of.
   */
  prepare(tenant: string): Promise<void>
  /** Throws Fault KEY_MISSING where it is not ready. */
  seal(tenant: string, belongs: string, bytes: Uint8Array): Buffer
  /** Whether the key that these bytes are sealed with is one that this tenant has now. */
  isCurrent(tenant: string, sealed: Buffer): boolean
}

export interface Keyring extends Sealing {
  /** Reads the place, and keeps up with it until `stop`. Resolves after the first look, also one that failed. */
  start(): Promise<void>
  stop(): Promise<void>
  /** Tenants with keys, none of which this process can derive, and why. */
  readonly closed: ReadonlyMap<string, string>
  readonly facts: {
    readonly tenants: number
    readonly keys: number
    /** Since the place was last read, ms; undefined = never. */
    readonly ageMs: number | undefined
  }
}

/** What an operator should hear of it. */
export type KeyringEvent =
  | { readonly kind: 'away'; readonly error: unknown }
  | { readonly kind: 'back' }
  | { readonly kind: 'made'; readonly tenant: string; readonly key: string }
  | { readonly kind: 'changed'; readonly tenant: string; readonly keys: number; readonly destroyed: number }
  /** The place has an earlier revision than it had. */
  | { readonly kind: 'went-back'; readonly tenant: string; readonly from: number; readonly to: number }
  /** The place had lost an entry. */
  | { readonly kind: 'restored'; readonly tenant: string }
  | { readonly kind: 'damaged'; readonly tenant: string; readonly error: unknown }
  /** There are keys, and none of them can be derived here. */
  | { readonly kind: 'closed'; readonly tenant: string; readonly why: string }

export interface KeyringOptions {
  readonly store: KeyStore
  readonly cipher: KeyCipher
  /** Tenants for which keys are made at most. */
  readonly maxTenants: number
  /** ms */
  readonly refreshMs: number
  readonly clock: Clock
  tell(event: KeyringEvent): void
}

/** How often somebody else may be faster in making a tenant's key. */
const MAX_TRIES = 5

interface Ring {
  readonly entry: TenantKeys
  readonly keys: ReadonlyMap<string, CipherKey>
  /** The one to seal with. */
  readonly writing: CipherKey | undefined
  /** Why a key of the entry is not among `keys`, by id. */
  readonly missing: ReadonlyMap<string, 'no-master' | 'damaged'>
}

export function createKeyring(options: KeyringOptions): Keyring {
  const { store, cipher, clock, tell } = options
  const rings = new Map<string, Ring>()
  const preparing = new Map<string, Promise<void>>()
  let readAt: number | undefined
  let reading: Promise<void> | undefined
  let away = false
  const damaged = new Set<string>()
  const stopped = new AbortController()
  let running: Promise<void> = Promise.resolve()

  function ringOf(entry: TenantKeys, before: Ring | undefined): Ring {
    const keys = new Map<string, CipherKey>()
    const missing = new Map<string, 'no-master' | 'damaged'>()
    let writing: CipherKey | undefined
    for (const note of entry.keys) {
      const key = before?.keys.get(note.id) ?? cipher.derive(entry.tenant, note)
      if (typeof key === 'string') missing.set(note.id, key)
      else {
        keys.set(note.id, key)
        writing = key
      }
    }
    return { entry, keys, writing, missing }
  }

  function adopt(entry: TenantKeys): Ring {
    const { tenant, revision } = entry
    const before = rings.get(tenant)
    if (before?.entry.revision === revision) return before
    const ring = ringOf(entry, before)
    rings.set(tenant, ring)
    if (before !== undefined) {
      if (revision < before.entry.revision)
        tell({ kind: 'went-back', tenant, from: before.entry.revision, to: revision })
      else tell({ kind: 'changed', tenant, keys: entry.keys.length, destroyed: entry.destroyed.length })
    }
    const why = whyClosed(ring)
    if (why !== undefined) tell({ kind: 'closed', tenant, why })
    return ring
  }

  /** What was read a moment ago may be older than what was made since. */
  async function adoptSeen(entry: TenantKeys): Promise<void> {
    const known = rings.get(entry.tenant)?.entry.revision ?? 0
    const now = entry.revision < known ? await store.read(entry.tenant) : entry
    if (now !== undefined) adopt(now)
  }

  async function read(): Promise<void> {
    const stored = await store.readAll()
    readAt = clock.monotonic()
    for (const entry of stored.tenants.values()) await adoptSeen(entry)
    for (const [tenant, error] of stored.damaged) {
      if (!damaged.has(tenant)) tell({ kind: 'damaged', tenant, error })
      damaged.add(tenant)
    }
    for (const tenant of stored.tenants.keys()) damaged.delete(tenant)
    for (const [tenant, { entry }] of rings) {
      if (stored.tenants.has(tenant) || stored.damaged.has(tenant)) continue
      const restored = { ...entry, revision: 1 }
      // When somebody else was faster, the next look finds it.
      if (!(await store.replace(restored))) continue
      tell({ kind: 'restored', tenant })
      rings.set(tenant, { ...(rings.get(tenant) as Ring), entry: restored })
    }
  }

  async function lookAt(tenant: string): Promise<void> {
    const stored = await store.read(tenant)
    if (stored !== undefined) adopt(stored)
  }

  /** One at a time; who comes meanwhile waits for the one that runs. */
  function readOnce(): Promise<void> {
    reading ??= read().finally(() => {
      reading = undefined
    })
    return reading
  }

  async function quietly(work: Promise<void>): Promise<void> {
    try {
      await work
      if (away) tell({ kind: 'back' })
      away = false
    } catch (error) {
      if (!isFault(error)) throw error
      if (!away) tell({ kind: 'away', error })
      away = true
    }
  }

  async function keepUp(): Promise<void> {
    while (!stopped.signal.aborted) {
      await clock.wait(options.refreshMs, stopped.signal)
      if (!stopped.signal.aborted) await quietly(readOnce())
    }
  }

  async function make(tenant: string): Promise<void> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const stored = await store.read(tenant)
      if (stored !== undefined) {
        const ring = adopt(stored)
        if (ring.writing !== undefined) return
        const why = whyClosed(ring)
        if (why !== undefined) throw new Fault('KEY_MISSING', `tenant ${tenant}: ${why}`)
      } else if (rings.size >= options.maxTenants) {
        throw new Fault(
          'KEYRING_UNAVAILABLE',
          `the keyring has keys of ${rings.size} tenants, and none is made for ${tenant}: see webhook.security.keyring_max_tenants`,
        )
      }
      const { kept } = cipher.create(tenant)
      const next: TenantKeys = {
        tenant,
        revision: (stored?.revision ?? 0) + 1,
        keys: [{ ...kept, at: clock.now() }],
        destroyed: stored?.destroyed ?? [],
      }
      if (!(await store.replace(next))) continue
      adopt(next)
      tell({ kind: 'made', tenant, key: kept.id })
      return
    }
    throw new Fault(
      'KEYRING_UNAVAILABLE',
      `keyring ${store.place}: others kept changing the entry of ${tenant}`,
    )
  }

  const keyring: Keyring = {
    async start() {
      await quietly(readOnce())
      running = keepUp()
    },
    async stop() {
      stopped.abort()
      await running
      await reading?.catch(() => undefined) // who began it was told
      await store.close()
    },
    ready: (tenant) => rings.get(tenant)?.writing !== undefined,
    prepare(tenant) {
      let work = preparing.get(tenant)
      if (work === undefined) {
        work = make(tenant).finally(() => preparing.delete(tenant))
        preparing.set(tenant, work)
      }
      return work
    },
    seal(tenant, belongs, bytes) {
      const key = rings.get(tenant)?.writing
      if (key === undefined) throw new Fault('KEY_MISSING', `tenant ${tenant} has no key yet`)
      return cipher.seal(key, belongs, bytes)
    },
    isCurrent(tenant, sealed) {
      const id = cipher.keyOf(sealed)
      return id !== undefined && rings.get(tenant)?.keys.has(id) === true
    },
    open(tenant, belongs, sealed) {
      const id = cipher.keyOf(sealed)
      if (id === undefined) return undefined
      const ring = rings.get(tenant)
      const key = ring?.keys.get(id)
      if (key === undefined) throw noKey(tenant, id, ring)
      return cipher.open(key, belongs, sealed)
    },
    lookAgain: (tenant) => quietly(lookAt(tenant)),
    get closed() {
      const closed = new Map<string, string>()
      for (const [tenant, ring] of rings) {
        const why = whyClosed(ring)
        if (why !== undefined) closed.set(tenant, why)
      }
      return closed
    },
    get facts() {
      let keys = 0
      for (const { entry } of rings.values()) keys += entry.keys.length
      const ageMs = readAt === undefined ? undefined : clock.monotonic() - readAt
      return { tenants: rings.size, keys, ageMs }
    },
  }

  function noKey(tenant: string, id: string, ring: Ring | undefined): Fault {
    const gone = ring?.entry.destroyed.find((key: DestroyedKey) => key.id === id)
    if (gone !== undefined) {
      const when = new Date(gone.at).toISOString()
      return new Fault('KEY_DESTROYED', `key ${id} of tenant ${tenant} was destroyed at ${when}`)
    }
    const why = ring?.missing.get(id)
    const master = ring?.entry.keys.find((key) => key.id === id)?.master
    if (why === 'no-master')
      return new Fault('KEY_MISSING', `key ${id} of tenant ${tenant}: ${noMaster(master)}`)
    return new Fault(
      'KEY_MISSING',
      `key ${id} of tenant ${tenant} is ${why === 'damaged' ? 'damaged' : 'not'} in the keyring ${store.place}; bring its entry back from a copy of the keyring; until then this waits`,
    )
  }

  /** Why nothing can be sealed although there are keys; undefined when something can, or there is none. */
  function whyClosed({ entry, writing, missing }: Ring): string | undefined {
    if (writing !== undefined || entry.keys.length === 0) return undefined
    const { id, master } = entry.keys.at(-1) as KeyNote
    return missing.get(id) === 'no-master'
      ? noMaster(master)
      : `its key ${id} is damaged in the keyring ${store.place}`
  }

  function noMaster(master: string | undefined): string {
    return `its master key ${master} is not configured here; add it as ENCRYPTION_PREVIOUS_MASTER_KEYS (this process has ${cipher.masters.join(', ')})`
  }

  return keyring
}

/** What sealed bytes begin with: the version of the envelope. */
const SEALED = 1

/** For a process that has no master key: it opens nothing, and says why. */
export const NO_KEYRING: Opener = {
  open(tenant, _belongs, sealed) {
    if (sealed[0] !== SEALED) return undefined
    throw new Fault(
      'KEY_MISSING',
      `something of tenant ${tenant} is encrypted, and this process has no master key; set ENCRYPTION_MASTER_KEY; until then it waits`,
    )
  },
  lookAgain: async () => undefined,
}

/** Tells a log what an operator should hear. */
export function keyringText(event: KeyringEvent): {
  readonly level: 'info' | 'warn' | 'error'
  readonly text: string
} {
  switch (event.kind) {
    case 'away':
      return {
        level: 'error',
        text: `the keyring cannot be read: ${messageOf(event.error)}; what is known of it goes on to count`,
      }
    case 'back':
      return { level: 'info', text: 'the keyring is read again' }
    case 'made':
      return { level: 'info', text: `a key was made for tenant ${event.tenant}` }
    case 'changed':
      return { level: 'info', text: `the keys of tenant ${event.tenant} were changed` }
    case 'went-back':
      return {
        level: 'error',
        text: `the keyring went back from revision ${event.from} to ${event.to} of tenant ${event.tenant}; was an old copy put in its place? Destroyed keys may be in it`,
      }
    case 'restored':
      return {
        level: 'error',
        text: `the keyring had lost the keys of tenant ${event.tenant}; they were brought back`,
      }
    case 'damaged':
      return { level: 'error', text: messageOf(event.error) }
    case 'closed':
      return { level: 'error', text: `tenant ${event.tenant}: ${event.why}` }
  }
}
