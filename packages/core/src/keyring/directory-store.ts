/**
 * A keyring in a directory: one file per entry, `<tenant>.<revision>.json`, of which a tenant's highest revision counts. A
 * change is a draft beside it that is given its name:
 *
 *   draft `.<tenant>.<revision>.<uuid>` written, fsynced ──link──▶ in force ──fsync of the directory──▶ kept
 *     ──▶ every draft of up to this revision erased ──▶ every earlier revision erased, the lowest first ──▶ fsync, true
 *
 * Several processes do this at the same time, without locks. link(2) gives a name once, so of those who know the same
 * revision one wins. But a name is free again when its revision has been erased: somebody who was held up between looking
 * and linking would then publish an old revision, and believe to have won. So drafts are erased before names are. Whoever
 * is too late either sees the later revision (he looks after his draft is there), or finds the name taken, or his draft
 * gone. That needs no clock, and whatever a killed process left behind is erased by the next change of that tenant.
 *
 * Nothing is erased before its successor is on the disk: at each moment the highest revision is whole, or a crash has made
 * the one below it the highest again.
 */
import { randomUUID } from 'node:crypto'
import * as systemFiles from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Fault, isFault, messageOf } from '../faults.ts'
import { type KeyStore, readTenantKeys, type TenantKeys, tenantKeysText } from './key-store.ts'

/** What is asked of the file system: the seam at which tests make disks fail and processes meet. */
export type DirectoryFiles = Pick<
  typeof systemFiles,
  'link' | 'mkdir' | 'open' | 'readFile' | 'readdir' | 'unlink'
>
type OpenFile = systemFiles.FileHandle

const PRIVATE_DIRECTORY = 0o700
const PRIVATE_FILE = 0o600
/** How often a reader looks again because the entry was replaced under it. A replacement takes several fsyncs, a look none. */
const LOOKS = 100
/** Files that `readAll` has open at the same time. */
const READ_TOGETHER = 32

const ENTRY = /^([a-z0-9][a-z0-9_-]{0,62})\.([1-9][0-9]{0,15})\.json$/
const DRAFT = /^\.([a-z0-9][a-z0-9_-]{0,62})\.([1-9][0-9]{0,15})\.[0-9a-f-]{36}$/

interface Named {
  readonly name: string
  readonly tenant: string
  readonly revision: number
}

/**
 * The directory is made when something is first written; until then it reads as empty. Throws Fault KEYRING_UNAVAILABLE for
 * whatever the system refuses. A damaged entry is never replaced: `replace` throws its KEYRING_CORRUPT, until somebody brings
 * the file back from a copy, or removes it.
 */
