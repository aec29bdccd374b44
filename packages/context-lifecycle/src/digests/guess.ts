/**
 * What payloads of unknown make mostly call things. A guess that misses finds nothing; it never finds the wrong kind of
 * thing, as each place must hold what is looked for (a time, a link, a word).
 */
import { link, peek, text } from '@weir/core/adapters/peek'
import type { Finding } from './finding.ts'
import { severityOf } from './severity.ts'
import { members } from './time.ts'

const TIMES = [
  'timestamp',
  'time',
  'occurred_at',
  'occurredAt',
  'event_time',
  'updated_at',
  'updatedAt',
  'created_at',
  'createdAt',
  'created',
  'date',
] as const
const PEOPLE = ['actor', 'user', 'author', 'sender', 'agent', 'by', 'username'] as const
const NAMES = ['login', 'username', 'name', 'display_name', 'displayName'] as const
const TITLES = ['title', 'subject', 'name', 'summary'] as const
const LINKS = ['html_url', 'url', 'link', 'web_url', 'href'] as const
const STATES = ['state', 'status'] as const
const TEXTS = ['message', 'text', 'description', 'body', 'comment', 'content'] as const
const SEVERITIES = ['severity', 'level'] as const

function first<T>(names: readonly string[], find: (name: string) => T | undefined): T | undefined {
  for (const name of names) {
    const found = find(name)
    if (found !== undefined) return found
  }
  return undefined
}

const whoIn = (value: unknown): string | undefined =>
  first(PEOPLE, (name) => text(value, name) ?? first(NAMES, (inner) => text(value, name, inner)))

/** Only a word is a state: `active`, not a sentence, a code or an object. */
const stateIn = (value: unknown): string | undefined =>
  first(STATES, (name) => {
    const found = text(value, name)
    return found !== undefined && /^[A-Za-z][\w -]{0,39}$/.test(found) ? found.toLowerCase() : undefined
  })

/** Inner objects first: outside of them stands what the sender says of the message. */
export function guess(json: unknown): Finding {
  const places = [
    peek(json, 'data', 'object'),
    peek(json, 'data'),
    peek(json, 'event'),
    peek(json, 'payload'),
    json,
  ].filter((value) => typeof value === 'object' && value !== null && !Array.isArray(value))
  const found = <T>(find: (place: unknown) => T | undefined): T | undefined => {
    for (const place of places) {
      const one = find(place)
      if (one !== undefined) return one
    }
    return undefined
  }
  return {
    // The message's own time is the event's; a thing's times may be older.
    at: [json, ...places].flatMap((place) => members(place, ...TIMES)),
    who: found(whoIn),
    title: found((place) => first(TITLES, (name) => text(place, name))),
    link: found((place) => first(LINKS, (name) => link(place, name))),
    state: found(stateIn),
    texts: [found((place) => first(TEXTS, (name) => text(place, name)))],
    severity: found((place) => first(SEVERITIES, (name) => severityOf(text(place, name)))),
  }
}
