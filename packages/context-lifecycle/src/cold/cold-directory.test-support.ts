/** A directory for each test, in which cold storage may lie. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/core/clock'
import { afterEach, beforeEach } from 'vitest'
import type { ColdStore } from './cold-store.ts'
import { type ColdFiles, createDirectoryStore } from './directory-store.ts'

export interface ColdDirectory {
  /** Two levels below one that is removed after the test; neither is there yet. */
  readonly directory: string
  /** A store in it whose clock is this much ahead, ms. */
  open(files?: ColdFiles, aheadMs?: number): ColdStore
  /** Paths of everything in the directory, in order; directories end with `/`. */
  content(): Promise<string[]>
}

export function useColdDirectory(): ColdDirectory {
  let above = ''
  let directory = ''
  beforeEach(async () => {
    above = await mkdtemp(join(tmpdir(), 'weir-cold-'))
    directory = join(above, 'deep', 'cold')
  })
  afterEach(() => rm(above, { recursive: true, force: true }))
  return {
    get directory() {
      return directory
    },
    open(files, aheadMs = 0) {
      const clock = { ...systemClock, now: () => systemClock.now() + aheadMs }
      return createDirectoryStore(directory, files === undefined ? { clock } : { clock, files })
    },
    async content() {
      const found = await readdir(directory, { recursive: true, withFileTypes: true })
      return found
        .map((entry) => join(entry.parentPath, entry.name) + (entry.isDirectory() ? '/' : ''))
        .map((path) => path.slice(directory.length + 1))
        .sort()
    },
  }
}
