/** What the commands about encryption keys share: reading the keyring, what its keys are good for here, and asking. */
import type { Config } from '@weir/core/config/schema'
import { messageOf } from '@weir/core/faults'
import type { DestroyedKey, KeyNote, KeyStore, StoredKeys, TenantKeys } from '@weir/core/keyring/key-store'
import type { KeyCipher } from '@weir/core/keyring/keyring'
import type { TenantUses } from '@weir/core/view/sealed-counts'
import type { Invocation } from './command.ts'
import { CommandFailure, FAILED, NEGATIVE } from './exit.ts'
import type { Io } from './io.ts'
import type { Session } from './session.ts'
import { counted } from './text.ts'

export interface OpenKeyring {
  readonly store: KeyStore
  /** undefined without a master key. */
  readonly cipher: KeyCipher | undefined
  /** As it was at the beginning. */
  readonly stored: StoredKeys
}

/** Opens the keyring that is configured, runs `use`, and closes it. No Redis of events is needed. */
export async function withKeyring<T>(config: Config, use: (keyring: OpenKeyring) => Promise<T>): Promise<T> {
  const { configuredCipher, configuredStore } = await import('@weir/core/keyring/configured')
  const { createTenantCipher } = await import('@weir/security/tenant-cipher')
  const cipher = configuredCipher(config, createTenantCipher)
  let problem: Error | undefined
  const { store } = configuredStore(config, `webhook-cli:${process.pid}-keyring`, (error) => {
    problem = error
  })
  try {
    const stored = await store.readAll().catch((cause: unknown) => {
      if (problem === undefined) throw cause
      throw new CommandFailure(`${messageOf(cause)} (${problem.message})`, FAILED, { cause })
    })
    return await use({ store, cipher, stored })
  } finally {
    await store.close()
  }
}

/** The keyring of a session, with notes about its place where that is not a good one. */
export async function withSessionKeyring<T>(
  { config, encryption, partitions }: Session,
  io: Io,
  use: (keyring: OpenKeyring) => Promise<T>,
): Promise<T> {
  if (encryption === undefined) return withKeyring(config, use)
  const { store, cipher } = encryption
  const stored = await store.readAll()
  for (const warning of await encryption.vet(partitions[0].link)) io.err(`note: ${warning}\n`)
  return use({ store, cipher, stored })
}

export interface KeyStanding extends KeyNote {
  /** Whether its master key is configured here. */
  readonly hasMaster: boolean
  /** It is not the key that its id says. */
  readonly damaged: boolean
  /** New events are encrypted with it: the last one that can be derived here; without any master key, the last one. */
  readonly writing: boolean
}

export interface TenantStanding {
  readonly tenant: string
  /** In the order in which they were made. */
  readonly keys: readonly KeyStanding[]
  readonly destroyed: readonly DestroyedKey[]
  /** There are keys, and none that can be derived here. */
  readonly closed: boolean
}

export function standingOf(
  { tenant, keys, destroyed }: TenantKeys,
  cipher: KeyCipher | undefined,
): TenantStanding {
  const found = keys.map((note) => {
    const derived = cipher?.derive(tenant, note) ?? 'no-master'
    return { ...note, hasMaster: derived !== 'no-master', damaged: derived === 'damaged' }
  })
  const usable = found.findLastIndex(({ hasMaster, damaged }) => hasMaster && !damaged)
  const writing = cipher === undefined ? found.length - 1 : usable
  return {
    tenant,
    keys: found.map((key, at) => ({ ...key, writing: at === writing })),
    destroyed,
    closed: found.length > 0 && usable === -1,
  }
}

/** The entries to work on, by tenant's name. Throws a CommandFailure when the one that is asked for is not there, or its Fault. */
export function chosenEntries(
  { store, stored }: OpenKeyring,
  tenant: string | undefined,
): readonly TenantKeys[] {
  if (tenant === undefined) return [...stored.tenants.values()].sort((a, b) => (a.tenant < b.tenant ? -1 : 1))
  const damaged = stored.damaged.get(tenant)
  if (damaged !== undefined) throw damaged
  const entry = stored.tenants.get(tenant)
  if (entry === undefined)
    throw new CommandFailure(
      `tenant ${tenant} is not in the keyring ${store.place}: nothing was ever encrypted for it.`,
      NEGATIVE,
    )
  return [entry]
}

