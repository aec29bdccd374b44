/** GitHub events as the gateway hands them to admission, with the headers that GitHub sends; and filling Redis with them. */
import { randomUUID } from 'node:crypto'
import {
  createDictionarySet,
  type Dictionary,
  dictionaryOf,
  loadBundledDictionaries,
} from '@weir/core/dictionaries'
import { deriveEventId, type Header, locatorOf } from '@weir/core/event'
import { createPacker } from '@weir/core/packing'
import { encodeRecord } from '@weir/core/record'
import type { Admission } from '@weir/core/stream/admit'

/** The level that the configuration has where nothing is said. */
export const DEFAULT_LEVEL = 3

export interface GithubEvent {
  readonly type: string
  readonly body: Buffer
}

/** The headers that the adapter keeps, in its order, as GitHub sends them. */
export function githubHeaders(type: string, delivery: string): readonly Header[] {
  return [
    ['content-type', 'application/json'],
    ['user-agent', 'GitHub-Hookshot/044aadd'],
    ['x-github-delivery', delivery],
    ['x-github-event', type],
    ['x-github-hook-id', '292430182'],
    ['x-github-hook-installation-target-id', '79929171'],
    ['x-github-hook-installation-target-type', 'repository'],
  ]
}

export interface PackingOptions {
  /** The bytes of a dictionary; the bundled starter where none is given, no dictionary at all for `null`. */
  readonly dictionary?: Buffer | null
  /** zstd level */
  readonly level?: number
  readonly tenant?: string
}

/** Makes admissions of events, each under a delivery id of its own. */
export function createRecorder(options: PackingOptions = {}): (event: GithubEvent) => Admission {
  const { dictionary, level = DEFAULT_LEVEL, tenant = 'default' } = options
  const dictionaries = dictionary === undefined ? loadBundledDictionaries() : new Map<string, Dictionary>()
  if (dictionary) dictionaries.set('github', dictionaryOf(dictionary))
  const packer = createPacker(createDictionarySet(dictionaries), level)
  return ({ type, body }) => {
    const delivery = randomUUID()
    const locator = locatorOf(tenant, 'github', { kind: 'delivery-id', value: delivery })
    const headers = githubHeaders(type, delivery)
    const event = {
      id: deriveEventId(locator),
      tenant,
      tool: 'github',
      type,
      receivedAt: Date.now(),
      locator,
      derived: true,
      headers,
      body,
      traceparent: '',
    }
    const fields = encodeRecord(event, packer.pack('github', headers, body))
    return { id: event.id, tool: 'github', locator, derived: true, fields, repeat: false, limits: [] }
  }
}

/** The value of a record's field. Throws where there is none. */
export function fieldOf({ fields }: Admission, name: string): string | Buffer {
  const at = fields.indexOf(name)
  const value = fields[at + 1]
  if (at < 0 || value === undefined) throw new Error(`a record has no field ${name}`)
  return value
}

/** Works through the items, so many at a time. */
export async function inPipeline<T>(
  items: Iterable<T>,
  depth: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  let waiting: Promise<unknown>[] = []
  for (const item of items) {
    waiting.push(work(item))
    if (waiting.length < depth) continue
    await Promise.all(waiting)
    waiting = []
  }
  await Promise.all(waiting)
}
