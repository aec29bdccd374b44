/** Cards for the tests beside this file. */
import { contextIdOf } from '../context-id.ts'
import type { Card } from './card.ts'

export const NOW = 1_700_000_000_000
export const DAY_MS = 86_400_000

/** A card of a pull request of tenant acme; its id follows from tenant, tool and subject, unless it is said. */
export function card(more: Partial<Card> = {}): Card {
  const made = {
    tenant: 'acme',
    tool: 'github',
    kind: 'pull_request',
    subject: 'acme/site#7',
    title: 'Change 7',
    link: 'https://github.com/acme/site/pull/7',
    state: 'open',
    severity: null,
    people: ['alice'],
    text: 'opened',
    importance: 0.5,
    lastAt: NOW,
    events: 1,
    ...more,
  }
  return { id: contextIdOf(made.tenant, made.tool, made.subject), ...made }
}
