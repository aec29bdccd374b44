/**
 * Keeps a flood of badly signed requests from eating the processor: what an address may cost us in vain is limited.
 *
 *   calm ──more than `failures` requests not believed within `period`──▶ guarded
 *   guarded ──`block` without another one──▶ forgotten
 *
 * A guarded address is not shut out: a good sender may share it (a proxy, a load balancer, NAT), GitHub never sends
 * an event again, and whoever could lock an address out by flooding from it would have a better weapon than the flood.
 * Only the work is rationed: so many of its requests a second are verified, and those that turn out well signed cost
 * nothing. The others are refused before their body is read: that costs a quarter of verifying 7 KB in vain, and no line of
 * log, which costs as much again. An address that has sent well-signed requests lately is believed to be shared and has a
 * larger ration. What the headers alone tell (a signature that is missing or malformed) is always answered: it costs as
 * little as this refusal, and takes no ration.
 *
 * Memory is bounded; to make room, the address that has failed longest ago is forgotten. Nobody gains by that: to have
 * himself forgotten, an attacker must fail from as many other addresses as there is room for, and wins `failures`.
 * An address without failures of its own is in no list and is never refused.
 */
import { type Problem, problem } from './problem.ts'

export interface FloodGuardOptions {
  /** Requests not believed, from one address within `periodMs`, from which on it is guarded; 0 = no guard at all. */
  readonly failures: number
  /** ms */
  readonly periodMs: number
  /** How long an address stays guarded after the last of them, ms. */
  readonly blockMs: number
  /** Requests of a guarded address that are verified, per second. */
  readonly verifications: number
  /** The same for one that has sent well-signed requests lately. */
  readonly knownVerifications: number
  /** Addresses remembered at once, of those that fail and of either generation of those that do not. */
  readonly maxAddresses?: number
  /** Monotonic, ms. */
  now(): number
  /** Told when an address comes to be guarded, and when that is over. */
  tell(flood: Flood): void
}

export interface Flood {
  readonly state: 'begins' | 'over'
  readonly network: string
  /** It has sent well-signed requests lately. */
  readonly known: boolean
  /** Requests while it was guarded: verified or looked at and not believed, and refused without. */
  readonly failed: number
  readonly refused: number
}

export interface FloodGuard {
  /** May this request be verified? Each true is followed by `believed`, `failed`, or (the sender left) nothing. */
  begin(network: string): boolean
  /** It was well signed. */
  believed(network: string): void
  /**
   * It was not. True while its address is guarded: what it does need not be told one by one.
   * @param bytes what was read and hashed in vain
   */
  failed(network: string, bytes: number): boolean
  /** Addresses remembered, the well-known ones too. */
  readonly size: number
  /** Addresses that are guarded now. */
  readonly guarded: number
}

interface Watched {
  /** Begin of the period that `failures` counts. */
  since: number
  failures: number
  /** When it ceases to be guarded; 0 = it is not. */
  until: number
  /** How many may be verified now. */
  ration: number
  rationAt: number
  failed: number
  refused: number
}

const MAX_ADDRESSES = 10_000
/** For how long a well-signed request speaks for its address, at least, ms. */
const KNOWN_MS = 24 * 3_600_000
/** A larger body costs as many rations as it has pieces of this size, bytes: hashing takes about 1 µs per KB. */
const RATION_BYTES = 64 * 1024
const SECOND_MS = 1000

const OFF: FloodGuard = {
  begin: () => true,
  believed: () => undefined,
  failed: () => false,
  size: 0,
  guarded: 0,
}

