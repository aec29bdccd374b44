/** The bundled events (examples/events), and how each is sent as its sender would send it. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { GENERIC_DELIVERY_ID_HEADER, GENERIC_EVENT_HEADER } from '@weir/core/adapters/generic'
import { ADAPTERS } from '@weir/core/adapters/table'
import { sign } from '@weir/security/schemes'

/** How long the gateway may take for one event, ms. */
const SEND_TIMEOUT_MS = 15_000

export interface Sample {
  readonly tool: string
  readonly name: string
  readonly headers: Readonly<Record<string, string>>
  /** The bytes as sent. */
  readonly body: Buffer
}

/** The samples that index.json lists. Throws a TypeError when it is not what its README says. */
export function readSamples(index: string): Sample[] {
  const parsed: unknown = JSON.parse(readFileSync(index, 'utf8'))
  const listed = isRecord(parsed) && Array.isArray(parsed.samples) ? parsed.samples : []
  if (listed.length === 0) throw new TypeError(`${index} lists no samples`)
  return listed.map((entry: unknown) => {
    if (!isRecord(entry)) throw new TypeError(`${index}: a sample is an object`)
    const { tool, name, file, headers } = entry
    if (
      typeof tool !== 'string' ||
      typeof name !== 'string' ||
      typeof file !== 'string' ||
      !isRecord(headers)
    ) {
      throw new TypeError(`${index}: a sample has tool, name, file and headers`)
    }
    const texts = Object.fromEntries(
      Object.entries(headers).map(([header, value]) => [header, String(value)]),
    )
    return { tool, name, headers: texts, body: readFileSync(join(dirname(index), file)) }
  })
}

/** An event of a generic sender, which has no bundled example of its own. */
export const GENERIC_SAMPLE: Sample = {
  tool: 'generic',
  name: 'deploy.finished',
  headers: {
    'content-type': 'application/json',
    [GENERIC_EVENT_HEADER]: 'deploy.finished',
    [GENERIC_DELIVERY_ID_HEADER]: 'demo-0001',
  },
  body: Buffer.from('{"service":"checkout","version":"1.4.2"}'),
}

export type Secrets = Readonly<Record<string, string | undefined>>

/** The headers that prove where an event comes from; none for a tool without a secret. */
export function signatureHeaders(
  tool: string,
  body: Buffer,
  secrets: Secrets,
  nowMs: number,
): Readonly<Record<string, string>> {
  const secret = secrets[tool]
  const scheme = ADAPTERS.get(tool)?.signature
  if (secret === undefined || scheme === undefined) return {}
  const timestampSeconds = Math.floor(nowMs / 1000)
  return sign(scheme, Buffer.from(secret), body, { timestampSeconds, deliveryId: 'demo-0001' })
}

export interface Answer {
  readonly status: number
  /** `accepted` or `duplicate`, or what else the gateway says of it. */
  readonly says: string
  readonly eventId: string | undefined
}

/** Sends one event to the gateway at this base URL. */
export async function sendSample(
  gateway: string,
  sample: Sample,
  secrets: Secrets,
  nowMs: number,
): Promise<Answer> {
  const { tool, headers, body } = sample
  const response = await fetch(`${gateway}/webhooks/${tool}`, {
    method: 'POST',
    headers: { ...headers, ...signatureHeaders(tool, body, secrets, nowMs) },
    body: new Uint8Array(body),
    signal: AbortSignal.timeout(SEND_TIMEOUT_MS),
  })
  const answer: unknown = await response.json()
  const { status, event_id: eventId, code, title } = isRecord(answer) ? answer : {}
  const says = [status, code, title].find((word) => typeof word === 'string')
  return {
    status: response.status,
    says: typeof says === 'string' ? says : '',
    eventId: typeof eventId === 'string' ? eventId : undefined,
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
