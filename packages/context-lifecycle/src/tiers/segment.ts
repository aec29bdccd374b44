/**
 * A segment: some events of a context, one after another, in one zstd frame. Warm segments lie in Redis; cold ones are the same
 * bytes inside an object. Together, because the events of a subject repeat each other: of the GitHub examples one alone packs
 * 19 times smaller than its JSON, six together 49 times.
 *
 *    0  u8   version, 1
 *    1  u8   1 = the frame is sealed
 *    2  u32  events
 *    6  u32  bytes of the frame's content
 *   10  u8   length of the dictionary's id; the id
 *    …       the frame, or that sealed
 *
 * The content is every event's digest, then every event's record, each with its length (u32) before it: the elements of the
 * hot lists (elements.ts), opened. What cannot be opened any more (its key was destroyed, or its bytes are damaged) goes on as it is.
 */
import type { DictionarySet } from '@weir/core/dictionaries'
import { Fault, isFault } from '@weir/core/faults'
import { createFrameMaker, createFrameOpener } from '@weir/core/frames'
import type { Opener, Sealing } from '@weir/core/keyring/keyring'
import type { Packer, Unpacker } from '@weir/core/packing'
import { isSealed, sealBody } from '@weir/core/sealing'
import {
  decodeRawElement,
  encodeRawElement,
  isSealedLogElement,
  openLogElement,
  sealLogElement,
} from '../elements.ts'
import { corrupt } from '../head.ts'

/** Whose events they are. */
export interface Owner {
  readonly id: string
  readonly tenant: string
  readonly tool: string
}

/** Elements as they lie in the hot lists, in the order of arrival. */
export interface Elements {
  readonly digests: readonly Buffer[]
  readonly records: readonly Buffer[]
}

/** Elements as a segment holds them. */
export interface Content extends Elements {
  /** Bytes that they take in a segment. */
  readonly bytes: number
  /** Something of it was encrypted, so the segment must be. */
  readonly sealed: boolean
}

export interface SegmentHead {
  readonly sealed: boolean
  readonly events: number
  readonly contentBytes: number
  /** Id of its dictionary, or ''. */
  readonly dictionary: string
}

export interface SegmentCodec {
  /**
   * Opens elements of the hot lists. Throws Fault KEY_MISSING, DICTIONARY_MISSING or RECORD_NEWER: they stay hot until that is
   * mended.
   */
  absorb(owner: Owner, elements: Elements): Content
  /** The elements of the hot lists again, each record packed by itself. Throws Fault KEY_MISSING. */
  release(owner: Owner, content: Content): Elements
  /** Makes a segment, and sees to it that it opens as what went in. Throws Fault KEY_MISSING. */
  encode(owner: Owner, content: Content): Buffer
  /** Throws Fault KEY_MISSING, KEY_DESTROYED, DICTIONARY_MISSING or RECORD_CORRUPT. */
  decode(owner: Owner, segment: Buffer): Content
}

export interface SegmentCodecOptions {
  readonly dictionaries: DictionarySet
  /** zstd level of segments. */
  readonly level: number
  /** For records that go back to the hot lists. */
  readonly packer: Packer
  readonly unpacker: Unpacker
  /** The largest content of a segment, bytes. */
  readonly maxBytes: number
  readonly opener: Opener
  /** undefined = nothing is sealed anew; else ready for the tenants that come. */
  readonly sealing: Sealing | undefined
  /** Whether everything is sealed, or only what was. */
  readonly encrypts: boolean
}

const SEGMENT_VERSION = 1
const FIXED_BYTES = 11
const LENGTH_BYTES = 4

