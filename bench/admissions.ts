/** The GitHub example events as a gateway hands them to admission: packed, with derived ids. */
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import { deriveEventId, locatorOf } from '@weir/core/event'
import { createPacker } from '@weir/core/packing'
import { encodeRecord } from '@weir/core/record'
import type { Admission } from '@weir/core/stream/admit'
import { deliveries } from './payloads.ts'

/** `count` admissions with ids of their own; packed with the starter dictionary at the default level, 3. */
export function* githubAdmissions(count: number, prefix: string): Generator<Admission> {
  const packer = createPacker(createDictionarySet(loadBundledDictionaries()), 3)
  for (const { id: value, type, body } of deliveries(count, prefix)) {
    const locator = locatorOf('default', 'github', { kind: 'delivery-id', value })
    const id = deriveEventId(locator)
    const headers = [
      ['content-type', 'application/json'],
      ['x-github-delivery', value],
    ] as const
    const event = {
      id,
      tenant: 'default',
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
    yield { id, tool: 'github', locator, derived: true, fields, repeat: false, limits: [] }
  }
}
