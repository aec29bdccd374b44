/** Putting a subject together: limits its parts, leaves out what is missing. */
import { createHash } from 'node:crypto'
import { cut } from '../cut.ts'
import type { Subject } from './adapter.ts'
import { SUBJECT_KEY_MAX, TITLE_MAX } from './peek.ts'

/**
 * A subject, or undefined when a part of its key is missing. A key longer than SUBJECT_KEY_MAX becomes its
 * SHA-256, so that it stays stable and distinct; a longer title than TITLE_MAX is cut.
 */
export function subject(
  kind: string,
  key: readonly (string | undefined)[],
  about: { readonly title?: string | undefined; readonly url?: string | undefined } = {},
): Subject | undefined {
  let joined = ''
  for (const part of key) {
    if (part === undefined) return undefined
    joined += part
  }
  if (joined.length > SUBJECT_KEY_MAX) joined = `sha256:${createHash('sha256').update(joined).digest('hex')}`
  return {
    key: joined,
    kind,
    ...(about.title === undefined ? {} : { title: cut(about.title, TITLE_MAX) }),
    ...(about.url === undefined ? {} : { url: about.url }),
  }
}
