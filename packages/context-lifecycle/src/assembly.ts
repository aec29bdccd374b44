/** Contexts and what moves them, put together from their parts. */
import type { Clock } from '@weir/core/clock'
import type { DictionarySet } from '@weir/core/dictionaries'
import { Fault } from '@weir/core/faults'
import { NO_KEYRING, type Sealing } from '@weir/core/keyring/keyring'
import { createPacker, createUnpacker } from '@weir/core/packing'
import type { Partition } from '@weir/core/partition'
import type { ColdStore } from './cold/cold-store.ts'
import { withDeadline } from './cold/deadline.ts'
import type { ContextId } from './context-id.ts'
import type { ContextPlace } from './context-place.ts'
import { type Contexts, createContexts } from './contexts.ts'
import type { AccessNotes } from './hot-append.ts'
import { type Archive, createArchive } from './tiers/archive.ts'
import { createLibrary, type Library } from './tiers/library.ts'
import { createMover, type Mover } from './tiers/mover.ts'
import { createReader } from './tiers/reader.ts'
import { createSegmentCodec, type SegmentCodec } from './tiers/segment.ts'

export interface AssemblyOptions {
  /** Every shard, in their order. */
  readonly places: readonly [ContextPlace, ...ContextPlace[]]
  placeOf(id: ContextId): ContextPlace
  /** Where compression dictionaries are published. */
  readonly home: Pick<Partition, 'link' | 'keys'>
  readonly dictionaries: DictionarySet
  /** Learned dictionaries used at most. */
  readonly maxLearned: number
  /** For what is encrypted; undefined without a master key. */
  readonly keyring: Sealing | undefined
  /** Whether what is written is. */
  readonly encrypts: boolean
  /** The id of the key that bytes are sealed with; undefined for what is not sealed. */
  keyOf(sealed: Buffer): string | undefined
  /** Opens cold storage when it is first needed. */
  store(): Promise<ColdStore>
  /** zstd level of hot records, and of segments. */
  readonly hotLevel: number
  readonly warmLevel: number
  /** The largest record of an event, unpacked, bytes. */
  readonly maxRecordBytes: number
  readonly clock: Clock
  /** Whoever reads a cold context waits so long for an object, ms. */
  readonly coldReadMs: number
  /** The most content of a segment that holds several events, bytes. */
  readonly segmentBytes: number
  /** How accesses are noted for prewarming; default: they are not. */
  readonly accessNotes?: AccessNotes | undefined
}

export interface Assembly {
  readonly contexts: Contexts
  /** Moves them between the tiers. */
  readonly mover: Mover
  readonly archive: Archive
  readonly library: Library
  readonly codec: SegmentCodec
}

const NEVER = new AbortController().signal

export function assembleContexts(options: AssemblyOptions): Assembly {
  const { placeOf, dictionaries, keyring, encrypts, segmentBytes, maxRecordBytes, keyOf, accessNotes } =
    options
  const opener = keyring ?? NO_KEYRING
  const library = createLibrary({ ...options, opener })
  const codec = createSegmentCodec({
    dictionaries,
    level: options.warmLevel,
    packer: createPacker(dictionaries, options.hotLevel),
    unpacker: createUnpacker(dictionaries, { maxBytes: maxRecordBytes, opener }),
    maxBytes: segmentBytes + maxRecordBytes,
    opener,
    sealing: keyring,
    encrypts,
  })
  const archive = createArchive({ store: options.store, dictionaries })
  const { clock, coldReadMs } = options
  const late = () =>
    new Fault('COLD_UNAVAILABLE', `cold storage gave no object within ${coldReadMs} ms; ask again later`)
  const reader = createReader({
    placeOf,
    codec,
    library,
    archive: {
      // Movers have the patience of cold storage itself, with its retries; who reads has not.
      fetch: (ref) => withDeadline(clock, coldReadMs, late, NEVER, (signal) => archive.fetch(ref, signal)),
    },
    opener: keyring,
  })
  return {
    contexts: createContexts({ places: options.places, placeOf, keyring, encrypts, reader, accessNotes }),
    mover: createMover({ placeOf, codec, library, archive, keyring, encrypts, segmentBytes, keyOf }),
    archive,
    library,
    codec,
  }
}
