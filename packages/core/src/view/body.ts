/** Opens what was sent: bytes and headers for the one who wants them, and what they are about for the one who looks. */
import { gunzipSync } from 'node:zlib'
import type { Adapter, Subject } from '../adapters/adapter.ts'
import { parseBody } from '../adapters/parse.ts'
import { type DictionarySet, fetchDictionary } from '../dictionaries.ts'
import type { Header } from '../event.ts'
import { isFault, messageOf } from '../faults.ts'
import { NO_KEYRING, type Opener } from '../keyring/keyring.ts'
import { createUnpacker, isUnreadable, type Packed, type UnpackedBody } from '../packing.ts'
import type { Partition } from '../partition.ts'

export interface BodyFacts {
  /** Bytes as sent. */
  readonly size: number | null
  readonly contentType: string | null
  /** The full name, e.g. `pull_request.opened`; null when the body cannot be read. */
  readonly event: string | null
  readonly subject: Subject | null
  /** Why the bytes cannot be had; null when they can. */
  readonly problem: string | null
}

export interface BodyOpener {
  /** Throws what {@link isUnreadable} tells. */
  open(partition: Partition, record: Packed): Promise<UnpackedBody>
  /** What the bytes are about. Bytes that cannot be had are a fact, not a fault. */
  look(partition: Partition, record: Packed): Promise<BodyFacts>
}

export interface BodyOpenerOptions {
  readonly dictionaries: DictionarySet
  readonly adapters: ReadonlyMap<string, Adapter>
  /** Largest body, bytes. */
  readonly maxBodyBytes: number
  /** For what is encrypted. */
  readonly opener?: Opener
}

/** Headers stand beside the body in its frame; nobody sends more of them than this, bytes. */
const HEADERS_ALLOWANCE = 1 << 20

export function createBodyOpener(options: BodyOpenerOptions): BodyOpener {
  const { dictionaries, adapters, maxBodyBytes, opener = NO_KEYRING } = options
  const unpacker = createUnpacker(dictionaries, { maxBytes: maxBodyBytes + HEADERS_ALLOWANCE, opener })
  const openNow = async ({ link, keys }: Partition, record: Packed): Promise<UnpackedBody> => {
    const { dictionary, tenant } = record
    if (dictionary !== '') await fetchDictionary(link, keys, dictionaries, dictionary, tenant, opener)
    return unpacker.unpack(record)
  }
  const open = async (partition: Partition, record: Packed): Promise<UnpackedBody> => {
    try {
      return await openNow(partition, record)
    } catch (error) {
      if (!isFault(error, 'KEY_MISSING')) throw error
      await opener.lookAgain(record.tenant)
      return openNow(partition, record)
    }
  }
  return {
    open,
    async look(partition, record) {
      let unpacked: UnpackedBody
      try {
        unpacked = await open(partition, record)
      } catch (error) {
        if (!isUnreadable(error)) throw error
        return { size: null, contentType: null, event: null, subject: null, problem: messageOf(error) }
      }
      const { headers, body } = unpacked
      const contentType = headerOf(headers, 'content-type') ?? null
      const facts = { size: body.length, contentType, problem: null }
      const adapter = adapters.get(record.tool)
      const json = adapter && jsonOf(adapter, headers, body, maxBodyBytes)
      if (adapter === undefined || json === undefined) return { ...facts, event: null, subject: null }
      return {
        ...facts,
        event: adapter.eventName(record.type, json.value),
        subject: adapter.subject(record.type, json.value) ?? null,
      }
    },
  }
}

export function headerOf(headers: readonly Header[], name: string): string | undefined {
  return headers.find(([found]) => found === name)?.[1]
}

/** The parsed body; undefined when it is not what its tool sends (it will end as a dead letter, and that says why). */
function jsonOf(
  adapter: Adapter,
  headers: readonly Header[],
  body: Buffer,
  maxBytes: number,
): { readonly value: unknown } | undefined {
  let plain = body
  if (headerOf(headers, 'content-encoding') === 'gzip') {
    try {
      plain = gunzipSync(body, { maxOutputLength: maxBytes })
    } catch {
      return undefined
    }
  }
  const parsed = parseBody(adapter, headerOf(headers, 'content-type'), plain)
  return parsed.ok ? { value: parsed.json } : undefined
}