export function createDirectoryStore(directory: string, files: DirectoryFiles = systemFiles): KeyStore {
  /** Does `work` on a path, or throws the fault that says so. */
  const attempt = async <T>(what: string, path: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (cause) {
      if (isFault(cause)) throw cause
      throw new Fault(
        'KEYRING_UNAVAILABLE',
        `keyring: ${path} could not be ${what}: ${messageOf(cause)}; ${directory} must be a directory on a working disk that is not full, and the user of this process must own it with all that is in it`,
        { cause },
      )
    }
  }

  /**
   * All names, looked at twice: while a directory is being read, a name that is replaced may be missed together with the
   * one that comes in its place.
   */
  const namesOf = async (): Promise<string[]> => {
    const list = () => attempt('listed', directory, () => unlessMissing(files.readdir(directory)))
    return [...new Set([...((await list()) ?? []), ...((await list()) ?? [])])]
  }

  const latestRevisions = async (): Promise<Map<string, number>> => {
    const latest = new Map<string, number>()
    for (const { tenant, revision } of matching(await namesOf(), ENTRY)) {
      latest.set(tenant, Math.max(revision, latest.get(tenant) ?? 0))
    }
    return latest
  }

  const syncDirectory = (path: string): Promise<void> =>
    attempt('synced', path, () => withFile(files, path, 'r', (opened) => opened.sync()))

  /**
   * The entry of the highest revision. One that is gone, or cannot be read, may have been replaced since it was listed (it is
   * overwritten before its name goes): it is damaged when it is still the highest and still unreadable at the next look.
   */
  const latestOf = async (
    tenant: string,
    listed?: ReadonlyMap<string, number>,
  ): Promise<TenantKeys | undefined> => {
    let unreadable: number | undefined
    let known = listed
    for (let look = 0; look < LOOKS; look++) {
      const revision: number | undefined = (known ?? (await latestRevisions())).get(tenant)
      known = undefined
      if (revision === undefined) return undefined
      const path = join(directory, entryName(tenant, revision))
      const text = await attempt('read', path, () => unlessMissing(files.readFile(path, 'utf8')))
      if (text === undefined) continue
      try {
        return entryFrom(text, tenant, revision, path)
      } catch (error) {
        if (unreadable === revision) throw error
        unreadable = revision
      }
    }
    throw new Fault(
      'KEYRING_UNAVAILABLE',
      `keyring: the entry of ${tenant} in ${directory} was replaced ${LOOKS} times while it was being read; find out what changes it so often`,
    )
  }

  /** What was read may be in force for less time than a power cut takes: its name is made durable before anybody builds on it. */
  const read = async (tenant: string): Promise<TenantKeys | undefined> => {
    const found = await latestOf(tenant)
    if (found !== undefined) await syncDirectory(directory)
    return found
  }

  const makeDirectory = (): Promise<void> =>
    attempt('made', directory, async () => {
      const made = await files.mkdir(directory, { recursive: true, mode: PRIVATE_DIRECTORY })
      if (made === undefined) return
      const above = dirname(resolve(made))
      for (let path = resolve(directory); path !== above; ) {
        path = dirname(path)
        await syncDirectory(path)
      }
    })

  /** False when the name is taken, or when somebody who published it, or a later one, has removed the draft. */
  const linked = (draft: string, path: string): Promise<boolean> =>
    attempt('published', path, async () => {
      try {
        await files.link(draft, path)
        return true
      } catch (error) {
        if (['EEXIST', 'ENOENT'].includes(codeOf(error))) return false
        throw error
      }
    })

  /** Writes the draft and gives it its name, if it is still the next one. The draft is gone afterwards. */
  const publish = async (next: TenantKeys, text: string): Promise<boolean> => {
    const { tenant, revision } = next
    const draft = join(directory, `.${tenant}.${revision}.${randomUUID()}`)
    try {
      return await attempt('written', draft, () =>
        withFile(files, draft, 'wx', async (opened) => {
          await opened.writeFile(text)
          await opened.sync()
          const isNext = ((await latestRevisions()).get(tenant) ?? 0) === revision - 1
          if (isNext && (await linked(draft, join(directory, entryName(tenant, revision))))) return true
          // Some network file systems say EEXIST when they did link: what has a second name is not overwritten.
          if ((await opened.stat()).nlink <= 1) await overwrite(opened)
          return false
        }),
      )
    } finally {
      await attempt('removed', draft, () => unlessMissing(files.unlink(draft)))
    }
  }

  /** Overwrites and removes a file, unless somebody else was faster. */
  const erase = (path: string): Promise<void> =>
    attempt('erased', path, async () => {
      try {
        await unlessMissing(withFile(files, path, 'r+', overwrite))
      } finally {
        await unlessMissing(files.unlink(path))
      }
    })

  /** After its publication: erases all that came before this revision. The order matters, see above. */
  const eraseBefore = async ({ tenant, revision }: TenantKeys): Promise<void> => {
    const names = await namesOf()
    const drafts = matching(names, DRAFT).filter((it) => it.tenant === tenant && it.revision <= revision)
    const entries = matching(names, ENTRY).filter((it) => it.tenant === tenant && it.revision < revision)
    if (drafts.length + entries.length === 0) return
    for (const { name } of drafts) await erase(join(directory, name))
    for (const { name } of entries.sort((a, b) => a.revision - b.revision)) await erase(join(directory, name))
    await syncDirectory(directory)
  }

  return {
    place: directory,
    read,
    async readAll() {
      const tenants = new Map<string, TenantKeys>()
      const damaged = new Map<string, Fault>()
      const listed = await latestRevisions()
      const readOne = async (tenant: string) => {
        try {
          const entry = await latestOf(tenant, listed)
          if (entry !== undefined) tenants.set(tenant, entry)
        } catch (error) {
          if (!isFault(error, 'KEYRING_CORRUPT')) throw error
          damaged.set(tenant, error)
        }
      }
      const names = [...listed.keys()]
      for (let i = 0; i < names.length; i += READ_TOGETHER) {
        await Promise.all(names.slice(i, i + READ_TOGETHER).map(readOne))
      }
      if (names.length > 0) await syncDirectory(directory)
      return { tenants, damaged }
    },
    async replace(next) {
      const text = tenantKeysText(next)
      // What nobody could read must not come in the place of something that can be read; nor a name that is a path.
      readTenantKeys(text, next.tenant, `what was to be written for ${next.tenant}`)
      // Also before anything is written: so a draft that is left behind is of the next revision at most, and goes with it.
      const found = await read(next.tenant)
      if ((found?.revision ?? 0) !== next.revision - 1) return false
      await makeDirectory()
      if (!(await publish(next, text))) return false
      await syncDirectory(directory)
      await eraseBefore(next)
      return true
    },
    close: async () => undefined,
  }
}

const entryName = (tenant: string, revision: number): string => `${tenant}.${revision}.json`

function matching(names: readonly string[], pattern: RegExp): Named[] {
  return names.flatMap((name) => {
    const [, tenant, digits] = pattern.exec(name) ?? []
    const revision = Number(digits)
    return tenant !== undefined && Number.isSafeInteger(revision) ? [{ name, tenant, revision }] : []
  })
}

/** Throws Fault KEYRING_CORRUPT. */
function entryFrom(text: string, tenant: string, revision: number, path: string): TenantKeys {
  const entry = readTenantKeys(text, tenant, path)
  if (entry.revision === revision) return entry
  throw new Fault(
    'KEYRING_CORRUPT',
    `keyring: ${path} holds revision ${entry.revision}; give the file the name that belongs to it, or bring it back from a copy of the keyring`,
  )
}

async function withFile<T>(
  files: DirectoryFiles,
  path: string,
  flags: 'r' | 'r+' | 'wx',
  use: (opened: OpenFile) => Promise<T>,
): Promise<T> {
  const opened = await files.open(path, flags, PRIVATE_FILE)
  try {
    return await use(opened)
  } finally {
    await opened.close()
  }
}

/** Zeros over all its bytes. A disk or file system that writes elsewhere keeps them all the same; that is beyond a program. */
async function overwrite(opened: OpenFile): Promise<void> {
  const { size } = await opened.stat()
  await opened.write(Buffer.alloc(size), 0, size, 0)
  await opened.sync()
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
