/** Any other sender: everything is guessed, and the name is the payload's own where no header told one. */
import { text, UNKNOWN_TYPE } from '@weir/core/adapters/peek'
import type { Find } from './finding.ts'
import { guess } from './guess.ts'
import { wordsOf } from './words.ts'

export const generic: Find = ({ name, payload: json }) => {
  const told = text(json, 'action') ?? text(json, 'event') ?? text(json, 'event_type') ?? text(json, 'type')
  return { ...guess(json), what: name === UNKNOWN_TYPE && told !== undefined ? wordsOf(told) : undefined }
}
