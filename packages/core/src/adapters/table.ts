/** The tools that Weir knows. A new one is one file beside this one, one line here, and its tests. */
import type { Adapter } from './adapter.ts'
import { alertmanager } from './alertmanager.ts'
import { bitbucket } from './bitbucket.ts'
import { createGenericAdapter } from './generic.ts'
import { github } from './github.ts'
import { gitlab } from './gitlab.ts'
import { jira } from './jira.ts'
import { pagerduty } from './pagerduty.ts'
import { shopify } from './shopify.ts'
import { slack } from './slack.ts'
import { standard } from './standard.ts'
import { stripe } from './stripe.ts'

export const ADAPTERS: ReadonlyMap<string, Adapter> = new Map(
  [
    ...[github, jira, gitlab, alertmanager, createGenericAdapter()],
    ...[bitbucket, stripe, slack, shopify, pagerduty, standard],
  ].map((adapter) => [adapter.tool, adapter]),
)

/** The adapter of a tool, undefined for a tool that is not known (the gateway answers 404). */
export function adapterFor(tool: string): Adapter | undefined {
  return ADAPTERS.get(tool)
}