export function createFloodGuard(options: FloodGuardOptions): FloodGuard {
  const { failures: limit, periodMs, blockMs, now } = options
  if (limit === 0) return OFF
  const maxAddresses = options.maxAddresses ?? MAX_ADDRESSES
  /** The address that failed longest ago comes first. */
  const watched = new Map<string, Watched>()
  /** Addresses that sent well-signed requests, in two generations, so that forgetting the old ones costs nothing. */
  let known = new Set<string>()
  let knownBefore = new Set<string>()
  let knownSince = now()

  const isKnown = (network: string): boolean => known.has(network) || knownBefore.has(network)
  const rationOf = (network: string): number =>
    isKnown(network) ? options.knownVerifications : options.verifications
  const isOver = (entry: Watched, at: number): boolean =>
    at >= (entry.until === 0 ? entry.since + periodMs : entry.until)

  function nextGeneration(at: number): void {
    knownBefore = known
    known = new Set()
    knownSince = at
  }

  function forget(network: string, entry: Watched): void {
    watched.delete(network)
    if (entry.until !== 0) tell('over', network, entry)
  }

  function tell(state: Flood['state'], network: string, { failed, refused }: Watched): void {
    options.tell({ state, network, known: isKnown(network), failed, refused })
  }

  /** The entry of an address that failed just now, moved to the end of the order. */
  function touch(network: string, at: number): Watched {
    const before = watched.get(network)
    if (before !== undefined) {
      if (isOver(before, at)) forget(network, before)
      else {
        watched.delete(network)
        watched.set(network, before)
        return before
      }
    }
    const entry = { since: at, failures: 0, until: 0, ration: 0, rationAt: at, failed: 0, refused: 0 }
    watched.set(network, entry)
    for (const [oldest, each] of watched) {
      if (watched.size <= maxAddresses && !isOver(each, at)) break
      forget(oldest, each)
    }
    return entry
  }

  function refill(entry: Watched, most: number, at: number): void {
    entry.ration = Math.min(most, entry.ration + ((at - entry.rationAt) / SECOND_MS) * most)
    entry.rationAt = at
  }

  return {
    begin(network) {
      if (watched.size === 0) return true
      const entry = watched.get(network)
      if (entry === undefined || entry.until === 0) return true
      const at = now()
      if (isOver(entry, at)) {
        forget(network, entry)
        return true
      }
      refill(entry, rationOf(network), at)
      if (entry.ration < 1) {
        entry.refused++
        return false
      }
      entry.ration--
      return true
    },
    believed(network) {
      if (!known.has(network)) {
        if (known.size >= maxAddresses) nextGeneration(now())
        known.add(network)
      }
      if (watched.size === 0) return
      const entry = watched.get(network)
      if (entry !== undefined && entry.until !== 0) entry.ration++
    },
    failed(network, bytes) {
      // A connection that is gone: nobody to be guarded against.
      if (network === '') return false
      const at = now()
      if (at - knownSince > KNOWN_MS) nextGeneration(at)
      const entry = touch(network, at)
      if (entry.until === 0) {
        entry.failures++
        if (entry.failures <= limit) return false
        entry.ration = rationOf(network)
        entry.rationAt = at
        entry.until = at + blockMs
        entry.failed = entry.failures
        tell('begins', network, entry)
        return true
      }
      entry.until = at + blockMs
      entry.failed++
      // In debt for a second at most: a good sender at the same address waits for it too.
      const most = rationOf(network)
      refill(entry, most, at)
      entry.ration = Math.max(-most, entry.ration - Math.floor(bytes / RATION_BYTES))
      return true
    },
    get size() {
      return watched.size + known.size + knownBefore.size
    },
    get guarded() {
      const at = now()
      let count = 0
      for (const entry of watched.values()) if (entry.until > at) count++
      return count
    },
  }
}

/** @param status what makes this sender try again */
export function floodProblem(blockMs: number, status: number): Problem {
  const seconds = Math.max(1, Math.ceil(blockMs / SECOND_MS))
  return problem(
    'SIGNATURE_FLOOD',
    `Too many requests of this address were badly signed, so this one was not looked at; sign them with the right secret, and send it again after ${seconds} s.`,
    ['Retry-After', String(seconds)],
    status,
  )
}
