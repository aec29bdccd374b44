/**
 * How far the spool is drained: everything in older segments, and in `segment` everything before `offset`.
 *
 * The file has two slots in different blocks, written in turn and synced: a crash in the middle of a write leaves
 * the other slot, whose position is one batch older (its events are offered again, and admission recognises
 * them). Overwriting in place rather than renaming a new file over the old one takes no new space, so that a full
 * disk can still be drained.
 */
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Files, OpenFile } from './files.ts'
import { SEGMENT_HEADER_BYTES, type Seeds } from './format.ts'

const CURSOR_NAME = 'cursor'
/** Distance of the two slots: a block, so that one bad block leaves the other slot. */
const SLOT_SPACING = 4096
const SLOT_BYTES = 44
const MAGIC = Buffer.from('WEIRCUR1', 'latin1')

export interface Position {
  readonly segment: number
  readonly offset: number
}

export interface Cursor {
  readonly position: Position
  readonly seeds: Seeds
  /** Resolves when the position is durable. Rejects with the error of the file system; then the old one holds. */
  move(position: Position): Promise<void>
  close(): Promise<void>
}

export interface OpenedCursor {
  readonly cursor: Cursor
  /** `new`: there was no file. `unreadable`: there was one without a sound slot; draining starts over. */
  readonly found: 'new' | 'sound' | 'unreadable'
}

interface Slot {
  readonly turn: number
  readonly position: Position
  readonly seeds: Seeds
}

/** Opens the directory's cursor, making one when there is none. `fresh` are the seeds for a new one. */
export async function openCursor(directory: string, files: Files, fresh: Seeds): Promise<OpenedCursor> {
  const path = join(directory, CURSOR_NAME)
  const exists = (await files.list(directory)).includes(CURSOR_NAME)
  const bytes = exists ? await files.read(path, 0, SLOT_SPACING + SLOT_BYTES) : Buffer.alloc(0)
  const slots = [decodeSlot(bytes, 0), decodeSlot(bytes, SLOT_SPACING)]
  const newest = slots.reduce((a, b) => (b !== undefined && (a === undefined || b.turn > a.turn) ? b : a))
  const state = newest ?? { turn: 0, position: { segment: 0, offset: SEGMENT_HEADER_BYTES }, seeds: fresh }
  const file = await files.open(path, exists ? 'existing' : 'create')
  if (newest === undefined) {
    try {
      // Both slots at once: from here on no write needs new space.
      const slot = encodeSlot(state)
      await file.write([slot, Buffer.alloc(SLOT_SPACING - SLOT_BYTES), slot], 0)
      await file.sync()
      await files.syncDirectory(directory)
    } catch (error) {
      await file.close()
      throw error
    }
  }
  const cursor = createCursor(file, state)
  return { cursor, found: newest !== undefined ? 'sound' : bytes.length === 0 ? 'new' : 'unreadable' }
}

function createCursor(file: OpenFile, initial: Slot): Cursor {
  let state = initial
  return {
    get position() {
      return state.position
    },
    seeds: initial.seeds,
    move: async (position) => {
      const next: Slot = { turn: state.turn + 1, position, seeds: state.seeds }
      await file.write([encodeSlot(next)], (next.turn % 2) * SLOT_SPACING)
      await file.sync()
      state = next
    },
    close: () => file.close(),
  }
}

function encodeSlot(slot: Slot): Buffer {
  const bytes = Buffer.alloc(SLOT_BYTES)
  MAGIC.copy(bytes)
  bytes.writeBigUInt64LE(BigInt(slot.turn), 8)
  bytes.writeBigUInt64LE(BigInt(slot.position.segment), 16)
  bytes.writeBigUInt64LE(BigInt(slot.position.offset), 24)
  bytes.writeUInt32LE(slot.seeds.header, 32)
  bytes.writeUInt32LE(slot.seeds.payload, 36)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 40)), 40)
  return bytes
}

function decodeSlot(file: Buffer, from: number): Slot | undefined {
  const bytes = file.subarray(from, from + SLOT_BYTES)
  if (bytes.length < SLOT_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return undefined
  if (crc32(bytes.subarray(0, 40)) !== bytes.readUInt32LE(40)) return undefined
  return {
    turn: Number(bytes.readBigUInt64LE(8)),
    position: {
      segment: Number(bytes.readBigUInt64LE(16)),
      offset: Number(bytes.readBigUInt64LE(24)),
    },
    seeds: { header: bytes.readUInt32LE(32), payload: bytes.readUInt32LE(36) },
  }
}
