/** The first `max` characters (UTF-16 units), without half a character at the end; one may be there already from an earlier cut. */
export function cut(written: string, max: number): string {
  const end = Math.min(written.length, max)
  const last = written.charCodeAt(end - 1)
  return written.slice(0, last >= 0xd800 && last < 0xdc00 ? end - 1 : end)
}
