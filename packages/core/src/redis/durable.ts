/**
 * Waits until the replicas have what the master answered.
 *
 * One WAIT at a time, and it covers everything that was answered before it was sent:
 *
 *   idle ──somebody asks──▶ gathering (until the turn of the event loop ends) ──▶ WAIT in flight ──answered──▶ idle
 *                                                                                 │                or gathering again
 *                                     who asks meanwhile gathers for the next one ┘
 *
 * The number that WAIT answers is checked: fewer than asked for is no error to Redis. It is sent on the connection on
 * which the commands were answered, and never again on another one (a WAIT that was sent again after a failover answered 1
 * for an entry that the new master never had): when the connection changed in between, the outcome is unknown.
 *
 * WAIT looks at how far the replication had come at this connection's last write; since Redis 7.2 a command that only
 * read does not count, and on a connection that has not written yet WAIT answers with all replicas at once. Somebody who
 * only *saw* that an event is there (a duplicate) therefore has something written before the WAIT.
 */
import type { Clock } from '../clock.ts'
import { Fault, isFault, messageOf } from '../faults.ts'
import type { RedisLink } from './link.ts'

export type WaitResult = 'confirmed' | 'short' | 'unknown'

export interface ReplicaWait {
  /** How many replicas must have it: all that the master has, as any of them may become the next master. */
  readonly replicas: number
  /**
   * Resolves when they have everything that the master had when it answered the command that was awaited just before.
   * Throws Fault REDIS_UNAVAILABLE when they did not all say so in time (`isShort`), or when nobody knows.
   * @param last whether that command wrote something, or only read
   */
  confirm(last: 'wrote' | 'read'): Promise<void>
}

export interface ReplicaWaitOptions {
  readonly link: RedisLink
  readonly replicas: number
  /** How long one WAIT may take, ms; shorter than the link's command time-out. */
  readonly timeoutMs: number
  /** A key of the same server that may be overwritten. */
  readonly barrier: string
  readonly clock: Clock
  /** Called after every WAIT; ms. */
  onWaited(result: WaitResult, ms: number): void
}

/** Those who wait for the same WAIT. */
interface Batch {
  /** Somebody in it only read. */
  barrier: boolean
  readonly answered: Promise<Answer>
  resolve(answer: Answer): void
  reject(error: unknown): void
}

interface Answer {
  readonly replicas: number
  /** The connection it came on. */
  readonly epoch: number
}

export function createReplicaWait(options: ReplicaWaitOptions): ReplicaWait {
  const { link, replicas, timeoutMs, barrier, clock } = options
  let gathering: Batch | undefined
  let inFlight = false

  function join(last: 'wrote' | 'read'): Promise<Answer> {
    if (gathering === undefined) {
      const { promise, resolve, reject } = Promise.withResolvers<Answer>()
      gathering = { barrier: false, answered: promise, resolve, reject }
      if (!inFlight) setImmediate(send)
    }
    if (last === 'read') gathering.barrier = true
    return gathering.answered
  }

  /** Once all answers of this turn have been heard: they are then covered by one WAIT. */
  function send(): void {
    const batch = gathering
    if (batch === undefined) return
    gathering = undefined
    inFlight = true
    void wait(batch).finally(() => {
      inFlight = false
      if (gathering !== undefined) setImmediate(send)
    })
  }

  async function wait(batch: Batch): Promise<void> {
    const startedAt = clock.monotonic()
    const { epoch } = link
    const tell = (result: WaitResult): void => options.onWaited(result, clock.monotonic() - startedAt)
    try {
      // One after the other on one connection, and both are sent now.
      const written = batch.barrier ? link.call('SET', barrier, '') : undefined
      const [answer] = await Promise.all([link.call('WAIT', replicas, timeoutMs), written])
      const answered = { replicas: Number(answer), epoch }
      tell(link.epoch !== epoch ? 'unknown' : answered.replicas < replicas ? 'short' : 'confirmed')
      batch.resolve(answered)
    } catch (error) {
      tell('unknown')
      batch.reject(error)
    }
  }

  return {
    replicas,
    async confirm(last) {
      const { epoch } = link
      let answer: Answer
      try {
        answer = await join(last)
      } catch (error) {
        if (isFault(error)) throw error
        // Such as: "WAIT cannot be used with replica instances". It is not the master any more.
        throw new Fault('REDIS_UNAVAILABLE', `WAIT: ${messageOf(error)}`, { cause: error })
      }
      if (answer.epoch !== epoch || link.epoch !== epoch) {
        throw new Fault('REDIS_UNAVAILABLE', 'WAIT: the connection to Redis changed before it was answered')
      }
      if (answer.replicas < replicas) {
        throw shortOf(`${answer.replicas} of ${replicas} replicas confirmed within ${timeoutMs} ms`)
      }
    },
  }
}

class ShortOfReplicas extends Error {}

/** The fault that says: the server is well, but its replicas do not have it (yet). */
export function shortOf(message: string): Fault {
  return new Fault('REDIS_UNAVAILABLE', message, { cause: new ShortOfReplicas(message) })
}

/** True when the server answered, and only its replicas are missing or late. */
export function isShort(error: unknown): error is Fault {
  return isFault(error, 'REDIS_UNAVAILABLE') && error.cause instanceof ShortOfReplicas
}
