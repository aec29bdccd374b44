/** The operators' token. */
import { createHash, timingSafeEqual } from 'node:crypto'

/**
 * Tells whether an Authorization header carries the token, in time that does not depend on how much of it is right.
 * Throws a TypeError for an empty token: everybody would have it.
 */
export function bearerCheck(token: string): (authorization: string | undefined) => boolean {
  if (token === '') throw new TypeError('the operators token must not be empty')
  const expected = digest(token)
  return (authorization) => {
    // RFC 9110, 11.1: the scheme's case does not matter.
    const shown = /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
    return timingSafeEqual(digest(shown ?? ''), expected) && shown !== undefined
  }
}

/** Equal length for whatever is compared. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
