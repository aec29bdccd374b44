/**
 * A Redis server whose clock tests set, while it runs and without touching the machine's:
 *
 *   const clock = useServerClock()
 *   const redis = useRedis({ binary: clock.binary })
 *   it('…', () => clock.set(3 * DAY_MS))
 *
 * The real server runs with a small library preloaded (shifted-clock.c, compiled here in a tenth of a second), because
 * libfaketime and a Redis with jemalloc wait for each other at the start (libfaketime 0.9.10, Redis 7.0.15). Linux only.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeEach } from 'vitest'
import { ensureRedisBinary } from '../../scripts/redis-binary.ts'

export const DAY_MS = 86_400_000

/** False where a process' clock cannot be shifted: its tests are to be skipped. */
export const canShiftClock = process.platform === 'linux'

export interface ServerClock {
  /** Path of a program that is redis-server with a shifted clock: `binary` of startRedis, withRedis, useRedis. */
  readonly binary: string
  /** Sets how far the server's clock is ahead of the machine's, ms; at once, also while it runs. */
  set(aheadMs: number): void
  /** Deletes its files; the server must have ended. */
  remove(): void
}

/** Throws when there is no C compiler, which the native modules need as well. */
export function createServerClock(): ServerClock {
  const directory = mkdtempSync(join(tmpdir(), 'weir-clock-'))
  const library = join(directory, 'shifted-clock.so')
  const binary = join(directory, 'redis-server')
  const offsetFile = join(directory, 'offset')
  compile(fileURLToPath(new URL('shifted-clock.c', import.meta.url)), library)
  const offset = openSync(offsetFile, 'w')
  const set = (aheadMs: number) => {
    writeSync(offset, new BigInt64Array([BigInt(Math.round(aheadMs)) * 1000n]), 0, 8, 0)
  }
  set(0)
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
  const lines = [
    '#!/bin/sh',
    `SHIFTED_CLOCK_FILE=${quoted(offsetFile)} LD_PRELOAD=${quoted(library)} exec ${quoted(ensureRedisBinary())} "$@"`,
  ]
  writeFileSync(binary, `${lines.join('\n')}\n`, { mode: 0o755 })
  return {
    binary,
    set,
    remove() {
      closeSync(offset)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** One for all tests of the file, right again before each; call it before `useRedis`, so that it ends after it. */
export function useServerClock(): ServerClock {
  // Tests that are skipped are still collected, and what they name must be there.
  if (!canShiftClock) return { binary: '', set: () => undefined, remove: () => undefined }
  const clock = createServerClock()
  beforeEach(() => clock.set(0))
  afterAll(() => clock.remove())
  return clock
}

function compile(source: string, library: string): void {
  const flags = ['-x', 'c', '-O1', '-shared', '-fPIC', '-Wall', '-Wextra', '-Werror', '-o', library, source]
  const tried: string[] = []
  for (const compiler of ['cc', 'gcc', 'g++']) {
    const { status, stderr, error } = spawnSync(compiler, flags, { encoding: 'utf8' })
    if (status === 0) return
    tried.push(error === undefined ? `${compiler}: ${stderr}` : error.message)
  }
  throw new Error(`no C compiler could make ${library}:\n${tried.join('\n')}`)
}
