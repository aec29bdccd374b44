/**
 * Any sender that can be told which headers to send: the type in one, a delivery id in another. Without a
 * delivery id, the body is the identity. Nothing is known about retries, so nothing is risked: an outage
 * spools its events.
 */
import type { Adapter } from './adapter.ts'
import { deliveryId, typeName, UNKNOWN_TYPE } from './peek.ts'

export interface GenericHeaders {
  /** Lower case. The sender promises to repeat its value when it sends an event again. */
  readonly deliveryId?: string
  /** Lower case. */
  readonly event?: string
}

export const GENERIC_DELIVERY_ID_HEADER = 'x-webhook-id'
export const GENERIC_EVENT_HEADER = 'x-webhook-event'

export function createGenericAdapter(names: GenericHeaders = {}): Adapter {
  const idHeader = (names.deliveryId ?? GENERIC_DELIVERY_ID_HEADER).toLowerCase()
  const eventHeader = (names.event ?? GENERIC_EVENT_HEADER).toLowerCase()
  return {
    tool: 'generic',
    signature: 'generic',
    keptHeaders: [...new Set(['user-agent', idHeader, eventHeader])],
    readsBody: false,
    stableIds: true,
    retries: 'never',
    limitedStatus: 429,
    mediaTypes: ['application/json', 'application/cloudevents+json'],
    type: ({ headers }) => typeName(headers[eventHeader]) ?? UNKNOWN_TYPE,
    occurrence: ({ headers }) => {
      const id = deliveryId(headers[idHeader])
      return id === undefined ? undefined : { kind: 'delivery-id', value: id }
    },
    eventName: (type) => type,
    nameMembers: [],
    subject: () => undefined,
  }
}
