/** Events of contexts as a consumer has them: read, and packed as they lay in the stream. */
import { ADAPTERS } from '@weir/core/adapters/table'
import type { DictionarySet } from '@weir/core/dictionaries'
import { deriveEventId, locatorOf } from '@weir/core/event'
import type { HandlerEvent } from '@weir/core/handlers/handler'
import { createPacker } from '@weir/core/packing'
import { decodeRecord, type EventRecord, encodeRecord } from '@weir/core/record'
import { DEFAULT_LEVEL, type GithubEvent, githubHeaders } from './records.ts'

export interface ContextEvent {
  readonly event: HandlerEvent
  readonly record: EventRecord
}

const github = ADAPTERS.get('github')!

/** Makes events of pull requests `acme/site#<number>`, whatever they say themselves. */
export function createContextEvents(
  tenant: string,
  dictionaries: DictionarySet,
): (number: number, delivery: string, receivedAt: number, event: GithubEvent) => ContextEvent {
  const packer = createPacker(dictionaries, DEFAULT_LEVEL)
  return (number, delivery, receivedAt, { type, body }) => {
    const locator = locatorOf(tenant, 'github', { kind: 'delivery-id', value: delivery })
    const headers = githubHeaders(type, delivery)
    const identity = { id: deriveEventId(locator), tenant, tool: 'github', type, receivedAt }
    const packed = packer.pack('github', headers, body, tenant)
    const whole = { ...identity, locator, derived: true, headers, body, traceparent: '' }
    const record = decodeRecord(encodeRecord(whole, packed).map((field) => Buffer.from(field as string)))
    const payload = JSON.parse(body.toString())
    const event = {
      ...{ ...identity, attempt: 1, headers: new Map(headers), body, payload },
      name: github.eventName(type, payload),
      subject: { key: `acme/site#${number}`, kind: 'pull_request' },
    }
    return { event, record }
  }
}
