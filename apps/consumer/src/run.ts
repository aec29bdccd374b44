/** One attempt at an event while it runs: its deadline, its abort signal, and the reasons for which it is cut short. */
import type { AttemptTrace } from './attempt-trace.ts'
import type { DecodedEvent } from './decode.ts'
import type { HeldItem } from './held.ts'
import type { Attempt } from './stages.ts'

/** Why a running handler is aborted when the consumer stops: its event goes back without using an attempt. */
export class ConsumerStopping extends Error {
  override readonly name = 'ConsumerStopping'
}

/** Why a running handler is aborted when another consumer has its event: that one settles it. */
export class OwnershipLost extends Error {
  override readonly name = 'OwnershipLost'
}

/** How the work of a run ended: as it should, or with what was thrown. */
export type Ending = { readonly ok: true } | { readonly ok: false; readonly error: unknown }

const DONE: Ending = { ok: true }

/** A handler run: one attempt, with its deadline. Expires once, for one reason. */
export class Run implements Attempt {
  readonly item: HeldItem
  /** It is the one that a half-open breaker tries. */
  probe: boolean
  /** Monotonic ms; later by what it waited without doing anything. */
  started: number
  /** Monotonic ms; counts once something is waited for. */
  deadline = Number.POSITIVE_INFINITY
  expired: Error | undefined
  /** Once it was decoded. */
  event: DecodedEvent | undefined
  #controller: AbortController | undefined
  #end: ((ending: Ending) => void) | undefined

  constructor(item: HeldItem, probe: boolean, started: number) {
    this.item = item
    this.probe = probe
    this.started = started
  }
  get trace(): AttemptTrace | undefined {
    return this.item.trace
  }
  get traceparent(): string {
    return this.item.record.traceparent
  }
  over(): boolean {
    return this.expired !== undefined
  }
  /** The controller is made only for handlers that look at the signal. */
  signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.expired !== undefined) this.#controller.abort(this.expired)
    return this.#controller.signal
  }
  expire(reason: Error): void {
    if (this.expired !== undefined) return
    this.expired = reason
    this.#controller?.abort(reason)
    this.#ended({ ok: false, error: reason })
  }
  /**
   * Calls `end` when the work ends, or when the run expires before that; once. What the work does later is nobody's
   * concern.
   */
  follow(work: Promise<unknown>, end: (ending: Ending) => void): void {
    this.#end = end
    work.then(
      () => this.#ended(DONE),
      (error: unknown) => this.#ended({ ok: false, error }),
    )
    if (this.expired !== undefined) this.#ended({ ok: false, error: this.expired })
  }
  #ended(ending: Ending): void {
    const end = this.#end
    this.#end = undefined
    end?.(ending)
  }
}
