/**
 * The permits of one large limit in the hand of one gateway, so that most events need not ask Redis.
 *
 *   none ──used often enough──▶ asking ──some──▶ in hand ──running low──▶ asking for more, while they are spent
 *    ▲                             │                └──their sixteenth ends: unspent ones go back with the next question
 *    ├──failed: not asked again for a sixteenth
 *    └──none left: refused for a sixteenth, or until one may be granted
 *
 * The event that finds none is counted by itself, and brings the question about: where few come, none waits. Those that come
 * before the answer may wait for it. The question is sent when all that this turn of the event loop has brought has come, so
 * that it asks for them too: in bursts of 500 events one in eight was counted by itself when each turn asked for what the one
 * before had used, and none waited.
 *
 * What holds: the permits that Redis hands out in any sliding period, together with the events that its scripts count one
 * by one, are at most `limit`, wherever the period begins; and each permit is spent within the sixteenth of the period
 * that it is counted in, or never. So at most `limit` events are let through in any sliding period, by all gateways
 * together. That is said of the moment at which an event is let through, by Redis' clock; it reaches the stream a round
 * trip later, or later still when the outcome of its admission was unknown. It holds as long as Redis keeps its data and
 * its clock does not jump.
 *
 * The end of a sixteenth is told by how much of it was left when Redis answered, counted from before the question was
 * sent, by the gateway's own monotonic clock: too early by what the answer took, never too late.
 *
 * A gateway that crashes, or falls silent with permits in hand, takes them out of use for a period: at most what it used
 * in a sixteenth, and at most a twentieth of the limit.
 */
import { type LeasedPermits, type RateLimit, SUB_PERIODS } from './limits.ts'

/** Events in a sixteenth of the period from which on permits are leased; below it a lease costs more than it saves. */
const MIN_DEMAND = 8
/** A block is at most this part of the limit, so that a gateway cannot take it all. */
const LARGEST_BLOCK = 1 / 20
/** More are asked for when this part of the last block is left. */
const LOW_WATER = 1 / 4
/** How long an event waits for an answer, ms: much longer than one takes, and nothing beside `redis.command_timeout`. */
const MAX_WAIT_MS = 50

/** Asks Redis for permits, giving back those that were not spent. */
export type AskForPermits = (
  want: number,
  unspent: { readonly cell: number; readonly permits: number },
) => Promise<LeasedPermits>

/**
 * `spent`: one permit, of this sixteenth. `none`: the event must be counted in Redis by itself. `asking`: so, too, or when
 * `answered` has resolved it may try again.
 */
export type LeaseAnswer =
  | { readonly kind: 'spent'; readonly cell: number }
  | { readonly kind: 'none' }
  | { readonly kind: 'asking'; readonly answered: Promise<void> }
  | { readonly kind: 'refused'; readonly retryAfterMs: number }

const NONE: LeaseAnswer = { kind: 'none' }

export interface LeaseOptions {
  readonly limit: RateLimit
  readonly ask: AskForPermits
  /** Monotonic, ms. */
  readonly now: () => number
  readonly wait: (ms: number) => Promise<void>
  /** What became of a question; a failure with what was thrown. */
  readonly told: (result: 'granted' | 'refused' | 'failed', error?: unknown) => void
}

export class Lease {
  private readonly options: LeaseOptions
  private readonly stepMs: number
  private readonly largest: number
  /** In hand: how many, of which sixteenth (by Redis' count), until when. */
  private left = 0
  private cell = 0
  private until = 0
  private block = 0
  /** Of the sixteenth before: what was not spent of it. */
  private unspent = 0
  private unspentCell = 0
  /** Events in this stretch of time, as long as a sixteenth, and in those before it, each of them counting half as much as the next. */
  private used = 0
  private usedBefore = 0
  private stretchEnd = 0
  private asking = false
  /** For those that wait for the answer. */
  private answered: Promise<void> | undefined
  private endWait: (() => void) | undefined
  private quietUntil = 0
  private refusedUntil = 0
  private nextAt = 0

