/** Made-up traces of arriving events, per second. */
const HOUR = 3_600
export const DAY_SECONDS = 24 * HOUR
export const BURST_SECONDS = HOUR

/** Share of the peak at full hours, UTC of a team in one time zone: night, a steep morning, lunch, an evening that runs out. */
const DAY = [5, 4, 4, 4, 5, 8, 15, 35, 70, 95, 100, 95, 70, 80, 95, 98, 90, 70, 45, 30, 22, 15, 10, 7]

/** @param peak events per second in the busiest hour */
export function day(peak: number): (second: number) => number {
  return (second) => {
    const hour = Math.floor(second / HOUR) % 24
    const share = (second % HOUR) / HOUR
    return (peak * (DAY[hour]! * (1 - share) + DAY[(hour + 1) % 24]! * share)) / 100
  }
}

const RISE_SECONDS = 10
const BURST_AT = 10 * 60
const BURST_ENDS = 20 * 60

/**
 * Steady, then for ten minutes so many times as much within ten seconds: a monorepo is pushed, or everything alerts.
 * @param base events per second
 */
export function burst(base: number, factor: number): (second: number) => number {
  return (second) => {
    if (second < BURST_AT || second >= BURST_ENDS) return base
    const risen = Math.min(1, (second - BURST_AT) / RISE_SECONDS)
    return base * (1 + (factor - 1) * risen)
  }
}
