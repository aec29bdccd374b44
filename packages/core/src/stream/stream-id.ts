/** Stream ids: `<ms since the epoch, Redis time>-<sequence>`. */

/** Orders stream ids (`ms-seq`) as Redis does. */
export function compareStreamIds(a: string, b: string): number {
  const [aMs, aSeq] = a.split('-') as [string, string?]
  const [bMs, bSeq] = b.split('-') as [string, string?]
  return Number(aMs) - Number(bMs) || Number(aSeq ?? 0) - Number(bSeq ?? 0)
}

/** The ms part: when the entry was appended, by Redis' clock. */
export function streamIdMillis(streamId: string): number {
  return Number(streamId.slice(0, streamId.indexOf('-')))
}

/** The greatest id below this one. */
export function streamIdBefore(streamId: string): string {
  const [ms, seq] = streamId.split('-') as [string, string]
  return seq === '0' ? `${BigInt(ms) - 1n}-18446744073709551615` : `${ms}-${BigInt(seq) - 1n}`
}
