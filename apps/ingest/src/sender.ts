/**
 * What the gateway does for one sending tool, decided once when it starts: how its requests are believed, what of
 * them is kept, which limits they count against.
 */
import type { Adapter } from '@weir/core/adapters/adapter'
import { createGenericAdapter } from '@weir/core/adapters/generic'
import { ADAPTERS } from '@weir/core/adapters/table'
import type { Config } from '@weir/core/config/schema'
import { TOOLS, type Tool } from '@weir/core/config/tools'
import { Fault, messageOf } from '@weir/core/faults'
import type { RateLimit } from '@weir/core/stream/limits'
import { HUB_SIGNATURE_HEADER } from '@weir/security/bitbucket'
import { type AddressList, createAddressList } from '@weir/security/cidr'
import { GITHUB_SIGNATURE_HEADER } from '@weir/security/github'
import { createVerifier, type SchemeName } from '@weir/security/schemes'
import { SHOPIFY_SIGNATURE_HEADER } from '@weir/security/shopify'
import type { Verifier } from '@weir/security/verifier'
import { type RequestHeaders, sole } from './headers.ts'
import { problem } from './problem.ts'
import type { Secrets } from './secrets.ts'
import { CHALLENGE, type Trust } from './trust.ts'

export interface Sender {
  readonly tool: Tool
  readonly adapter: Adapter
  /** How requests for this tenant are believed, with the secrets that count now. */
  trustFor(tenant: string): Trust
  /** Where its requests may come from; undefined = from anywhere. */
  readonly allowed: AddressList | undefined
  /** The hex digits that stand for the body, of a sender that signs nothing else; undefined for others. */
  bodySignature(headers: RequestHeaders): string | undefined
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
export function createSenders({ webhook }: Config, secrets: SecretsNow): ReadonlyMap<string, Sender> {
  const senders = new Map<string, Sender>()
  for (const tool of TOOLS) {
    if (webhook.tools[tool].enabled) senders.set(tool, createSender(tool, webhook, secrets))
  }
  return senders
}

/** The secrets that count, and when they change. */
type SecretsNow = Pick<Secrets, 'of' | 'edition'>

function createSender(tool: Tool, webhook: Config['webhook'], secrets: SecretsNow): Sender {
  const adapter = adapterOf(tool, webhook)
  const { spool } = webhook.ingest
  const networks = webhook.tools[tool].allow_from
  return {
    tool,
    adapter,
    trustFor: trustBy(adapter, tool, webhook, secrets),
    allowed: networks.length === 0 ? undefined : createAddressList(networks),
    bodySignature: bodySignatureBy(adapter.signature),
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

/** Senders that sign the body and nothing else, so that its signature stands for it. */
function bodySignatureBy(scheme: SchemeName): Sender['bodySignature'] {
  const hexDigitsIn = (name: string) => (headers: RequestHeaders) =>
    sole(headers, name)?.slice('sha256='.length)
  switch (scheme) {
    case 'github':
      return hexDigitsIn(GITHUB_SIGNATURE_HEADER)
    case 'bitbucket':
    case 'jira':
      return hexDigitsIn(HUB_SIGNATURE_HEADER)
    case 'shopify':
      return (headers) => {
        const value = sole(headers, SHOPIFY_SIGNATURE_HEADER)
        return value === undefined ? undefined : Buffer.from(value, 'base64').toString('hex')
      }
    default:
      return () => undefined
  }
}

/** Verifiers are made when they are first needed, and anew when secrets have changed. */
function trustBy(
  adapter: Adapter,
  tool: Tool,
  { security, tools }: Config['webhook'],
  secrets: SecretsNow,
): Sender['trustFor'] {
  if (!security.enable_signature_verification) return () => ANYONE
  if (tools[tool].signature === 'none') return () => LOCAL
  /** By their secrets: most tenants share those of the tool. */
  const trusts = new Map<readonly string[], Trust>()
  let edition = secrets.edition
  return (tenant) => {
    if (secrets.edition !== edition) {
      trusts.clear()
      edition = secrets.edition
    }
    const own = secrets.of(tool, tenant)
    let trust = trusts.get(own)
    if (trust === undefined) {
      trust =
        own.length === 0
          ? withoutSecret(tool)
          : { kind: 'signed', verifier: verifierOf(adapter, own, { security, tools }) }
      trusts.set(own, trust)
    }
    return trust
  }
}

const ANYONE: Trust = { kind: 'anyone' }
const LOCAL: Trust = { kind: 'local' }

/** Throws a TypeError for what is no secret of that tool. */
function verifierOf(
  adapter: Adapter,
  secrets: readonly string[],
  { security, tools }: Pick<Config['webhook'], 'security' | 'tools'>,
): Verifier {
  return createVerifier(
    adapter.signature,
    secrets.map((secret) => Buffer.from(secret)),
    {
      signatureHeader: security.signature_header,
      timestampHeader: security.timestamp_header,
      toleranceMs: security.timestamp_tolerance,
      issuers: tools.jira.connect_issuers,
      basePath: tools.jira.connect_base_path ?? '',
    },
  )
}

/** Throws a Fault CONFIG_INVALID when these are no secrets that requests of the tool can be verified with. */
export function checkSecrets({ webhook }: Config): (tool: Tool, secrets: readonly string[]) => void {
  return (tool, secrets) => {
    try {
      verifierOf(adapterOf(tool, webhook), secrets, webhook)
    } catch (cause) {
      throw new Fault('CONFIG_INVALID', `the secrets of ${tool} cannot be used: ${messageOf(cause)}`, {
        cause,
      })
    }
  }
}

function withoutSecret(tool: Tool): Trust {
  return nobody(
    `The gateway has no secret for ${tool}; set ${tool.toUpperCase()}_WEBHOOK_SECRET to the one that the sender signs with.`,
  )
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
