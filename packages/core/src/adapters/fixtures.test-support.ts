/** Requests as the gateway hands them to an adapter, for the tests beside this file. */
import { readFileSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { createRequire } from 'node:module'
import type { AdapterRequest } from './adapter.ts'

export function request(headers: IncomingHttpHeaders, json?: unknown, body?: Buffer): AdapterRequest {
  return { headers, json, body: body ?? Buffer.from(json === undefined ? '{}' : JSON.stringify(json)) }
}

export interface GithubExamples {
  /** The event's type, e.g. `pull_request`. */
  readonly name: string
  readonly examples: readonly Readonly<Record<string, unknown>>[]
}

/** All payloads of the npm package @octokit/webhooks-examples. Read, not imported: 4 MB of JSON have no useful type. */
export function githubExamples(): readonly GithubExamples[] {
  const path = createRequire(import.meta.url).resolve('@octokit/webhooks-examples')
  return JSON.parse(readFileSync(path, 'utf8'))
}
