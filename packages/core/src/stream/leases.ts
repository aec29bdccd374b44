/**
 * The permits of one large limit in the hand of one gateway, so that most events need not ask Redis.
 *
 *   none ──used often enough──▶ asking ──some──▶ in hand ──running low──▶ asking for more, while they are spent
 *    ▲                             │                └──their sixteenth ends: unspent ones go back with the next question
 *    ├──failed: not asked again for a sixteenth
 *    └──none left: refused for a sixteenth, or until one may be granted
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

/** Asks Redis for permits, giving back those that were not spent. */
export type AskForPermits = (
  want: number,
  unspent: { readonly cell: number; readonly permits: number },
) => Promise<LeasedPermits>

/** `spent`: one permit, of this sixteenth. `none`: the event must be counted in Redis by itself. */
export type LeaseAnswer =
  | { readonly kind: 'spent'; readonly cell: number }
  | { readonly kind: 'none' }
  | { readonly kind: 'refused'; readonly retryAfterMs: number }

const NONE: LeaseAnswer = { kind: 'none' }

export interface LeaseOptions {
  readonly limit: RateLimit
  readonly ask: AskForPermits
  /** Monotonic, ms. */
  readonly now: () => number
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
  /** Events in this stretch of time and in the one before it, each as long as a sixteenth. */
  private used = 0
  private usedBefore = 0
  private stretchEnd = 0
  private asking = false
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

  /** For one event: spends a permit, or says what to do without. Asks for more in the background. */
  take(): LeaseAnswer {
    const now = this.options.now()
    this.noteUse(now)
    if (this.left > 0 && now >= this.until) this.putAside()
    const answer = this.answer(now)
    if (answer.kind === 'refused' || this.asking || now < this.quietUntil) return answer
    if (this.left > this.block * LOW_WATER) return answer
    const demand = Math.max(this.used, this.usedBefore)
    if (demand >= MIN_DEMAND) void this.ask(Math.min(demand, this.largest))
    return answer
  }

  /** Takes back the permit of an event that was not accepted. One of a sixteenth long over is lost. */
  giveBack(cell: number): void {
    if (cell === this.unspentCell) this.unspent++
    else if (cell === this.cell) this.left++
  }

  private answer(now: number): LeaseAnswer {
    if (this.left > 0) {
      this.left--
      return { kind: 'spent', cell: this.cell }
    }
    if (now < this.refusedUntil) return { kind: 'refused', retryAfterMs: this.nextAt - now }
    return NONE
  }

  private noteUse(now: number): void {
    if (now >= this.stretchEnd) {
      this.usedBefore = now < this.stretchEnd + this.stepMs ? this.used : 0
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

  private async ask(want: number): Promise<void> {
    this.asking = true
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
    }
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
