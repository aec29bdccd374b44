/**
 * Where contexts lie that nobody has asked for in a long time: whole objects under names, in S3 (s3-store.ts) or in a
 * directory (directory-store.ts). Every place does the same, which cold-store.test-support.ts specifies.
 *
 * A name has segments of `[A-Za-z0-9._=-]`, with `/` between them, no segment `.` or `..`: it is a path in a directory and
 * needs no escape in a URL. Where `a` is an object, do not make an `a/b`: S3 has both, directories and MinIO refuse it.
 * Whatever else lies in the bucket or directory is passed over.
 */

export interface ColdObject {
  readonly name: string
  /** Its size. */
  readonly bytes: number
}

/**
 * Every operation throws Fault COLD_UNAVAILABLE (the place is away, slow, busy or full: try again later) or COLD_REFUSED
 * (somebody has to change something, which the message says), RangeError for what is no name, and what the signal says when
 * that aborts.
 */
export interface ColdStore {
  /** For logs and errors: 's3://bucket' or the directory. */
  readonly place: string
  /** The whole object is durable when this resolves. The same name again replaces it: readers see the one or the other. */
  put(name: string, bytes: Buffer, signal?: AbortSignal): Promise<void>
  /** undefined: there is none of that name. */
  get(name: string, signal?: AbortSignal): Promise<Buffer | undefined>
  /** Harmless when it is gone. */
  delete(name: string, signal?: AbortSignal): Promise<void>
  /**
   * Objects whose names begin so, in the order of their names (bytewise), after `after`; pages inside. What is put or
   * deleted meanwhile may be in it or not.
   */
  list(prefix: string, after?: string, signal?: AbortSignal): AsyncIterable<ColdObject>
  /** Ends what is under way, as unavailable. Harmless when repeated. */
  close(): void
}

/** Of S3; a name is ASCII, so characters are bytes. */
const MAX_NAME = 1024
/** Of file systems. */
const MAX_SEGMENT = 255
const SEGMENT = /^(?!\.{1,2}$)[A-Za-z0-9._=-]+$/
const SEGMENT_BEGINNING = /^[A-Za-z0-9._=-]*$/

export function isName(text: string): boolean {
  return text.length <= MAX_NAME && text.split('/').every(isSegment)
}

export function isSegment(text: string): boolean {
  return text.length <= MAX_SEGMENT && SEGMENT.test(text)
}

/** Throws RangeError. */
export function checkName(name: string): void {
  if (!isName(name)) throw new RangeError(`not the name of a cold object: ${JSON.stringify(name)}`)
}

/** Throws RangeError for what no name begins with. '' is the beginning of all. */
export function checkBeginning(beginning: string): void {
  const segments = beginning.split('/')
  const last = segments.pop() as string
  if (!segments.every(isSegment) || !SEGMENT_BEGINNING.test(last))
    throw new RangeError(`no name of a cold object begins like this: ${JSON.stringify(beginning)}`)
}

/** The order of names: that of their bytes, which are their characters, unlike that of any language. */
export function byName(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
