/** Digests of payloads as the consumer asks for them: type, name and subject are the adapter's. */
import { readFileSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { createRequire } from 'node:module'
import type { Adapter } from '@weir/core/adapters/adapter'
import { adapterFor } from '@weir/core/adapters/table'
import type { Digest, DigestSource } from '../digest.ts'
import { digestOf } from '../digest-of.ts'

/** Later than every example. */
export const RECEIVED_AT = Date.UTC(2026, 5, 1)

function adapterOf(tool: string): Adapter {
  const adapter = adapterFor(tool)
  if (adapter === undefined) throw new Error(`no adapter of ${tool}`)
  return adapter
}

/** @param type the event's type where a header has it; else the adapter reads it from the payload */
export function sourceOf(tool: string, payload: unknown, type?: string): DigestSource {
  const adapter = adapterOf(tool)
  const headers: IncomingHttpHeaders = {}
  const told = type ?? adapter.type({ headers, json: payload, body: Buffer.from('{}') })
  return {
    tool,
    type: told,
    name: adapter.eventName(told, payload),
    receivedAt: RECEIVED_AT,
    payload,
    subject: adapter.subject(told, payload) ?? { key: 'nothing', kind: 'nothing' },
  }
}

export const digest = (tool: string, payload: unknown, type?: string): Digest =>
  digestOf(sourceOf(tool, payload, type))

/** `2019-05-15T15:20:33.000Z` of a digest; undefined where the time is that of receipt. */
export const timeOf = ({ at }: Digest): string | undefined =>
  at === RECEIVED_AT ? undefined : new Date(at).toISOString()

/** `github acme/site#42` for each reference. */
export const keysOf = ({ references = [] }: Digest): readonly string[] =>
  references.map(({ tool, key }) => `${tool} ${key}`)

export function sample(file: string): unknown {
  const path = new URL(`../../../../examples/events/samples/${file}.json`, import.meta.url)
  return JSON.parse(readFileSync(path, 'utf8'))
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
