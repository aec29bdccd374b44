import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from './clock.ts'
import { createDictionarySet, loadBundledDictionaries } from './dictionaries.ts'
import { deriveEventId, locatorOf, type WebhookEvent } from './event.ts'
import { createDirectoryStore } from './keyring/directory-store.ts'
import { createKeyring, type Keyring } from './keyring/keyring.ts'
import { createPacker, createUnpacker } from './packing.ts'
import { decodeRecord, type EventRecord, encodeRecord } from './record.ts'
import { isSealed, sealBody } from './sealing.ts'

const directory = mkdtempSync(join(tmpdir(), 'weir-sealing-'))
const keyring: Keyring = createKeyring({
  store: createDirectoryStore(directory),
  cipher: createTenantCipher(['Zk3v0qXo9dT1uB7sYw5LmN8rHc2JfPgAeQiKtVx4']),
  maxTenants: 10,
  refreshMs: 10_000,
  clock: systemClock,
  tell: () => undefined,
})
const dictionaries = createDictionarySet(loadBundledDictionaries())
const packer = createPacker(dictionaries, 3)
const unpacker = createUnpacker(dictionaries, { opener: keyring })

beforeAll(() => Promise.all([keyring.prepare('acme'), keyring.prepare('other')]))
afterAll(async () => {
  await keyring.stop()
  rmSync(directory, { recursive: true })
})

function recordOf(tool: string, body: Buffer, tenant = 'acme', delivery = '1'): EventRecord {
  const locator = locatorOf(tenant, tool, { kind: 'delivery-id', value: delivery })
  const event: WebhookEvent = {
    id: deriveEventId(locator),
    tenant,
    tool,
    type: 'push',
    receivedAt: 1_700_000_000_000,
    locator,
    derived: true,
    headers: [['content-type', 'application/json']],
    body,
    traceparent: '',
  }
  return decodeRecord(
    encodeRecord(event, sealBody(keyring, event, packer.pack(tool, event.headers, body, tenant))),
  )
}

function outcome(record: EventRecord): string {
  try {
    return unpacker.unpack(record).body.toString()
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}

describe('an encrypted event', () => {
  it('gives back the same headers and bytes, however it is packed', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('github', 'generic', 'jira'),
        fc.oneof(
          fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes)),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (tool, body) => {
          const record = recordOf(tool, body)
          expect(isSealed(record)).toBe(true)
          const { headers, body: opened } = unpacker.unpack(record)
          expect(headers).toEqual([['content-type', 'application/json']])
          expect(opened.equals(body)).toBe(true)
          const target = Buffer.alloc(4_000)
          const placed = unpacker.unpackInto(record, target)
          expect(placed && target.subarray(placed.start, placed.end).equals(body)).toBe(true)
        },
      ),
    )
  })

  it('shows nothing of its body or headers', () => {
    const body = Buffer.from(JSON.stringify({ secret: 'a word that compresses badly: q7Zk3v0qXo9d' }))
    const { packed } = recordOf('generic', body)
    for (const part of ['a word', 'q7Zk3v0', 'secret', 'content-type', '\x28\xb5\x2f\xfd'])
      expect(packed.includes(Buffer.from(part, 'latin1')), part).toBe(false)
  })

  it('is bound to its record: put into any other, or with anything else said of it, it does not open', () => {
    const record = recordOf('github', Buffer.from('{"a":1}'))
    expect(outcome(record)).toBe('{"a":1}')
    const elsewhere = recordOf('github', Buffer.from('{"a":1}'), 'acme', '2')
    for (const change of [
      { id: elsewhere.id },
      { tool: 'generic' },
      { type: 'ping' },
      { receivedAt: record.receivedAt + 1 },
      { dictionary: '' },
      { encoding: 'sealed-plain' },
      { packed: elsewhere.packed },
    ]) {
      expect(outcome({ ...record, ...change }), JSON.stringify(Object.keys(change))).toBe('RECORD_CORRUPT')
    }
    // Another tenant does not have that key at all.
    expect(outcome({ ...record, tenant: 'other' })).toBe('KEY_MISSING')
  })

  it('is not taken for a plain one, nor a plain one for it', () => {
    const record = recordOf('generic', Buffer.from('{}'))
    expect(outcome({ ...record, encoding: 'zstd' })).toBe('RECORD_CORRUPT')
    const plain = packer.pack('generic', [], Buffer.from('{}'))
    expect(outcome({ ...record, ...plain, encoding: 'sealed-zstd' })).toBe('RECORD_CORRUPT')
    expect(outcome({ ...record, encoding: 'sealed-unheard-of' })).toBe('RECORD_CORRUPT')
  })
})
