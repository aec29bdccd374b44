/**
 * Contexts of a pipeline, with events in them:
 *
 *   const contexts = contextsOf(pipeline)
 *   await pipeline.accept({ type: 'pull_request', json: pullRequest(7, 'opened') })
 *   const [id] = await contexts.remember(...(await pipeline.read('consumer-1')))
 */

import type { Assembly } from '../../packages/context-lifecycle/src/assembly.ts'
import { assembleContexts } from '../../packages/context-lifecycle/src/assembly.ts'
import type { ColdStore } from '../../packages/context-lifecycle/src/cold/cold-store.ts'
import type { ContextId } from '../../packages/context-lifecycle/src/context-id.ts'
import { type ContextKeys, contextKeys } from '../../packages/context-lifecycle/src/context-keys.ts'
import type { ContextPlace } from '../../packages/context-lifecycle/src/context-place.ts'
import { ADAPTERS } from '../../packages/core/src/adapters/table.ts'
import { type Clock, systemClock } from '../../packages/core/src/clock.ts'
import {
  createDictionarySet,
  type DictionarySet,
  loadBundledDictionaries,
} from '../../packages/core/src/dictionaries.ts'
import { deriveEventId, locatorOf } from '../../packages/core/src/event.ts'
import type { HandlerEvent } from '../../packages/core/src/handlers/handler.ts'
import { NO_KEYRING, type Opener, type Sealing } from '../../packages/core/src/keyring/keyring.ts'
import { partitionKeys } from '../../packages/core/src/keys.ts'
import { createPacker, createUnpacker } from '../../packages/core/src/packing.ts'
import { decodeRecord, type EventRecord, encodeRecord } from '../../packages/core/src/record.ts'
import type { RedisLink } from '../../packages/core/src/redis/link.ts'
import { sealBody } from '../../packages/core/src/sealing.ts'

export interface TestContexts extends Assembly {
  readonly keys: ContextKeys
  readonly place: ContextPlace
  /** Puts events into their contexts, as a consumer does. */
  remember(...entries: readonly { readonly record: EventRecord }[]): Promise<ContextId[]>
}

export interface TestContextsOptions {
  /** Several shards, and which one a context is in; default: one, beside the stream. */
  readonly places?: readonly [ContextPlace, ...ContextPlace[]]
  readonly placeOf?: (id: ContextId) => ContextPlace
  /** Default: none, and nothing goes cold. */
  readonly store?: ColdStore | undefined
  readonly keyring?: Sealing | undefined
  /** Default: where there is a keyring. */
  readonly encrypts?: boolean
  readonly keyOf?: (sealed: Buffer) => string | undefined
  readonly segmentBytes?: number
  readonly clock?: Clock
  readonly dictionaries?: DictionarySet
  /** How long accesses are noted, ms; default: they are not. */
  readonly noteAccessesMs?: number
}

/** Contexts beside a stream without a Cluster, and what moves them. */
export function assembled(
  link: RedisLink,
  options: TestContextsOptions = {},
): Assembly & Pick<TestContexts, 'keys' | 'place'> {
  const keys = contextKeys('webhook-events', false, 0)
  const place = { link, keys }
  const { keyring, store, encrypts = keyring !== undefined } = options
  const assembly = assembleContexts({
    places: options.places ?? [place],
    placeOf: options.placeOf ?? (() => place),
    home: { link, keys: partitionKeys(NAMES) },
    dictionaries: options.dictionaries ?? createDictionarySet(loadBundledDictionaries()),
    maxLearned: 10,
    keyring,
    encrypts,
    keyOf: options.keyOf ?? (() => undefined),
    store: async () => {
      if (store === undefined) throw new Error('this test has no cold storage')
      return store
    },
    hotLevel: 3,
    warmLevel: 6,
    maxRecordBytes: 64 << 20,
    segmentBytes: options.segmentBytes ?? 4 << 20,
    clock: options.clock ?? systemClock,
    coldReadMs: 5_000,
    accessNotes: options.noteAccessesMs === undefined ? undefined : { keepMs: options.noteAccessesMs },
  })
  return { ...assembly, keys, place }
}

const NAMES = {
  stream: 'webhook-events',
  deadLetters: 'webhook-events-dlq',
  group: 'webhook-processors',
  cluster: false,
}

/** @param sealing what is written is encrypted with it; default: it is not */
export function contextsOf(pipeline: { readonly link: RedisLink }, sealing?: Sealing): TestContexts {
  const all = assembled(pipeline.link, { keyring: sealing })
  const { contexts } = all
  return {
    ...all,
    async remember(...entries) {
      const ids: ContextId[] = []
      for (const { record } of entries)
        ids.push((await contexts.append(eventOf(record, sealing), record)).context)
      return ids
    },
  }
}

/** An event as a consumer has it. */
export function eventOf(record: EventRecord, opener: Opener = NO_KEYRING): HandlerEvent {
  const { id, tenant, tool, type, receivedAt } = record
  const dictionaries = createDictionarySet(loadBundledDictionaries())
  const { headers, body } = createUnpacker(dictionaries, { opener }).unpack(record)
  const payload: unknown = JSON.parse(body.toString())
  const adapter = ADAPTERS.get(tool)!
  return {
    ...{ id, tenant, tool, type, receivedAt, attempt: 1, body, payload, headers: new Map(headers) },
    name: adapter.eventName(type, payload),
    subject: adapter.subject(type, payload),
  }
}

/** What is sent; default: something of a pull request, of tenant acme. */
export interface Sent {
  readonly delivery: string
  readonly json: unknown
  readonly type?: string
  readonly tenant?: string
  readonly tool?: string
  /** ms */
  readonly receivedAt?: number
  /** Encrypts it; ready for its tenant. */
  readonly keyring?: Sealing
}

const packer = createPacker(createDictionarySet(loadBundledDictionaries()), 3)

/** Its record, as a gateway makes it, and the bytes that were sent. */
export function recordOf(sent: Sent): { readonly record: EventRecord; readonly body: Buffer } {
  const { delivery, json, type = 'pull_request', tenant = 'acme', tool = 'github', keyring } = sent
  const { receivedAt = 1_700_000_000_000 } = sent
  const locator = locatorOf(tenant, tool, { kind: 'delivery-id', value: delivery })
  const body = Buffer.from(JSON.stringify(json))
  const headers = [['content-type', 'application/json']] as const
  const identity = { id: deriveEventId(locator), locator, derived: true }
  const event = { ...identity, tenant, tool, type, receivedAt, headers, body, traceparent: '' }
  const packed = packer.pack(tool, headers, body, tenant)
  const fields = encodeRecord(event, keyring === undefined ? packed : sealBody(keyring, event, packed))
  return { record: decodeRecord(fields.map((field) => Buffer.from(field as string))), body }
}

/** What GitHub sends of a pull request, so far as it is of use here. */
export function pullRequest(number: number, action: string, more: Readonly<Record<string, unknown>> = {}) {
  return {
    action,
    number,
    pull_request: {
      number,
      title: `Change ${number}`,
      html_url: `https://github.com/acme/site/pull/${number}`,
      state: action === 'closed' ? 'closed' : 'open',
      merged: false,
      user: { login: 'alice' },
      ...more,
    },
    repository: { full_name: 'acme/site', default_branch: 'main' },
    sender: { login: 'alice' },
  }
}
