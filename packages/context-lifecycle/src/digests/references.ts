/**
 * References in texts: `#42`, `acme/site#42`, `!7`, keys of Jira issues, and links to things that Weir has subjects for.
 * The keys are those of the adapters' `subject`; agreement is tested against them.
 */
import type { Reference } from '../digest.ts'
import { type Reading, reference } from './finding.ts'
import { isJiraKey } from './jira-keys.ts'
import { referenceOfLink } from './links.ts'
import { withoutBlocks, withoutSigns } from './markdown.ts'

/**
 * One pass, so that references come in the order of the text. In this order at one place: a link (whose inside is not read
 * again), a Jira key, a number with its sign and perhaps a path before it.
 *
 * A Jira key may follow a lower-case word (`fix-PROJ-12`), but not be the middle of a serial number or UUID, nor be
 * followed by a fraction (`GPL-3.0`). `#42` is not one in `a#42`, `&#39;`, `/#42`.
 */
const TOKEN = new RegExp(
  [
    /(?<link>https?:\/\/[^\s<>"'`|\\^{}[\]()]{1,2000})/,
    /(?<![A-Za-z0-9_]|[A-Z0-9]-)(?<prefix>[A-Z][A-Z0-9]{1,9})-(?<serial>[1-9]\d{0,6})(?![A-Za-z0-9_]|\.\d|-\d{4}|-[0-9A-F]{4}-)/,
    /(?<![\w&#!/.@-])(?<path>(?:[\w.-]{1,100}\/){1,19}[\w.-]{1,100})?(?<sign>[#!])(?<number>[1-9]\d{0,8})(?!\w|\.\d)/,
  ]
    .map((part) => part.source)
    .join('|'),
  'g',
)

/** Most references read in one text, repeated ones among them; a digest keeps 20, each once. */
const FOUND_MAX = 1000

export function referencesIn(written: string, tool: string, reading: Reading = {}): readonly Reference[] {
  const prose = withoutSigns(withoutBlocks(written))
  const found: Reference[] = []
  for (const match of prose.matchAll(TOKEN)) {
    const { link, prefix, serial, path, sign, number } = match.groups ?? {}
    let one: Reference | undefined
    if (link !== undefined) one = referenceOfLink(link, tool, reading.host)
    else if (prefix !== undefined && serial !== undefined) {
      if (prefix === 'GH' && tool === 'github') one = reference('github', reading.repository, '#', serial)
      else if (isJiraKey(prefix)) one = reference('jira', `${prefix}-${serial}`)
    } else if (sign !== undefined && number !== undefined) {
      const before = prose.slice(Math.max(0, match.index - 14), match.index)
      one = numbered(tool, path ?? reading.repository, path !== undefined, sign, number, before)
    }
    if (one !== undefined && found.push(one) === FOUND_MAX) break
  }
  return found
}

/** What a number with a sign names depends on who writes it. */
function numbered(
  tool: string,
  repository: string | undefined,
  isPathWritten: boolean,
  sign: string,
  number: string,
  before: string,
): Reference | undefined {
  switch (tool) {
    case 'gitlab':
      return reference('gitlab', repository, sign, number)
    case 'bitbucket': {
      // Pull requests and issues have series of their own: "Merged in faster (pull request #7)".
      if (sign !== '#' || isPathWritten) return undefined
      const folder = /pull[ -]request\s*$/i.test(before) ? 'pull-requests' : 'issues'
      return reference('bitbucket', repository, `/${folder}/`, number)
    }
    default: {
      // Elsewhere only what has a path is one: `#1001` is an order in a shop, a channel in a chat. With an exclamation
      // mark it is GitLab's way; two names and a number sign are GitHub's, and GitLab's as well: GitHub's is far commoner.
      if (repository === undefined || (tool !== 'github' && !isPathWritten)) return undefined
      if (sign === '!') return tool === 'github' ? undefined : reference('gitlab', repository, sign, number)
      return repository.split('/').length === 2 ? reference('github', repository, sign, number) : undefined
    }
  }
}
