/**
 * Cold storage in a directory: an object's name is its path below it. An object is written beside the others and then given
 * its name:
 *
 *   `~new/<uuid>` written, fsynced ──rename──▶ under its name ──fsync of every directory up to the root──▶ durable
 *
 * `~` is in no name, so nobody takes a draft for an object, and rename(2) replaces a name in one step: readers see the earlier
 * object or the new one. A killed process leaves drafts behind, which the next process to open the directory removes when
 * they are old: several processes share it, and a young draft is another one's work.
 *
 * A delete removes directories that it leaves empty, so that nothing of an erased tenant stays, not even its name. A put that
 * meets this finds its directory gone and makes it again.
 */
import { randomUUID } from 'node:crypto'
import type { Dirent } from 'node:fs'
import * as systemFiles from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Clock } from '@weir/core/clock'
import { Fault, isFault, messageOf } from '@weir/core/faults'
import {
  byName,
  type ColdObject,
  type ColdStore,
  checkBeginning,
  checkName,
  isSegment,
} from './cold-store.ts'

/** What is asked of the file system: the seam at which tests make disks fail and processes meet. */
export type ColdFiles = Pick<
  typeof systemFiles,
  'mkdir' | 'open' | 'readFile' | 'readdir' | 'rename' | 'rmdir' | 'stat' | 'unlink'
>

export interface DirectoryStoreDeps {
  readonly clock: Clock
  readonly files?: ColdFiles
}

const PRIVATE_DIRECTORY = 0o700
const PRIVATE_FILE = 0o600
const DRAFTS = '~new'
/** A draft this old, ms, has no writer any more: objects are small, and fsync has its say within minutes. */
const OLD_DRAFT_MS = 3_600_000
/** How often a put makes its directory again because a delete removed it as empty. */
const TRIES = 20

const FULL = new Set(['ENOSPC', 'EDQUOT'])
/** Errors that stay until somebody changes something. */
const FORBIDDEN = new Set(['EACCES', 'EPERM', 'EROFS', 'ELOOP', 'ENAMETOOLONG'])
const IN_THE_WAY = new Set(['ENOTDIR', 'EISDIR', 'EEXIST'])

