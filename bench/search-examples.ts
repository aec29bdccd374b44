/**
 * The contexts that all real examples make: GitHub's of @octokit/webhooks-examples, those of its enterprise servers that are
 * not among them, and the bundled ones of Jira, GitLab and Alertmanager.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Context, composeContext, type TimelineEntry } from '@weir/context-lifecycle/compose'
import { contextIdOf } from '@weir/context-lifecycle/context-id'
import { digestOf } from '@weir/context-lifecycle/digest-of'
import { ADAPTERS } from '@weir/core/adapters/table'
import { loadSamples } from '@weir/core/samples'
import { githubPayloads } from './payloads.ts'

interface Sent {
  readonly tool: string
  readonly type: string
  readonly body: Buffer
}

/** When the examples are received, ms: the newest that tell their time are older. */
export const RECEIVED_AT = Date.UTC(2026, 0, 13)

export function exampleContexts(tenant: string): readonly Context[] {
  const grouped = new Map<
    string,
    {
      readonly tool: string
      readonly kind: string
      readonly subject: string
      readonly entries: TimelineEntry[]
    }
  >()
  for (const [n, { tool, type, body }] of distinct([...bundled(), ...github()]).entries()) {
    const payload: unknown = JSON.parse(body.toString())
    const adapter = ADAPTERS.get(tool)!
    const subject = adapter.subject(type, payload) ?? { key: `type/${type}`, kind: 'type' }
    const name = adapter.eventName(type, payload)
    const receivedAt = RECEIVED_AT + n
    const digest = digestOf({ tool, type, name, receivedAt, payload, subject })
    const id = contextIdOf(tenant, tool, subject.key)
    const group = grouped.get(id) ?? { tool, kind: subject.kind, subject: subject.key, entries: [] }
    group.entries.push({ eventId: `evt_${n}`, type, receivedAt, digest })
    grouped.set(id, group)
  }
  return [...grouped].map(([id, { tool, kind, subject, entries }]) =>
    composeContext(
      {
        id,
        tenant,
        tool,
        kind,
        subject,
        events: entries.length,
        rawBytes: 0,
        accesses: 0,
        lastAccessAt: undefined,
        tier: 'hot',
        withheld: undefined,
      },
      entries,
    ),
  )
}

function bundled(): Sent[] {
  return loadSamples(new URL('../examples/events/', import.meta.url)).map(({ tool, headers, body }) => {
    const json: unknown = JSON.parse(body.toString())
    return { tool, type: ADAPTERS.get(tool)!.type({ headers, body, json }), body }
  })
}

const SERVERS = ['31', '32', '33', '34', '35']

function github(): Sent[] {
  const first = createRequire(import.meta.url).resolve('@octokit/webhooks-examples')
  const ofServers = SERVERS.flatMap((server) => {
    const file = first.replace('api.github.com', `ghes-${server}`)
    const all = JSON.parse(readFileSync(file, 'utf8')) as { name: string; examples: unknown[] }[]
    return all.flatMap(({ name, examples }) =>
      examples.map((example) => ({ type: name, body: Buffer.from(JSON.stringify(example)) })),
    )
  })
  return [...githubPayloads(), ...ofServers].map((sent) => ({ tool: 'github', ...sent }))
}

/** Each body once: the servers' examples are mostly the same. */
function distinct(all: readonly Sent[]): Sent[] {
  const seen = new Set<string>()
  return all.filter(({ tool, type, body }) => {
    const key = `${tool} ${type} ${body}`
    return !seen.has(key) && seen.add(key) !== undefined
  })
}
