/** Cold storage in a directory. */
import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/core/clock'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { specifyColdStore } from './cold-store.test-support.ts'
import { createDirectoryStore } from './directory-store.ts'

let above = ''
let directory = ''
beforeEach(async () => {
  above = await mkdtemp(join(tmpdir(), 'weir-cold-'))
  directory = join(above, 'deep', 'cold')
})
afterEach(() => rm(above, { recursive: true, force: true }))

const open = () => createDirectoryStore(directory, { clock: systemClock })

specifyColdStore(async () => ({ open }))
