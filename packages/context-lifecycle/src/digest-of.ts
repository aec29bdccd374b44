/**
 * The digest of an event: what its tool's file finds, cut, folded and checked here, once for all tools.
 *
 * Total: it answers whatever the payload is. An unknown tool or type still has a digest, out of the event's name, its
 * subject and when it was received.
 */

import { link, TITLE_MAX } from '@weir/core/adapters/peek'
import { cut } from '@weir/core/cut'
import { type Digest, type DigestSource, MENTIONS_MAX, type Reference, TEXT_MAX, WHO_MAX } from './digest.ts'
import { alertmanager } from './digests/alertmanager.ts'
import { bitbucket } from './digests/bitbucket.ts'
import type { Find, Finding } from './digests/finding.ts'
import { fold, READ_MAX } from './digests/fold.ts'
import { generic } from './digests/generic.ts'
import { github } from './digests/github.ts'
import { gitlab } from './digests/gitlab.ts'
import { jira } from './digests/jira.ts'
import { withoutComments } from './digests/markdown.ts'
import { peopleIn } from './digests/mentions.ts'
import { pagerduty } from './digests/pagerduty.ts'
import { referencesIn } from './digests/references.ts'
import { shopify } from './digests/shopify.ts'
import { slack } from './digests/slack.ts'
import { standard } from './digests/standard.ts'
import { stripe } from './digests/stripe.ts'
import { timeAmong } from './digests/time.ts'
import { wordsOf } from './digests/words.ts'

/** Longest name kept, characters: a type and an action of 64 each, and the dot between (peek.ts). */
export const NAME_MAX = 129
/** Longest description of what was done, characters; names of labels, branches and people are in it. */
export const WHAT_MAX = 200
/** Longest name of a state, characters; Jira's are its users' own. */
export const STATE_MAX = 100

const FINDS: ReadonlyMap<string, Find> = new Map(
  Object.entries({
    alertmanager,
    bitbucket,
    generic,
    github,
    gitlab,
    jira,
    pagerduty,
    shopify,
    slack,
    standard,
    stripe,
  }),
)

export function digestOf(source: DigestSource): Digest {
  const { receivedAt, subject } = source
  const finding = (FINDS.get(source.tool) ?? generic)(source)
  const name = fold(source.name, NAME_MAX) ?? 'unknown'
  const who = fold(finding.who, WHO_MAX)
  const title = fold(finding.title, TITLE_MAX) ?? fold(subject.title, TITLE_MAX)
  const address = shownLink(finding.link) ?? shownLink(subject.url)
  const state = fold(finding.state, STATE_MAX)
  const text = fold(joined([...(finding.texts ?? []), ...(finding.unread ?? [])]), TEXT_MAX)
  const people = peopleOf(finding)
  const references = referencesOf(source, finding)
  return {
    name,
    at: timeAmong(finding.at ?? [], receivedAt) ?? receivedAt,
    ...(who === undefined ? {} : { who }),
    what: fold(finding.what, WHAT_MAX) ?? fold(wordsOf(name), WHAT_MAX) ?? name,
    ...(title === undefined ? {} : { title }),
    ...(address === undefined ? {} : { link: address }),
    ...(state === undefined ? {} : { state }),
    ...(text === undefined ? {} : { text }),
    ...(finding.severity === undefined ? {} : { severity: finding.severity }),
    ...(finding.defaultBranch === true ? { defaultBranch: true } : {}),
    ...(people.length === 0 ? {} : { people }),
    ...(references.length === 0 ? {} : { references }),
  }
}

/** What can be seen of the texts, by lines, so that the last word of one and the first of the next never become one. */
const joined = (texts: readonly (string | undefined)[]): string =>
  withoutComments(cut(texts.filter((one) => one !== undefined).join('\n'), READ_MAX))

/** An address that can be shown: http(s), and without white space, control characters or half characters. */
function shownLink(address: string | undefined): string | undefined {
  const found = link(address)
  return found !== undefined && isClean(found) && !/\s/.test(found) ? found : undefined
}

const isClean = (written: string): boolean => written.isWellFormed() && !/\p{Cc}/u.test(written)

function peopleOf(finding: Finding): readonly string[] {
  const found = new Set<string>()
  for (const name of [...peopleIn(joined(finding.texts ?? [])), ...(finding.people ?? [])]) {
    const person = fold(name?.toLowerCase(), WHO_MAX)
    if (person !== undefined) found.add(person)
    if (found.size === MENTIONS_MAX) break
  }
  return [...found]
}

function referencesOf({ tool, subject }: DigestSource, finding: Finding): readonly Reference[] {
  const written = joined([finding.title ?? subject.title, ...(finding.texts ?? []), ...(finding.read ?? [])])
  const all = [
    ...(finding.references ?? []),
    ...referencesIn(written, tool, finding.reading),
    ...(finding.further ?? []),
  ]
  const found = new Map<string, Reference>()
  for (const one of all) {
    if (one === undefined || (one.tool === tool && one.key === subject.key) || !isClean(one.key)) continue
    // A space cannot be in a tool's name, so the two never run together.
    const name = `${one.tool} ${one.key}`
    if (!found.has(name)) found.set(name, one)
    if (found.size === MENTIONS_MAX) break
  }
  return [...found.values()]
}
