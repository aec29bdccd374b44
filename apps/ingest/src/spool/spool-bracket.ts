/** A fresh world for the spool's tests: a directory that goes away, a clock that is set by hand, faults collected. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '@weir/core/clock'
import type { Fault } from '@weir/core/faults'
import type { Files } from './files.ts'
import { openSpool, type Spool, type SpoolOptions } from './spool.ts'

export interface SpoolWorld {
  readonly directory: string
  /** What the spools reported, oldest first. */
  readonly faults: Fault[]
  /** Moves both clocks, ms. */
  advance(ms: number): void
  now(): number
  /** Opens a spool in the directory; the bracket closes what the test leaves open. */
  open(options?: Partial<SpoolOptions>, files?: Files): Promise<Spool>
  /** Names in the directory that match. */
  names(pattern: RegExp): Promise<string[]>
}

/** Runs a test in a world of its own. */
export async function withSpoolWorld(test: (world: SpoolWorld) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'weir-spool-'))
  const opened: Spool[] = []
  const faults: Fault[] = []
  let now = Date.UTC(2024, 0, 1)
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    wait: () => Promise.reject(new Error('the spool waits for nothing')),
  }
  try {
    await test({
      directory,
      faults,
      advance: (ms) => {
        now += ms
      },
      now: () => now,
      open: async (options, files) => {
        const defaults = { maxBytes: 64 * 1024 * 1024, maxAgeMs: 3_600_000, segmentBytes: 1024 * 1024 }
        const onFault = (fault: Fault): void => void faults.push(fault)
        const spool = await openSpool({ ...defaults, directory, clock, onFault, ...options }, files)
        opened.push(spool)
        return spool
      },
      names: async (pattern) => (await readdir(directory)).filter((name) => pattern.test(name)).sort(),
    })
  } finally {
    for (const spool of opened) await spool.close()
    await rm(directory, { recursive: true })
  }
}

/** Everything in the spool, oldest first, as text; released batch by batch. */
export async function drain(spool: Spool, batchSize = 3): Promise<string[]> {
  const drained: string[] = []
  for (;;) {
    const batch = await spool.next(batchSize)
    if (batch === undefined) return drained
    drained.push(...batch.records.map(String))
    await batch.release(batch.records.length)
  }
}

/** Appends texts one after the other. */
export async function appendAll(spool: Spool, texts: readonly string[]): Promise<void> {
  for (const text of texts) await spool.append(Buffer.from(text))
}

export function numbered(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => `event ${from + index}`)
}