  constructor(options: LeaseOptions) {
    this.options = options
    this.stepMs = options.limit.periodMs / SUB_PERIODS
    this.largest = Math.ceil(options.limit.limit * LARGEST_BLOCK)
  }

  /** Nothing in hand, nothing asked for, and nobody has come for a while. */
  get idle(): boolean {
    const now = this.options.now()
    return !this.asking && now >= this.until && now >= this.stretchEnd + this.options.limit.periodMs
  }

  /**
   * For one event: spends a permit, or says what to do without. Asks for more in the background.
   * @param again the event was here before, and has waited: it does so once
   */
  take(again = false): LeaseAnswer {
    const now = this.options.now()
    if (!again) this.noteUse(now)
    if (this.left > 0 && now >= this.until) this.putAside()
    if (this.left > 0) {
      this.left--
      if (this.left <= this.block * LOW_WATER) this.askIfUsed(now)
      return { kind: 'spent', cell: this.cell }
    }
    if (now < this.refusedUntil) return { kind: 'refused', retryAfterMs: this.nextAt - now }
    if (!this.asking) {
      this.askIfUsed(now)
      return NONE
    }
    if (again) return NONE
    this.answered ??= this.awaitAnswer()
    return { kind: 'asking', answered: this.answered }
  }

  /** Takes back the permit of an event that was not accepted. One of a sixteenth long over is lost. */
  giveBack(cell: number): void {
    if (cell === this.unspentCell) this.unspent++
    else if (cell === this.cell) this.left++
  }

  private askIfUsed(now: number): void {
    if (this.asking || now < this.quietUntil || this.demand() < MIN_DEMAND) return
    this.asking = true
    process.nextTick(() => this.ask())
  }

  private demand(): number {
    return Math.max(this.used, this.usedBefore)
  }

  private noteUse(now: number): void {
    if (now >= this.stretchEnd) {
      const unused = Math.floor((now - this.stretchEnd) / this.stepMs)
      this.usedBefore = Math.floor(Math.max(this.used, this.usedBefore / 2) / 2 ** unused)
      this.used = 0
      this.stretchEnd = now + this.stepMs
    }
    this.used++
  }

  /** What is in hand must not be spent any more, and may be given back. */
  private putAside(): void {
    if (this.cell !== this.unspentCell) this.unspent = 0
    this.unspent += this.left
    this.unspentCell = this.cell
    this.left = 0
  }

  private async ask(): Promise<void> {
    const want = Math.min(this.demand(), this.largest)
    const unspent = { cell: this.unspentCell, permits: this.unspent }
    this.unspent = 0
    const sentAt = this.options.now()
    try {
      this.receive(await this.options.ask(want, unspent), sentAt)
    } catch (error) {
      // Neither the permits nor those given back may be counted on: both happened, or neither.
      this.quietUntil = this.options.now() + this.stepMs
      this.options.told('failed', error)
    } finally {
      this.asking = false
      this.answered = undefined
      this.endWait?.()
    }
  }

  /** Resolves when the question is answered, or has failed, or takes too long. */
  private awaitAnswer(): Promise<void> {
    return new Promise((resolve) => {
      this.endWait = resolve
      void this.options.wait(MAX_WAIT_MS).then(resolve)
    })
  }

  private receive({ permits, cell, remainingMs, waitMs }: LeasedPermits, sentAt: number): void {
    if (permits === 0) {
      this.nextAt = sentAt + waitMs
      this.refusedUntil = sentAt + Math.min(waitMs, this.stepMs)
      this.quietUntil = this.refusedUntil
      this.options.told('refused')
      return
    }
    if (cell !== this.cell) {
      this.putAside()
      this.cell = cell
      this.until = 0
    }
    this.left += permits
    this.block = permits
    this.until = Math.max(this.until, sentAt + remainingMs)
    this.options.told('granted')
  }
}
