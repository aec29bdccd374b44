/**
 * Whether events should go to Redis now, so that an outage costs the first requests a wait and not every one.
 *
 *   disconnected ──connected──▶ checking ──fit──▶ up ──suspected──▶ stalled ──answers──▶ up
 *        ▲                        │  ▲                                 │
 *        │                      unfit └──asked again──┐                └──silent twice──▶ connection dropped
 *        │                        ▼                   │
 *        └──connection lost── unsuitable ─────────────┘        (from every state)
 *
 * Only `up` takes events. `stalled` is a connection that stands while commands time out or are put off: a paused
 * server, a long script, a network that swallows packets, a master without its replicas. Every question ends with a
 * write (a master that takes none answers PING); silent twice, the connection is dropped, because a half-open one
 * would stay silent for ever. One that puts us off for long is dropped too: a master that its replicas have left may not be
 * the master any more, and the next connection is made to the one that is. Every transition is made in `enter`.
 */
import type { Clock } from '@weir/core/clock'
import { type Fault, isFault, messageOf } from '@weir/core/faults'
import { isShort } from '@weir/core/redis/durable'
import type { RedisLink } from '@weir/core/redis/link'
import type { Logger } from 'pino'

export type PulseState = 'disconnected' | 'checking' | 'up' | 'stalled' | 'unsuitable'

export interface Pulse {
  readonly state: PulseState
  readonly up: boolean
  /** Somebody's command has failed in a way that says nothing; no more events until Redis answers again. */
  suspect(): void
  /** Resolves true as soon as it is up, false after `ms` or when stopped. */
  whenUp(ms: number): Promise<boolean>
  /** Called at every transition to up. `fresh`: after a (re)connect, so that what Redis knew may be gone. */
  onUp(listener: (fresh: boolean) => void): void
  stop(): void
}

export interface PulseOptions {
  readonly link: RedisLink
  /** Resolves when the server is fit for use; throws Fault REDIS_UNSUITABLE when not. */
  vet(): Promise<void>
  /** A small write. */
  probe(): Promise<void>
  readonly clock: Clock
  readonly log: Logger
}

/** Pause between two questions to a server that does not answer, or is not fit, ms. */
const QUESTION_PAUSE_MS = 100
const UNFIT_PAUSE_MS = 1000
/** Silences in a row after which the connection is dropped. */
const MAX_SILENCES = 2
/** How long the server may put us off before the connection is dropped, ms. */
const MAX_PUT_OFF_MS = 5000

export function createPulse({ link, vet, probe, clock, log }: PulseOptions): Pulse {
  const stopped = new AbortController()
  const listeners: ((fresh: boolean) => void)[] = []
  const waiting = new Set<(up: boolean) => void>()
  let state: PulseState = 'disconnected'
  let questioning = false
  let told = ''

  const removeListeners = [
    link.onConnect(() => {
      enter('checking')
      void question()
    }),
    link.onDisconnect(() => enter('disconnected')),
  ]

  function enter(next: PulseState): void {
    if (next === state || stopped.signal.aborted) return
    const before = state
    state = next
    const said = { event: 'redis', state: next, before }
    if (next === 'up') {
      told = ''
      log.info(said, 'Redis takes events')
    } else if (before === 'up') log.warn(said, 'Redis takes no events; the spool does, where it may')
    if (next !== 'up') return
    for (const wake of waiting) wake(true)
    for (const listener of listeners) listener(before === 'checking' || before === 'unsuitable')
  }

  /** Once, not at every question. */
  function tell({ code, message: reason }: Fault, what: string): void {
    if (reason !== told) log.error({ event: 'redis', code, reason }, what)
    told = reason
  }

  const isUp = (): boolean => state === 'up'

  /** Asks until the server is up or the connection is gone. One at a time. */
  async function question(): Promise<void> {
    if (questioning) return
    questioning = true
    let silences = 0
    let connectedAt = clock.monotonic()
    while (link.connected && !isUp() && !stopped.signal.aborted) {
      const asked = state
      try {
        if (asked !== 'stalled') await vet()
        await probe()
        // In the meantime the connection may have been lost, and another one made, which is not vetted.
        if (state === asked) enter('up')
        continue
      } catch (error) {
        if (isFault(error, 'REDIS_UNSUITABLE')) {
          enter('unsuitable')
          tell(error, 'Redis cannot be used')
        } else if (isFault(error, 'REDIS_OUT_OF_MEMORY')) {
          // It answers, and that is the question; each event finds out for itself whether there is room again.
          if (state === asked) enter('up')
          continue
        } else if (!answered(error) && ++silences >= MAX_SILENCES) {
          log.warn({ event: 'redis', reason: messageOf(error) }, 'Redis is silent; connecting anew')
          silences = 0
          link.reconnect()
        } else if (answered(error)) {
          if (isShort(error)) tell(error, 'Redis is short of replicas')
          if (clock.monotonic() - connectedAt > MAX_PUT_OFF_MS) {
            log.info(
              { event: 'redis', reason: messageOf(error) },
              'Redis puts us off; looking for the master anew',
            )
            connectedAt = clock.monotonic()
            link.reconnect()
          }
        }
      }
      await clock.wait(state === 'unsuitable' ? UNFIT_PAUSE_MS : QUESTION_PAUSE_MS, stopped.signal)
    }
    questioning = false
  }

  if (link.connected) {
    enter('checking')
    void question()
  }

  return {
    get state() {
      return state
    },
    get up() {
      return isUp()
    },
    suspect() {
      if (state !== 'up') return
      const next = link.connected ? 'stalled' : 'disconnected'
      enter(next)
      if (next === 'stalled') void question()
    },
    whenUp(ms) {
      if (state === 'up') return Promise.resolve(true)
      if (stopped.signal.aborted || ms <= 0) return Promise.resolve(false)
      return new Promise((resolve) => {
        const wake = (up: boolean): void => {
          clearTimeout(timer)
          waiting.delete(wake)
          resolve(up)
        }
        const timer = setTimeout(wake, ms, false)
        waiting.add(wake)
      })
    },
    onUp: (listener) => void listeners.push(listener),
    stop() {
      stopped.abort()
      for (const remove of removeListeners) remove()
      for (const wake of waiting) wake(false)
    },
  }
}

/** An error reply, such as LOADING or NOREPLICAS, or too few replicas: the connection is good, the server may come round. */
function answered(error: unknown): boolean {
  return (
    isShort(error) || (isFault(error) && error.cause instanceof Error && error.cause.name === 'ReplyError')
  )
}
