/** Standard Webhooks and CloudEvents: type and time have fixed places, what they are about does not. */
import { peek } from '@weir/core/adapters/peek'
import type { Find } from './finding.ts'
import { guess } from './guess.ts'

export const standard: Find = ({ type, payload: json }) => {
  const guessed = guess(json)
  return {
    ...guessed,
    // `timestamp` is the specification's, `time` that of CloudEvents.
    at: [peek(json, 'timestamp'), peek(json, 'time'), ...(guessed.at ?? [])],
    state: guessed.state ?? (/\.deleted?$/.test(type) ? 'deleted' : undefined),
  }
}
