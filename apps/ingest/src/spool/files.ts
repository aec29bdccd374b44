/**
 * What the spool asks of a file system: the seam at which the tests make disks fail.
 * Files are made for their owner only (0600), because payloads are private.
 */
import { constants, type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises'

export interface OpenFile {
  /** Writes all the bytes at `position`, or rejects; then any part of them may have been written. */
  write(buffers: readonly Buffer[], position: number): Promise<void>
  /** Resolves when what was written would survive a power cut (fdatasync). */
  sync(): Promise<void>
  truncate(size: number): Promise<void>
  close(): Promise<void>
}

export interface Files {
  /** Names in the directory, unordered. */
  list(directory: string): Promise<string[]>
  /** Opens for writing; `create` makes it new and rejects with EEXIST if it is there. */
  open(path: string, mode: 'create' | 'existing'): Promise<OpenFile>
  /** Bytes `from` to `to` (exclusive), or fewer where the file ends before. */
  read(path: string, from: number, to: number): Promise<Buffer>
  /** Bytes in the file. */
  size(path: string): Promise<number>
  rename(from: string, to: string): Promise<void>
  /** Removes the file; one that is not there is fine. */
  remove(path: string): Promise<void>
  /** Makes the names in the directory durable. */
  syncDirectory(path: string): Promise<void>
}

const PRIVATE_FILE = 0o600

export const systemFiles: Files = {
  list: (directory) => readdir(directory),
  open: async (path, mode) => {
    const create = mode === 'create' ? constants.O_CREAT | constants.O_EXCL : 0
    return openFile(await open(path, constants.O_RDWR | create, PRIVATE_FILE))
  },
  read: async (path, from, to) => {
    const handle = await open(path, 'r')
    try {
      const bytes = Buffer.allocUnsafe(to - from)
      let filled = 0
      while (filled < bytes.length) {
        const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, from + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return bytes.subarray(0, filled)
    } finally {
      await handle.close()
    }
  },
  size: async (path) => (await stat(path)).size,
  rename,
  remove: (path) => rm(path, { force: true }),
  syncDirectory: async (path) => {
    const handle = await open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
}

function openFile(handle: FileHandle): OpenFile {
  return {
    write: async (buffers, position) => {
      const { bytesWritten } = await handle.writev([...buffers], position)
      const total = buffers.reduce((sum, buffer) => sum + buffer.length, 0)
      if (bytesWritten === total) return
      // A short write is legal without an error; the rest tells why, or goes through.
      const rest = Buffer.concat(buffers).subarray(bytesWritten)
      let written = 0
      while (written < rest.length) {
        const at = position + bytesWritten + written
        const step = await handle.write(rest, written, rest.length - written, at)
        if (step.bytesWritten === 0) throw new Error('the file system took no bytes and gave no reason')
        written += step.bytesWritten
      }
    },
    sync: () => handle.datasync(),
    truncate: (size) => handle.truncate(size),
    close: () => handle.close(),
  }
}
