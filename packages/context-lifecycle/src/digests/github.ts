/**
 * GitHub: which payload member says what, by event type. Times are those of the event itself wherever the payload has one;
 * what happens to a repository, team or organisation mostly carries none, and then the time of receipt has to do.
 *
 * https://docs.github.com/en/webhooks/webhook-events-and-payloads
 */
import { link, peek, text } from '@weir/core/adapters/peek'
import type { DigestSource } from '../digest.ts'
import type { Find, Finding } from './finding.ts'
import { CHANGES } from './github-changes.ts'
import { CODE } from './github-code.ts'
import type { GithubEvent, GithubFinder } from './github-event.ts'
import { OTHERS } from './github-others.ts'
import { THREADS } from './github-threads.ts'
import { hostOf } from './links.ts'

const FINDER_OF: ReadonlyMap<string, GithubFinder> = new Map(
  Object.entries({ ...OTHERS, ...CODE, ...CHANGES, ...THREADS }),
)

export const github: Find = ({ type, payload: json }: DigestSource): Finding => {
  const repository = text(json, 'repository', 'full_name')
  const event: GithubEvent = {
    json,
    action: text(json, 'action'),
    repository,
    defaultBranch: text(json, 'repository', 'default_branch'),
  }
  return {
    who: text(json, 'sender', 'login'),
    state: peek(json, 'action') === 'deleted' ? 'deleted' : undefined,
    reading: { repository, host: hostOf(link(json, 'repository', 'html_url')) },
    ...FINDER_OF.get(type)?.(event),
  }
}
