/**
 * What the gateway does for one sending tool, decided once when it starts: how its requests are believed, what of
 * them is kept, which limits they count against.
 */
import type { Adapter } from '@weir/core/adapters/adapter'
import { createGenericAdapter } from '@weir/core/adapters/generic'
import { ADAPTERS } from '@weir/core/adapters/table'
import type { Config } from '@weir/core/config/schema'
import { TOOLS, type Tool } from '@weir/core/config/tools'
import type { RateLimit } from '@weir/core/stream/limits'
import { createGenericVerifier } from '@weir/security/generic'
import { createGithubVerifier } from '@weir/security/github'
import { problem } from './problem.ts'
import { CHALLENGE, type Trust } from './trust.ts'

export interface Sender {
  readonly tool: Tool
  readonly adapter: Adapter
  readonly trust: Trust
  readonly mediaTypes: readonly string[]
  /** Content-Encodings it may use. */
  readonly encodings: ReadonlySet<string>
  /** Lower-case names of the headers kept with the event. */
  readonly keeps: readonly string[]
  /** True when an event's id is derived from the sender's delivery id (where the request has one). */
  readonly derivesIds: boolean
  /** The global limit and its own, where there are any. */
  readonly limits: readonly RateLimit[]
  /** Whether the spool takes its events while Redis cannot. */
  readonly spools: boolean
}

const SECOND_MS = 1000

/** The enabled tools by name. */
export function createSenders({ webhook }: Config): ReadonlyMap<string, Sender> {
  const senders = new Map<string, Sender>()
  for (const tool of TOOLS) {
    if (webhook.tools[tool].enabled) senders.set(tool, createSender(tool, webhook))
  }
  return senders
}

function createSender(tool: Tool, webhook: Config['webhook']): Sender {
  const adapter = adapterOf(tool, webhook)
  const { spool } = webhook.ingest
  return {
    tool,
    adapter,
    trust: trustOf(adapter, tool, webhook),
    mediaTypes: adapter.mediaTypes,
    encodings: new Set(webhook.tools[tool].content_encodings),
    keeps: ['content-type', 'content-encoding', ...adapter.keptHeaders],
    derivesIds: adapter.stableIds && webhook.deduplication.window_configs[tool].max_size === 1,
    limits: limitsOf(tool, webhook.security),
    spools: spool.enabled && (spool.for === 'all' || adapter.retries === 'never'),
  }
}

function adapterOf(tool: Tool, webhook: Config['webhook']): Adapter {
  if (tool === 'generic') {
    return createGenericAdapter({ deliveryId: webhook.tools.generic.delivery_id_header })
  }
  const adapter = ADAPTERS.get(tool)
  if (adapter === undefined)
    throw new Error(`the configuration knows ${tool}, but there is no adapter for it`)
  return adapter
}

function trustOf(adapter: Adapter, tool: Tool, { security, tools }: Config['webhook']): Trust {
  if (!security.enable_signature_verification) return { kind: 'anyone' }
  if (tools[tool].signature === 'none') return { kind: 'local' }
  if (adapter.signature === 'none') {
    return nobody(
      `Signatures of ${tool} cannot be verified by this version; set webhook.tools.${tool}.signature: none to accept its events from this machine only.`,
    )
  }
  const secrets = security.signature_secrets[tool]?.map((secret) => Buffer.from(secret)) ?? []
  if (secrets.length === 0) {
    return nobody(
      `The gateway has no secret for ${tool}; set ${tool.toUpperCase()}_WEBHOOK_SECRET to the one that the sender signs with.`,
    )
  }
  if (adapter.signature === 'github') return { kind: 'signed', verifier: createGithubVerifier(secrets) }
  const verifier = createGenericVerifier({
    secrets,
    signatureHeader: security.signature_header,
    timestampHeader: security.timestamp_header,
    toleranceMs: security.timestamp_tolerance,
  })
  return { kind: 'signed', verifier }
}

function nobody(detail: string): Trust {
  return { kind: 'nobody', problem: problem('SECRET_NOT_CONFIGURED', detail, CHALLENGE) }
}

function limitsOf(tool: Tool, security: Config['webhook']['security']): readonly RateLimit[] {
  if (!security.enable_rate_limiting) return []
  const limits: RateLimit[] = []
  if (security.global_rate_limit > 0) {
    limits.push({ type: 'global', name: 'all', limit: security.global_rate_limit, periodMs: SECOND_MS })
  }
  const own = security.per_tool_rate_limits[tool]
  if (own > 0) limits.push({ type: 'tool', name: tool, limit: own, periodMs: SECOND_MS })
  return limits
}
