/** CLOCK_MONOTONIC, which is one for all processes of a machine, ms. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
