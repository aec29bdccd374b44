/** What GitHub's finders are given. A file of its own, as the table imports them and they would import the table. */
import type { Finding } from './finding.ts'

export interface GithubEvent {
  readonly json: unknown
  readonly action: string | undefined
  /** `acme/site` */
  readonly repository: string | undefined
  readonly defaultBranch: string | undefined
}

export type GithubFinder = (event: GithubEvent) => Finding
