/** What sender, handler and evaluation of bench/latency.ts agree on: the clock, delivery ids, and the orders. */

/** CLOCK_MONOTONIC, which is one for all processes of a machine, ms. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** A delivery id that looks like GitHub's and carries a number; `run` keeps the ids of two runs apart. */
export function deliveryId(run: string, number: number): string {
  return `${run}-cc78-11f0-81ab-${number.toString(16).padStart(12, '0')}`
}

export function numberOfDelivery(id: string): number {
  return Number.parseInt(id.slice(-12), 16)
}

/** What the sender is told to do: deliveries `first` to `first + count`, one every 1/rate seconds, whatever happens. */
export interface Order {
  readonly rate: number
  /** The first so many are not measured. */
  readonly warmUp: number
  readonly count: number
  readonly first: number
  /** Where it writes what came of each: `COLUMNS` doubles per measured delivery. */
  readonly file: string
}

/** Columns of the sender's record; times in monotonic ms. */
export const SCHEDULED = 0
export const SENT = 1
export const ANSWERED = 2
/** Status of the answer; 0 = none. */
export const STATUS = 3
export const COLUMNS = 4

export type SenderMessage =
  | { readonly kind: 'ready' }
  /** The first measured delivery is due. */
  | { readonly kind: 'measuring' }
  /** Every delivery was answered or given up. `cpu`: what it used while measuring, seconds. */
  | { readonly kind: 'done'; readonly cpu: number; readonly connections: number }
