/**
 * Cards as they come out of Redis, opened and put into the index; and kept out of it once they cannot be opened any more.
 *
 * A process that searches holds what was opened. When a tenant's keys are destroyed, nobody shall read what they sealed, so
 * of each key one sealed card is kept as a probe: when it can no longer be opened, all cards of that key go.
 */
import { type Fault, isFault } from '@weir/core/faults'
import type { Opener } from '@weir/core/keyring/keyring'
import { SEAL_KEY_END } from '../hot-append.ts'
import { cardBelonging, decodeCard, outlineOf } from './card-bytes.ts'
import type { CardIndex } from './card-index.ts'
import type { StoredCard } from './card-store.ts'

export interface OpenedCards {
  /** Puts these into the index, or takes them out. */
  take(cards: readonly StoredCard[]): Promise<void>
  forget(id: string): void
  /** Tries again those whose key was missing, and lets those go whose key was destroyed. */
  review(): Promise<void>
  /** Whether a card that is in the index may be shown: its key was not destroyed, and is not missing. */
  mayShow(id: string): boolean
  /** Cards left out, by why. */
  readonly unreadable: ReadonlyMap<string, Fault>
}

interface Seal {
  readonly tenant: string
  readonly belongs: string
  readonly probe: Buffer
  readonly cards: Set<string>
}

export function createOpenedCards(index: CardIndex, opener: Opener): OpenedCards {
  const seals = new Map<string, Seal>()
  const sealOf = new Map<string, string>()
  const unreadable = new Map<string, Fault>()
  /** Those whose key was missing: they are tried again. */
  const waiting = new Map<string, Buffer>()

  function noteSeal(id: string, name: string, probe: () => Omit<Seal, 'cards'>): void {
    const before = sealOf.get(id)
    if (before === name) return
    leaveSeal(id)
    const seal = seals.get(name) ?? { ...probe(), cards: new Set() }
    seal.cards.add(id)
    seals.set(name, seal)
    sealOf.set(id, name)
  }

  function leaveSeal(id: string): void {
    const name = sealOf.get(id)
    const seal = name === undefined ? undefined : seals.get(name)
    sealOf.delete(id)
    seal?.cards.delete(id)
    if (name !== undefined && seal?.cards.size === 0) seals.delete(name)
  }

  function forget(id: string): void {
    index.remove(id)
    leaveSeal(id)
    unreadable.delete(id)
    waiting.delete(id)
  }

  /** The fault that keeps it out; undefined when it is in. */
  function put(id: string, bytes: Buffer): Fault | undefined {
    try {
      const card = decodeCard(id, bytes, opener)
      const { sealed, tenant, rest } = outlineOf(id, bytes)
      if (sealed) {
        const name = `${tenant} ${rest.toString('hex', 0, SEAL_KEY_END)}`
        noteSeal(id, name, () => ({ tenant, belongs: cardBelonging(id, tenant), probe: Buffer.from(rest) }))
      } else leaveSeal(id)
      index.put(card)
      unreadable.delete(id)
      waiting.delete(id)
      return undefined
    } catch (error) {
      if (!isFault(error)) throw error
      return error
    }
  }

  function leaveOut(id: string, bytes: Buffer, why: Fault): void {
    forget(id)
    unreadable.set(id, why)
    if (why.code === 'KEY_MISSING') waiting.set(id, bytes)
  }

  async function putAll(cards: ReadonlyMap<string, Buffer>): Promise<void> {
    const looked = new Set<string>()
    for (const [id, bytes] of cards) {
      let why = put(id, bytes)
      if (why?.code === 'KEY_MISSING') {
        const { tenant } = outlineOf(id, bytes)
        if (!looked.has(tenant)) await opener.lookAgain(tenant)
        looked.add(tenant)
        why = put(id, bytes)
      }
      if (why !== undefined) leaveOut(id, bytes, why)
    }
  }

  function faultOf({ tenant, belongs, probe }: Seal): Fault | undefined {
    try {
      opener.open(tenant, belongs, probe)
      return undefined
    } catch (error) {
      if (!isFault(error)) throw error
      return error
    }
  }

  return {
    async take(cards) {
      const there = new Map<string, Buffer>()
      for (const { id, bytes } of cards) {
        if (bytes === undefined) forget(id)
        else there.set(id, bytes)
      }
      await putAll(there)
    },
    forget,
    async review() {
      for (const seal of [...seals.values()]) {
        const why = faultOf(seal)
        if (why?.code !== 'KEY_DESTROYED') continue
        for (const id of [...seal.cards]) leaveOut(id, seal.probe, why)
      }
      await putAll(new Map(waiting))
    },
    mayShow(id) {
      const seal = seals.get(sealOf.get(id) ?? '')
      return seal === undefined || faultOf(seal) === undefined
    },
    unreadable,
  }
}