/** The directory is made when something is first put; until then it is empty. */
export function createDirectoryStore(directory: string, deps: DirectoryStoreDeps): ColdStore {
  const { clock, files = systemFiles } = deps
  const root = resolve(directory)
  const drafts = join(root, DRAFTS)
  const pathOf = (name: string): string => join(root, ...name.split('/'))

  /** Does `work` on a path, or throws the fault that says what is wrong with it. */
  const attempt = async <T>(what: string, path: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (cause) {
      if (isFault(cause)) throw cause
      throw faultOf(cause, `cold storage: ${path} could not be ${what}`)
    }
  }

  /** False when it is gone, with nothing in it. */
  const syncDirectory = (path: string): Promise<boolean> =>
    attempt('synced', path, async () => {
      const opened = await unlessGone(files.open(path, 'r'))
      if (opened === undefined) return false
      try {
        await opened.sync()
        return true
      } finally {
        await opened.close()
      }
    })

  /** The directories from this one up to the root. */
  const upToRoot = (path: string): string[] => (path === root ? [root] : [path, ...upToRoot(dirname(path))])

  const makeDirectory = (path: string): Promise<void> =>
    attempt('made', path, async () => {
      // ENOENT: what is above it was removed as empty meanwhile; whoever needs it finds that out.
      const made = await unlessGone(files.mkdir(path, { recursive: true, mode: PRIVATE_DIRECTORY })).catch(
        async (error: unknown) => {
          // Node says ENOTDIR also for a directory that was removed between two of its steps.
          if (codeOf(error) === 'ENOTDIR' && !(await isFileInTheWay(path))) return undefined
          throw error
        },
      )
      if (made === undefined || !root.startsWith(made)) return
      // The root itself is new: its name must be on the disk as well.
      for (let above = root; above !== dirname(made); ) {
        above = dirname(above)
        await syncDirectory(above)
      }
    })

  const isFileInTheWay = async (path: string): Promise<boolean> => {
    for (const each of upToRoot(path)) {
      const found = await unlessGone(files.stat(each)).catch((error: unknown) => {
        if (codeOf(error) === 'ENOTDIR') return undefined // what is above it is looked at next
        throw error
      })
      if (found !== undefined) return !found.isDirectory()
    }
    return false
  }

  const removeOldDrafts = async (): Promise<void> => {
    for (const entry of await entriesOf(drafts)) {
      const path = join(drafts, entry.name)
      await attempt('removed', path, async () => {
        const found = await unlessGone(files.stat(path))
        if (found !== undefined && clock.now() - found.mtimeMs > OLD_DRAFT_MS)
          await unlessGone(files.unlink(path))
      })
    }
  }
  let cleaned: Promise<void> | undefined
  /** Once; again after it has failed. It is housekeeping, so its fault is not that of whoever comes first. */
  const clean = (): Promise<void> => {
    cleaned ??= removeOldDrafts().catch(() => {
      cleaned = undefined
    })
    return cleaned
  }

  /**
   * Everything in a directory; none when there is no such directory. Looked at twice: some file systems (Btrfs) replace a
   * name by removing and adding it, and who reads the directory meanwhile may see neither.
   */
  const entriesOf = (path: string): Promise<Dirent[]> =>
    attempt('listed', path, async () => {
      const look = async () => (await unlessGone(files.readdir(path, { withFileTypes: true }))) ?? []
      const found = [...(await look()), ...(await look())]
      return [...new Map(found.map((entry) => [entry.name, entry])).values()]
    })

  const writeDraft = async (path: string, bytes: Buffer, signal: AbortSignal | undefined): Promise<void> => {
    const opened = await files.open(path, 'wx', PRIVATE_FILE)
    try {
      await opened.writeFile(bytes, { signal })
      await opened.sync()
    } finally {
      await opened.close()
    }
  }

  /** False when the directory was removed meanwhile. */
  const publish = async (draft: string, path: string): Promise<boolean> => {
    await makeDirectory(dirname(path))
    return (await unlessGone(files.rename(draft, path).then(() => true))) ?? false
  }

  const walk = async function* (
    path: string,
    above: string,
    prefix: string,
    after: string,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ColdObject> {
    signal?.throwIfAborted()
    const found = (await entriesOf(path))
      .filter((entry) => isSegment(entry.name) && (entry.isFile() || entry.isDirectory()))
      // Names in a directory go on with `/`, which comes after `-` and `.`: that decides where they stand.
      .map((entry) => ({ entry, name: `${above}${entry.name}${entry.isDirectory() ? '/' : ''}` }))
      .sort((a, b) => byName(a.name, b.name))
    for (const { entry, name } of found) {
      if (entry.isDirectory()) {
        if (!name.startsWith(prefix) && !prefix.startsWith(name)) continue
        if (name < after && !after.startsWith(name)) continue
        yield* walk(join(path, entry.name), name, prefix, after, signal)
      } else if (name.startsWith(prefix) && name > after) {
        signal?.throwIfAborted()
        const file = join(path, entry.name)
        const known = await attempt('looked at', file, () => unlessGone(files.stat(file)))
        if (known !== undefined) yield { name, bytes: known.size }
      }
    }
  }

  return {
    place: directory,
    async put(name, bytes, signal) {
      checkName(name)
      signal?.throwIfAborted()
      await clean()
      const path = pathOf(name)
      const draft = join(drafts, randomUUID())
      await makeDirectory(drafts)
      try {
        await attempt('written', path, async () => {
          await writeDraft(draft, bytes, signal)
          signal?.throwIfAborted()
          for (let tries = 1; !(await publish(draft, path)); tries++) {
            if (tries === TRIES)
              throw new Fault(
                'COLD_UNAVAILABLE',
                `cold storage: the directory of ${path} was removed ${TRIES} times while it was being written`,
              )
          }
        })
      } catch (error) {
        await unlessGone(files.unlink(draft)).catch(() => undefined) // goes as an old draft
        signal?.throwIfAborted()
        throw error
      }
      // Others may have made these directories a moment ago, so all of them, whoever made them.
      for (const each of upToRoot(dirname(path))) await syncDirectory(each)
    },
    async get(name, signal) {
      checkName(name)
      signal?.throwIfAborted()
      const path = pathOf(name)
      try {
        return await attempt('read', path, () => unlessNone(files.readFile(path, { signal })))
      } catch (error) {
        signal?.throwIfAborted()
        throw error
      }
    },
    async delete(name, signal) {
      checkName(name)
      signal?.throwIfAborted()
      const path = pathOf(name)
      await attempt('removed', path, () => unlessNone(files.unlink(path)))
      for (const each of upToRoot(dirname(path))) {
        const removed = each !== root && (await attempt('removed', each, () => removedEmpty(files, each)))
        // The lowest that is left has lost a name, which must not come back after a power cut.
        if (!removed && (await syncDirectory(each))) return
      }
    },
    async *list(prefix, after = '', signal) {
      checkBeginning(prefix)
      checkBeginning(after)
      await clean()
      yield* walk(root, '', prefix, after, signal)
    },
    close: () => undefined,
  }
}

/** True when the directory is gone, or was empty and is gone now. */
async function removedEmpty(files: ColdFiles, path: string): Promise<boolean> {
  try {
    await unlessGone(files.rmdir(path))
    return true
  } catch (error) {
    // ENOTDIR: an object lies where the name of this one has a directory.
    if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(codeOf(error))) return false
    throw error
  }
}

function faultOf(cause: unknown, what: string): Fault {
  const code = codeOf(cause)
  if (FULL.has(code))
    return new Fault('COLD_UNAVAILABLE', `${what}: the disk is full (${code}); make room on it`, { cause })
  if (IN_THE_WAY.has(code))
    return new Fault(
      'COLD_REFUSED',
      `${what}: ${messageOf(cause)}; a file lies where a directory should be, or a directory where a file should be: move it away`,
      { cause },
    )
  if (FORBIDDEN.has(code))
    return new Fault(
      'COLD_REFUSED',
      `${what}: ${messageOf(cause)}; webhook.context_lifecycle.cold_directory must be a directory that the user of this process owns with all that is in it`,
      { cause },
    )
  return new Fault('COLD_UNAVAILABLE', `${what}: ${messageOf(cause)}`, { cause })
}

/** undefined when there is nothing of that name. */
function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  return unlessOneOf(['ENOENT'], work)
}

/** undefined when there is no object of that name: nothing, a directory, or an object where a directory should be. */
function unlessNone<T>(work: Promise<T>): Promise<T | undefined> {
  return unlessOneOf(['ENOENT', 'ENOTDIR', 'EISDIR'], work)
}

async function unlessOneOf<T>(codes: readonly string[], work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (codes.includes(codeOf(error))) return undefined
    throw error
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
