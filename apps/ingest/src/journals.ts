/**
 * The spool: one journal for each partition, in one directory, under one limit. A partition whose master is away keeps its
 * own journal waiting and no other, and each is drained oldest first.
 *
 *   <directory>/               the journal of partition 0, and of events whose partition is not known yet
 *   <directory>/partition-3/   the journal of partition 3, made when its first event comes
 *
 * The plan of partitions may change while records wait: draining goes by the plan of that moment, whatever journal a
 * record is in, and moves what waits for another partition into that one's journal (drain.ts).
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Spool } from './spool/spool.ts'

export interface Journals {
  /** Resolves after the record is fsynced in that partition's journal; rejects as `Spool.append` does. */
  append(partition: number, record: Buffer): Promise<void>
  /** The open journals, by partition. */
  readonly open: ReadonlyMap<number, Spool>
  readonly records: number
  readonly bytes: number
  readonly oldestAt: number | undefined
  /** Whether any journal takes events. */
  readonly accepting: boolean
  close(): Promise<void>
}

export interface JournalsOptions {
  /** That of partition 0. */
  readonly first: Spool
  /** Opens that of another partition; undefined where there is one partition only. */
  readonly openOne: ((partition: number) => Promise<Spool>) | undefined
  /** Those that an earlier process left, by partition. */
  readonly left: ReadonlyMap<number, Spool>
  /** Told, once, of the map of open journals, which grows. */
  onJournals?(open: ReadonlyMap<number, Spool>): void
  /** A journal was opened. */
  onOpen(partition: number, spool: Spool): void
}

export function createJournals({ first, openOne, left, onOpen, onJournals }: JournalsOptions): Journals {
  const open = new Map<number, Spool>([[0, first], ...left])
  onJournals?.(open)
  const opening = new Map<number, Promise<Spool>>()

  function journalOf(partition: number): Spool | Promise<Spool> {
    const journal = open.get(partition)
    if (journal !== undefined) return journal
    if (openOne === undefined) return first
    let soon = opening.get(partition)
    if (soon === undefined) {
      soon = openOne(partition)
        .then((spool) => {
          open.set(partition, spool)
          onOpen(partition, spool)
          return spool
        })
        .finally(() => opening.delete(partition))
      opening.set(partition, soon)
    }
    return soon
  }

  const sum = (pick: (spool: Spool) => number) => {
    let total = 0
    for (const spool of open.values()) total += pick(spool)
    return total
  }

  return {
    open,
    async append(partition, record) {
      const journal = journalOf(partition)
      await (journal instanceof Promise ? await journal : journal).append(record)
    },
    get records() {
      return sum(({ records }) => records)
    },
    get bytes() {
      return sum(({ bytes }) => bytes)
    },
    get oldestAt() {
      let oldest: number | undefined
      for (const { oldestAt } of open.values()) {
        if (oldestAt !== undefined && (oldest === undefined || oldestAt < oldest)) oldest = oldestAt
      }
      return oldest
    },
    get accepting() {
      return [...open.values()].some(({ accepting }) => accepting)
    },
    async close() {
      await Promise.allSettled(opening.values())
      await Promise.all([...open.values()].map((spool) => spool.close()))
    },
  }
}

const FOLDER = /^partition-(\d{1,4})$/

export function journalDirectory(directory: string, partition: number): string {
  return partition === 0 ? directory : join(directory, `partition-${partition}`)
}

/** Partitions other than 0 that have a journal there. */
export function journalsIn(directory: string): number[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => Number(FOLDER.exec(name)?.[1] ?? 0))
    .filter((partition) => partition > 0)
}