/** How many keys depend on each configured master key, the one for new keys first. */
export interface MasterDocument {
  readonly id: string
  readonly for_new_keys: boolean
  readonly keys: number
}

export function masterDocuments(stored: StoredKeys, cipher: KeyCipher | undefined): MasterDocument[] {
  const keys = [...stored.tenants.values()].flatMap((entry) => entry.keys)
  return (cipher?.masters ?? []).map((id, at) => ({
    id,
    for_new_keys: at === 0,
    keys: keys.filter(({ master }) => master === id).length,
  }))
}

/** What one key, or none, is used for by one tenant. */
export interface KeyUses extends TenantUses {
  /** Contexts in which something is encrypted with it. */
  readonly contexts: number
}

export interface UsesDocument {
  readonly entries: number
  readonly parked: number
  readonly dead_letters: number
  readonly dictionaries: number
  readonly contexts: number
}

/** What these have in common, as one. A context that several keys are needed for counts once for each. */
export function usesDocument(uses: readonly KeyUses[]): UsesDocument {
  const sum = (what: (each: KeyUses) => number) => uses.reduce((total, each) => total + what(each), 0)
  return {
    entries: sum(({ entries }) => entries),
    parked: sum(({ parked }) => parked),
    dead_letters: sum(({ deadLetters }) => deadLetters),
    dictionaries: sum(({ dictionaries }) => dictionaries),
    contexts: sum(({ contexts }) => contexts),
  }
}

/** `2 stream entries, 1 parked event`; '' for none. */
export function usesText(uses: UsesDocument): string {
  const { entries, parked, dead_letters: dead, dictionaries, contexts } = uses
  const parts = [
    entries > 0 && `${entries} stream ${entries === 1 ? 'entry' : 'entries'}`,
    parked > 0 && counted(parked, 'parked event'),
    dead > 0 && counted(dead, 'dead letter'),
    dictionaries > 0 && `${dictionaries} ${dictionaries === 1 ? 'dictionary' : 'dictionaries'}`,
    contexts > 0 && counted(contexts, 'context'),
  ]
  return parts.filter((part) => part !== false).join(', ')
}

export interface CountingOptions {
  readonly signal: AbortSignal
  /** Shows how far it is; undefined where that is not wanted. */
  readonly progress?: Invocation<object>['progress']
  /** Keys that count as the first of them. */
  readonly asOne?: readonly string[]
}

/** What is encrypted with each key. Rejects with a CommandFailure when it was stopped before the end. */
export async function countedUses(
  { partitions, contexts }: Pick<Session, 'partitions' | 'contexts'>,
  { signal, progress, asOne = [] }: CountingOptions,
): Promise<readonly KeyUses[]> {
  const { countSealed } = await import('@weir/core/view/sealed-counts')
  const { countSealedContexts } = await import('@weir/context-lifecycle/sealed-uses')
  const { sealedWith } = await import('@weir/security/envelope')
  const keyOf = (sealed: Buffer): string | undefined => {
    const key = sealedWith(sealed)
    return key !== undefined && asOne.includes(key) ? asOne[0] : key
  }
  const { places } = await contexts()
  const recordsBar = progress?.('records')
  const records = await countSealed(partitions, keyOf, signal, recordsBar?.show).finally(recordsBar?.end)
  // After the streams, the way that events go: one that comes into its context meanwhile is counted twice, not missed.
  const contextsBar = progress?.('contexts')
  const remembered = await countSealedContexts(places, keyOf, signal, contextsBar?.show).finally(
    contextsBar?.end,
  )
  if (!records.complete || !remembered.complete)
    throw new CommandFailure('stopped before everything was counted; nothing was changed.', NEGATIVE)
  const none = { entries: 0, parked: 0, deadLetters: 0, dictionaries: 0 }
  return [
    ...records.uses.map((each) => ({ ...each, contexts: 0 })),
    ...remembered.uses.map((each) => ({ ...none, ...each })),
  ]
}
