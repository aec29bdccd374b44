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
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureRedisBinary } from '../../scripts/redis-binary.ts'
import { compilePreload } from './preload.ts'

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
  compilePreload(fileURLToPath(new URL('shifted-clock.c', import.meta.url)), library)
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
