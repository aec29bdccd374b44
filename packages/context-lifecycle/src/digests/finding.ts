/**
 * What a tool's file finds in a payload, as it stands there: not cut, not folded, not checked. `digestOf` does that once for
 * all of them, so that a tool's file only says where things are.
 */
import { peek } from '@weir/core/adapters/peek'
import { subject } from '@weir/core/adapters/subject'
import type { DigestSource, Reference, Severity } from '../digest.ts'

/** How the tool writes references, and where those without a name belong. */
export interface Reading {
  /** Whose `#42` is it: `acme/site`. */
  readonly repository?: string | undefined
  /** The tool's own host, for links to an installation whose name does not tell what it is. */
  readonly host?: string | undefined
}

export interface Finding {
  /** Where the time may stand, best first; the first that can be a time of this event counts. */
  readonly at?: readonly unknown[] | undefined
  readonly who?: string | undefined
  /** Where missing, the event's name says what was done. */
  readonly what?: string | undefined
  /** Where missing, the subject's. */
  readonly title?: string | undefined
  /** Where missing, the subject's. */
  readonly link?: string | undefined
  readonly state?: string | undefined
  /** What was written by this event: kept as the text, and read for people and references. */
  readonly texts?: readonly (string | undefined)[] | undefined
  /** Kept behind the texts for searches and read for nothing: labels. */
  readonly unread?: readonly (string | undefined)[] | undefined
  /** Read for references but not kept: branch names, and what an earlier event wrote. */
  readonly read?: readonly (string | undefined)[] | undefined
  readonly severity?: Severity | undefined
  readonly defaultBranch?: boolean | undefined
  /** People concerned, besides those that the texts name. */
  readonly people?: readonly (string | undefined)[] | undefined
  /** What the payload itself joins to the subject; before those that texts name, as it is certain. */
  readonly references?: readonly (Reference | undefined)[] | undefined
  /** Those that may crowd out others (the commits of a push); after those that texts name. */
  readonly further?: readonly (Reference | undefined)[] | undefined
  /** How the tool writes references. */
  readonly reading?: Reading | undefined
}

export type Find = (source: DigestSource) => Finding

/** Most members of an array looked at. A push of GitHub may have 2,048 commits; a digest has room for 20 references. */
const LIST_MAX = 100

/** The first members of the array at a path; none where there is no array. */
export function list(value: unknown, ...path: readonly (string | number)[]): readonly unknown[] {
  const found = peek(value, ...path)
  return Array.isArray(found) ? found.slice(0, LIST_MAX) : []
}

/** How many members the array at a path has. */
export function count(value: unknown, ...path: readonly (string | number)[]): number {
  const found = peek(value, ...path)
  return Array.isArray(found) ? found.length : 0
}

/**
 * Longest part of a key believed, characters. Longer ones are no names of anything; a text may refer to them thousands of
 * times, and each time the whole would be hashed (300 KB as a workspace's id, with 75,000 channels: two minutes).
 */
const PART_MAX = 1024

/** A reference by the parts of its key, put together (and hashed, where too long) as the adapters do; undefined where one is missing. */
export function reference(tool: string, ...key: readonly (string | undefined)[]): Reference | undefined {
  if (key.some((part) => part !== undefined && part.length > PART_MAX)) return undefined
  const joined = subject('', key)?.key
  return joined === undefined || joined === '' ? undefined : { tool, key: joined }
}

/** `1 commit`, `3 commits`, `2 repositories`. */
export const counted = (number: number, noun: string): string =>
  `${number} ${number === 1 ? noun : noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`}`

/** `assigned to alice`; only the words before it where the name is missing. */
export const named = (words: string, name: string | undefined): string =>
  name === undefined ? words : `${words} ${name}`

/** The first line: of a commit message, its title. */
export const firstLine = (message: string | undefined): string | undefined =>
  message?.trimStart().split('\n', 1)[0]
