/** Events to send: samples or files, signed as their sender would sign them. Loaded only when used. */
import { randomUUID } from 'node:crypto'
import { GENERIC_EVENT_HEADER } from '@weir/core/adapters/generic'
import { ADAPTERS } from '@weir/core/adapters/table'
import type { Config } from '@weir/core/config/schema'
import type { Tool } from '@weir/core/config/tools'
import { loadSamples } from '@weir/core/samples'
import { sign } from '@weir/security/schemes'
import { CommandFailure } from './exit.ts'
import { madeSecret, madeSecretsFile } from './made-secrets.ts'

export interface Outgoing {
  readonly tool: string
  /** Besides those that sign it. Lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The header that names the delivery, where the tool has one. */
  readonly deliveryIdHeader: string | undefined
  readonly body: Buffer
}

export interface SampleName {
  readonly tool: string
  readonly sample: string
}

/** What a generic sender might send; the bundled samples are of real tools. */
const GENERIC_BODY = '{"type":"deploy.finished","service":"checkout","version":"1.4.2"}'

/** Where each tool names the event, and the delivery. */
const EVENT_HEADERS: Readonly<Record<string, string>> = {
  github: 'x-github-event',
  gitlab: 'x-gitlab-event',
  bitbucket: 'x-event-key',
  shopify: 'x-shopify-topic',
  generic: GENERIC_EVENT_HEADER,
}

/** Of the others the id stands in the body, or comes with signing. */
const DELIVERY_ID_HEADERS: Readonly<Record<string, string>> = {
  github: 'x-github-delivery',
  gitlab: 'idempotency-key',
  jira: 'x-atlassian-webhook-identifier',
  bitbucket: 'x-request-uuid',
  shopify: 'x-shopify-webhook-id',
}

function deliveryIdHeaderOf(tool: string, config: Config): string | undefined {
  return tool === 'generic' ? config.webhook.tools.generic.delivery_id_header : DELIVERY_ID_HEADERS[tool]
}

export function sampleNames(directory: URL): SampleName[] {
  return [
    ...loadSamples(directory).map(({ tool, name }) => ({ tool, sample: name })),
    { tool: 'generic', sample: 'deploy.finished' },
  ]
}

/** A bundled event: by its name, by its event, or the first of the tool. Throws a CommandFailure when there is none. */
export function sampleEvent(
  directory: URL,
  config: Config,
  tool: string,
  wanted: { readonly name?: string | undefined; readonly event?: string | undefined },
): Outgoing {
  const deliveryIdHeader = deliveryIdHeaderOf(tool, config)
  if (tool === 'generic') {
    if (wanted.name !== undefined && wanted.name !== 'deploy.finished')
      throw noSample(directory, tool, wanted.name)
    const headers = {
      'content-type': 'application/json',
      [GENERIC_EVENT_HEADER]: wanted.event ?? 'deploy.finished',
    }
    return { tool, headers, deliveryIdHeader, body: Buffer.from(GENERIC_BODY) }
  }
  const samples = loadSamples(directory).filter((sample) => sample.tool === tool)
  const eventHeader = EVENT_HEADERS[tool] ?? ''
  const sample = samples.find(
    ({ name, headers }) =>
      (wanted.name === undefined || name === wanted.name) &&
      (wanted.event === undefined ||
        headers[eventHeader] === wanted.event ||
        name === wanted.event ||
        name.startsWith(`${wanted.event}.`)),
  )
  if (sample === undefined) throw noSample(directory, tool, wanted.name ?? wanted.event)
  return {
    tool,
    headers: sample.headers,
    deliveryIdHeader: sample.deliveryIdHeader ?? deliveryIdHeader,
    body: sample.body,
  }
}

function noSample(directory: URL, tool: string, name: string | undefined): CommandFailure {
  const names = sampleNames(directory).flatMap((sample) => (sample.tool === tool ? [sample.sample] : []))
  if (names.length === 0)
    return new CommandFailure(
      `no events of ${tool} are bundled; send one of your own with --file (send --list shows what is bundled).`,
    )
  return new CommandFailure(
    `there is no sample ${name} of ${tool}; there are ${names.join(', ')} (send --list shows all).`,
  )
}

/** Bytes of the user's own. Throws a CommandFailure when the tool needs to be told which event they are. */
export function ownEvent(config: Config, tool: string, body: Buffer, event: string | undefined): Outgoing {
  const eventHeader = EVENT_HEADERS[tool]
  if (tool === 'github' && event === undefined) {
    throw new CommandFailure('say which event the file is, as X-GitHub-Event would: --event push.')
  }
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  if (eventHeader !== undefined && event !== undefined) headers[eventHeader] = event
  return { tool, headers, deliveryIdHeader: deliveryIdHeaderOf(tool, config), body }
}

/**
 * All headers of one sending: another delivery each time, unless the id is given. Throws a CommandFailure for a secret
 * that the tool cannot sign with.
 */
export function headersOf(
  outgoing: Outgoing,
  config: Config,
  secret: string | undefined,
  sending: { readonly deliveryId: string | undefined; readonly nowMs: number },
): Record<string, string> {
  const { tool, headers, deliveryIdHeader, body } = outgoing
  const all: Record<string, string> = { ...headers }
  const deliveryId = sending.deliveryId ?? randomUUID()
  if (deliveryIdHeader !== undefined) all[deliveryIdHeader] = deliveryId
  const scheme = ADAPTERS.get(tool)?.signature
  if (secret === undefined || scheme === undefined) return all
  const { signature_header: signatureHeader, timestamp_header: timestampHeader } = config.webhook.security
  const timestampSeconds = Math.floor(sending.nowMs / 1000)
  const options = { timestampSeconds, deliveryId, signatureHeader, timestampHeader }
  try {
    return { ...all, ...sign(scheme, Buffer.from(secret), body, options) }
  } catch (error) {
    // Not a secret, or no delivery id, of this sender.
    if (error instanceof TypeError) throw new CommandFailure(`${error.message}.`)
    throw error
  }
}

/**
 * The secret to sign with: the configured one, else the one that `start` made. Without one: undefined where the gateway
 * is not to ask for signatures, else throws a CommandFailure.
 */
export function secretFor(tool: string, config: Config, dataDirectory: string): string | undefined {
  const { signature_secrets: secrets } = config.webhook.security
  const [configured] = secrets[tool as Tool] ?? []
  if (configured !== undefined) return configured
  const variable = `${tool.toUpperCase()}_WEBHOOK_SECRET`
  const made = madeSecret(dataDirectory, variable)
  if (made !== undefined) return made
  if (config.webhook.tools[tool as Tool]?.signature === 'none') return undefined
  throw new CommandFailure(
    `there is no secret to sign with: pass --secret or set ${variable} (${madeSecretsFile(dataDirectory)} has none either).`,
  )
}
