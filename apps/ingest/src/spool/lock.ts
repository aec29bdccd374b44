/**
 * One process per spool directory.
 *
 * Node has no flock. A file with a pid is unsound: pids repeat, mean nothing in another container's pid namespace,
 * and taking over a stale file races. SQLite, which is inside Node, takes kernel (fcntl) locks: the kernel drops
 * them however the process ends, they hold between containers that share a volume, and on NFS where it has locking.
 * So the lock is an exclusive transaction on an empty database, which is never written.
 */
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Fault, messageOf } from '@weir/core/faults'

const LOCK_NAME = 'lock'

export interface DirectoryLock {
  release(): void
}

/** Takes the directory, or throws Fault SPOOL_IO when another spool (of any process) has it. Never waits. */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const path = join(directory, LOCK_NAME)
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(path, { timeout: 0 })
    // In memory, so that no journal is written: taking the lock must work on a full disk too.
    database.exec('PRAGMA journal_mode = MEMORY')
    database.exec('BEGIN EXCLUSIVE')
    // Not through a file handle: closing one would drop every fcntl lock this process has on the file.
    await chmod(path, 0o600)
  } catch (error) {
    database?.close()
    throw new Fault('SPOOL_IO', `${refusal(error, directory)} (${messageOf(error)})`, { cause: error })
  }
  const held = database
  return { release: () => held.close() }
}

const SQLITE_BUSY = 5

function refusal(error: unknown, directory: string): string {
  if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY)
    return `another process uses the spool directory ${directory}; give each gateway a directory of its own`
  return `cannot lock the spool directory ${directory}; it must be writable and on a file system with locks`
}