export function createSegmentCodec(options: SegmentCodecOptions): SegmentCodec {
  const { dictionaries, packer, unpacker, opener, sealing, encrypts } = options
  const frame = createFrameMaker(options.level)
  const frames = createFrameOpener(dictionaries, options.maxBytes)

  function sealingFor({ tenant }: Owner, sealed: boolean): Sealing | undefined {
    if (!sealed && !encrypts) return undefined
    if (sealing === undefined) {
      throw new Fault(
        'KEY_MISSING',
        `contexts of tenant ${tenant} are encrypted, and this process has no master key`,
      )
    }
    return sealing
  }

  function absorbRecord(owner: Owner, element: Buffer): Buffer {
    const record = decodeRawElement(owner.id, owner, element)
    const { encoding, bytes } = unpacker.unframe(record)
    return encodeRawElement({ ...record, encoding, dictionary: '', packed: bytes })
  }

  function releaseRecord(owner: Owner, element: Buffer, seals: Sealing | undefined): Buffer {
    const record = decodeRawElement(owner.id, owner, element)
    if (record.encoding !== 'plain' && record.encoding !== 'folded-plain') return element
    const { headers, body } = unpacker.unpack(record)
    const packed = packer.pack(owner.tool, headers, body, owner.tenant)
    return encodeRawElement({
      ...record,
      ...(seals === undefined ? packed : sealBody(seals, record, packed)),
    })
  }

  function decode(owner: Owner, segment: Buffer): Content {
    const head = segmentHead(owner.id, segment)
    const payload = segment.subarray(FIXED_BYTES + head.dictionary.length)
    const opened = head.sealed ? opener.open(owner.tenant, belonging(owner, head), payload) : payload
    if (opened === undefined) throw corrupt(owner.id, 'has a segment that was changed since it was encrypted')
    if (frames.sizeOf(opened) !== head.contentBytes)
      throw corrupt(owner.id, 'has a segment that is not one frame of the size that it says')
    const content = Buffer.allocUnsafe(head.contentBytes)
    const wrong = frames.fill(opened, head.dictionary, content)
    if (wrong !== undefined) throw corrupt(owner.id, `has a segment that ${wrong}`)
    return { ...partsOf(owner.id, content, head.events), bytes: content.length, sealed: head.sealed }
  }

  return {
    absorb(owner, { digests, records }) {
      let sealed = false
      const kept = (element: Buffer, open: (element: Buffer) => Buffer): Buffer => {
        try {
          return open(element)
        } catch (error) {
          // Nobody will ever open it: what is left of it goes on as it is.
          if (isFault(error, 'KEY_DESTROYED') || isFault(error, 'RECORD_CORRUPT')) return element
          throw error
        }
      }
      const elements = {
        digests: digests.map((element) => {
          if (!isSealedLogElement(element)) return element
          sealed = true
          return kept(element, (each) => openLogElement(owner, each, opener))
        }),
        records: records.map((element) =>
          kept(element, (each) => {
            if (isSealed(decodeRawElement(owner.id, owner, each))) sealed = true
            return absorbRecord(owner, each)
          }),
        ),
      }
      return { ...elements, bytes: bytesOf(elements), sealed }
    },
    release(owner, { digests, records, sealed }) {
      const seals = sealingFor(owner, sealed)
      return {
        digests: digests.map((element) =>
          seals === undefined || isSealedLogElement(element)
            ? element
            : sealLogElement(owner, element, seals),
        ),
        records: records.map((element) => releaseRecord(owner, element, seals)),
      }
    },
    encode(owner, content) {
      const { digests, records, bytes, sealed } = content
      const plain = Buffer.allocUnsafe(bytes)
      let at = 0
      for (const element of [...digests, ...records]) {
        at = plain.writeUInt32BE(element.length, at)
        at += element.copy(plain, at)
      }
      const dictionary = dictionaries.forEvent(owner.tenant, owner.tool)
      const seals = sealingFor(owner, sealed)
      const head: SegmentHead = {
        sealed: seals !== undefined,
        events: digests.length,
        contentBytes: bytes,
        dictionary: dictionary?.id ?? '',
      }
      const framed = frame(plain, dictionary)
      const again = Buffer.allocUnsafe(bytes)
      const wrong = frames.fill(framed, head.dictionary, again)
      if (wrong !== undefined || !again.equals(plain)) {
        throw corrupt(owner.id, `cannot be packed: what was packed ${wrong ?? 'opens as something else'}`)
      }
      const payload = seals?.seal(owner.tenant, belonging(owner, head), framed) ?? framed
      return Buffer.concat([encodeHead(head), payload])
    },
    decode,
  }
}

/** What a segment says in the clear. Throws Fault RECORD_CORRUPT, or RECORD_NEWER. */
export function segmentHead(id: string, segment: Buffer): SegmentHead {
  const [version] = segment
  if (segment.length < FIXED_BYTES || version === 0) throw corrupt(id, 'has a segment without a head')
  if (version !== SEGMENT_VERSION) {
    throw new Fault(
      'RECORD_NEWER',
      `context ${id} has a segment of version ${version}, which this version does not know; upgrade this program`,
    )
  }
  const end = FIXED_BYTES + (segment[10] as number)
  return {
    sealed: segment[1] === 1,
    events: segment.readUInt32BE(2),
    contentBytes: segment.readUInt32BE(6),
    dictionary: segment.toString('latin1', FIXED_BYTES, end),
  }
}

/** The sealed bytes of a segment, which name their key; undefined for one that is not sealed. */
export function sealedPayload(segment: Buffer): Buffer | undefined {
  return segment[1] === 1 ? segment.subarray(FIXED_BYTES + (segment[10] ?? 0)) : undefined
}

function encodeHead({ sealed, events, contentBytes, dictionary }: SegmentHead): Buffer {
  const head = Buffer.allocUnsafe(FIXED_BYTES + dictionary.length)
  head.writeUInt8(SEGMENT_VERSION, 0)
  head.writeUInt8(sealed ? 1 : 0, 1)
  head.writeUInt32BE(events, 2)
  head.writeUInt32BE(contentBytes, 6)
  head.writeUInt8(dictionary.length, 10)
  head.write(dictionary, FIXED_BYTES, 'latin1')
  return head
}

function belonging({ id, tenant }: Owner, { events, contentBytes, dictionary }: SegmentHead): string {
  return `segment\n${tenant}\n${id}\n${events}\n${contentBytes}\n${dictionary}`
}

function bytesOf({ digests, records }: Elements): number {
  let bytes = LENGTH_BYTES * (digests.length + records.length)
  for (const element of digests) bytes += element.length
  for (const element of records) bytes += element.length
  return bytes
}

/** Contents one after another. */
export function joined(contents: readonly Content[]): Content {
  return {
    digests: contents.flatMap(({ digests }) => digests),
    records: contents.flatMap(({ records }) => records),
    bytes: contents.reduce((sum, { bytes }) => sum + bytes, 0),
    sealed: contents.some(({ sealed }) => sealed),
  }
}

function partsOf(id: string, content: Buffer, events: number): Elements {
  const elements: Buffer[] = []
  let at = 0
  while (at < content.length && elements.length < 2 * events) {
    const end = at + LENGTH_BYTES <= content.length ? at + LENGTH_BYTES + content.readUInt32BE(at) : Infinity
    if (end > content.length) break
    elements.push(content.subarray(at + LENGTH_BYTES, end))
    at = end
  }
  if (at !== content.length || elements.length !== 2 * events)
    throw corrupt(id, 'has a segment whose events are not as many as it says')
  return { digests: elements.slice(0, events), records: elements.slice(events) }
}
