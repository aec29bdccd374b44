/**
 * Reads new entries, only as many as there is room for, on a connection of its own (a PING behind a blocking read
 * waited two seconds). A read whose answer was lost leaves its entries in our name: after every failure they are looked
 * for and taken up before anything new is read.
 */
import type { Clock } from '@weir/core/clock'
import { isFault, messageOf } from '@weir/core/faults'
import type { PartitionKeys } from '@weir/core/keys'
import type { RedisArg, RedisLink, RedisReply } from '@weir/core/redis/link'
import { createEntryReader, type ReadEntry } from '@weir/core/stream/entries'
import { ensureGroup, type GroupState } from '@weir/core/stream/group'
import { keepReads } from '@weir/core/stream/reads'

import type { Logger } from 'pino'
import type { Held, Reservation } from './held.ts'
import { takeUpLost } from './own-entries.ts'
import { createTellOnce } from './tell-once.ts'

export interface ReaderOptions {
  /** For blocking reads alone. */
  readonly blocking: RedisLink
  readonly link: RedisLink
  readonly keys: PartitionKeys
  readonly consumer: string
  readonly held: Held
  readonly clock: Clock
  readonly log: Logger
  /** Entries asked for at most; this much room is set aside while a read waits. */
  readonly batchSize: number
  /** ms */
  readonly blockMs: number
  /** How much longer than blockMs an answer may take before the connection counts as dead, ms. */
  readonly graceMs: number
  /** `deliveries`: how often they were handed out, this time included. */
  readonly onEntries: (entries: readonly ReadEntry[], deliveries: number) => void
  /** The consumer group was not there and has been made. */
  readonly onGroupMade: (group: Extract<GroupState, { kind: 'created' }>) => void
}

export interface Reader {
  /** Reads until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>
  /** Ends a read that waits, after the signal of `run` was aborted; resolves when none is under way. */
  interrupt(): Promise<void>
  /** Looks for entries in our name that are not held, before the next read. */
  recheck(): void
  /** Monotonic ms at which Redis last answered a read; undefined when it never did. */
  readonly lastReadAt: number | undefined
}

/** A read under way, and the room that is set aside for what it brings. */
interface Read {
  readonly reservation: Reservation
  readonly answer: Promise<readonly ReadEntry[]>
}

const RETRY_MS = 200
const READING = 'read'
/** Pause between two attempts to interrupt a read: the first may come before the read itself, ms. */
const INTERRUPT_RETRY_MS = 20

export function createReader(options: ReaderOptions): Reader {
  const { blocking, link, keys, consumer, held, clock, log } = options
  /** CLIENT ID of the connection that reads. */
  let clientId: number | undefined
  let calling = false
  /** The connection, the group and our own entries are to be looked after before the next read. */
  let recovering = true
  let lastReadAt: number | undefined
  const telling = createTellOnce(log)
  const entries = createEntryReader()

  /** A call on the blocking connection, which has no time-out of its own. */
  const watched = async <T>(what: string, withinMs: number, work: () => Promise<T>): Promise<T> => {
    const watchdog = new AbortController()
    const watch = async () => {
      for (;;) {
        await clock.wait(withinMs, watchdog.signal)
        if (watchdog.signal.aborted) return
        // Half-open TCP: without this a BLOCK 2000 hung for more than 12 s. More than once, as also the new connection may stand and
        // say nothing.
        log.warn({ ms: withinMs }, `${what} was not answered; reconnecting`)
        blocking.reconnect()
      }
    }
    const watching = watch()
    calling = true
    try {
      return await work()
    } finally {
      calling = false
      // With a reason, as Node makes an exception with its stack where none is given: 2 % of a consumer's time.
      watchdog.abort(READING)
      await watching
    }
  }
  const call = (what: string, withinMs: number, command: string, ...args: RedisArg[]): Promise<RedisReply> =>
    watched(what, withinMs, () => blocking.call(command, ...args))

  const connect = async (signal: AbortSignal) => {
    await link.ready(signal)
    // Also the handshake may be swallowed by a network that fails.
    if (!blocking.connected) await watched('connecting', options.graceMs, () => blocking.ready(signal))
    const info = String(await call('asking for the connection', options.graceMs, 'CLIENT', 'INFO'))
    const before = clientId
    const now = Number(/\bid=(\d+)/.exec(info)?.[1])
    if (before !== undefined && before !== now)
      await endConnection(before, / name=\S* /.exec(info)?.[0] ?? ' ')
    clientId = now
  }

  /**
   * The server may not have noticed that the old connection is gone: whatever it handed to it would be lost on us.
   * After a restart of the server the id may be somebody else's, hence the name.
   */
  const endConnection = async (id: number, name: string) => {
    try {
      const found = String((await link.call('CLIENT', 'LIST', 'ID', id)) ?? '')
      if (found.includes(name)) await link.call('CLIENT', 'KILL', 'ID', id)
    } catch (error) {
      if (!isFault(error, 'REDIS_UNSUITABLE')) throw error
      log.debug({ err: messageOf(error) }, 'the old connection cannot be ended')
    }
  }

  const recover = async (signal: AbortSignal) => {
    await connect(signal)
    const group = await ensureGroup(link, keys)
    if (group.kind === 'created') {
      if (group.from !== '0') {
        const { from, unread } = group
        log.error({ from, unread }, 'consumer group was lost; made anew at the settled floor')
      }
      options.onGroupMade(group)
    }
    const reads = await keepReads(link, keys)
    if (reads.kind === 'corrected') log.info(reads, 'the count of entries read was lost by Redis; corrected')
    await takeUpLost(options, signal, options.onEntries)
  }

  /** Sends a read, for as many as there is room for; undefined when there is none. */
  const send = (): Read | undefined => {
    const reservation = held.reserve(options.batchSize)
    if (reservation.count === 0) return undefined
    const answer = watched('blocking read', options.blockMs + options.graceMs, async () => {
      entries.reset()
      await blocking.pour(
        entries,
        'XREADGROUP',
        'GROUP',
        keys.group,
        consumer,
        'COUNT',
        reservation.count,
        'BLOCK',
        options.blockMs,
        'STREAMS',
        keys.stream,
        '>',
      )
      return entries.take()
    })
    return { reservation, answer }
  }

  /**
   * Reads as long as there is room and all is well. The next read is sent before what the last one brought is worked on, so
   * that Redis answers meanwhile.
   */
  const readOn = async (signal: AbortSignal): Promise<void> => {
    let next = send()
    try {
      while (next !== undefined) {
        const { reservation, answer }: Read = next
        next = undefined
        try {
          const read = await answer
          lastReadAt = clock.monotonic()
          telling.worked(READING)
          if (!signal.aborted && !recovering) next = send()
          if (read.length > 0) options.onEntries(read, 1)
        } finally {
          reservation.release()
        }
      }
    } finally {
      if (next !== undefined) void abandon(next)
    }
  }

  /** Of a read whose answer nobody waits for any more; what it brings is looked for afterwards. */
  const abandon = async ({ reservation, answer }: Read): Promise<void> => {
    await answer.catch((error: unknown) => {
      log.debug({ err: messageOf(error) }, 'a read that was given up has failed')
    })
    recovering = true
    reservation.release()
  }

  return {
    async run(signal) {
      while (!signal.aborted) {
        try {
          if (recovering) {
            recovering = false
            await recover(signal)
          }
          await held.whenRoom(signal)
          if (signal.aborted) return
          await readOn(signal)
        } catch (error) {
          recovering = true
          if (signal.aborted) return
          const level = isFault(error, 'REDIS_UNAVAILABLE') ? 'warn' : 'error'
          telling.failed(level, READING, error, 'cannot read the stream; trying again')
          await clock.wait(RETRY_MS, signal)
        }
      }
    },
    recheck() {
      recovering = true
    },
    get lastReadAt() {
      return lastReadAt
    },
    async interrupt() {
      const since = clock.monotonic()
      while (calling) {
        if (clientId !== undefined && link.connected) {
          await link.call('CLIENT', 'UNBLOCK', clientId).catch((error: unknown) => {
            log.debug({ err: messageOf(error) }, 'the blocking read could not be interrupted')
          })
        }
        if (!calling) return
        await clock.wait(INTERRUPT_RETRY_MS)
        if (clock.monotonic() - since < options.graceMs) continue
        // Half-open: nobody answers on that connection any more.
        blocking.reconnect()
        return
      }
    },
  }
}
