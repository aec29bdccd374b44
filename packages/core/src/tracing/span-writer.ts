/**
 * Spans as OTLP has them on the wire (protobuf, opentelemetry/proto/trace/v1/trace.proto), written when they end into one piece of memory.
 * As objects they wait a second for their batch, so that the garbage collector copies each of them twice; with those, and with OpenTelemetry's own
 * serializer, a traced event cost the gateway half as much again as one that is not.
 *
 * Lengths are written as wide as they might become, which protobuf allows, so that nothing is measured before it is written.
 */
import type { TraceContext } from './traceparent.ts'
import type { Attributes, FinishedSpan } from './tracer.ts'

/** Several spans, ready to be sent. */
export interface SpanBatch {
  readonly spans: number
  /** An ExportTraceServiceRequest. */
  readonly request: Uint8Array
}

export interface SpanWriter {
  readonly spans: number
  readonly bytes: number
  write(span: FinishedSpan): void
  /** All that was written since the last time. */
  take(): SpanBatch
}

/** Of a name, a key or a value; what is longer is cut off, characters. */
export const MAX_TEXT = 500
/** UTF-8 takes at most so many bytes for a character of JavaScript's. */
const UTF8 = 3
const FIRST_BYTES = 64 * 1024
/** Memory up to this is kept for the next batch: one of common spans fits in. */
const KEPT_BYTES = 512 * 1024
/** Of a span without its texts and links; of an attribute likewise; of a link, bytes. */
const SPAN_BYTES = 128
const ATTRIBUTE_BYTES = 32
const LINK_BYTES = 48
/** What a batch begins with, besides what is said of its process, bytes. */
const HEAD_BYTES = 32
const SCOPE = 'weir'
const KINDS: Readonly<Record<FinishedSpan['kind'], number>> = { internal: 1, server: 2, consumer: 5 }
const ERROR = 2
/** Flags of a span: sampled; whether its parent is remote is known; it is. */
const SAMPLED = 0x001
const REMOTE_KNOWN = 0x100
const REMOTE = 0x200
const TWO_32 = 2 ** 32

/** Values of hex digits by their character codes. */
const NIBBLES = new Uint8Array(128)
for (let digit = 0; digit < 16; digit++) NIBBLES[digit.toString(16).charCodeAt(0)] = digit

/** @param resource what is the same for all spans of this process */
export function createSpanWriter(resource: Attributes): SpanWriter {
  const said = resourceField(resource)
  let out = createBytes(FIRST_BYTES)
  let spans = 0
  return {
    get spans() {
      return spans
    },
    get bytes() {
      return out.length
    },
    write(span) {
      writeSpan(out, span)
      spans++
    },
    take() {
      const batch = { spans, request: requestOf(said, out) }
      // The batch is a copy. What a burst needed is not kept.
      if (out.memory.length > KEPT_BYTES) out = createBytes(FIRST_BYTES)
      out.length = 0
      spans = 0
      return batch
    },
  }
}

/** Memory that grows as it is written to. */
interface Bytes {
  memory: Buffer
  length: number
}

function createBytes(size: number): Bytes {
  return { memory: Buffer.allocUnsafe(size), length: 0 }
}

/** Makes room for so many more bytes. */
function reserve(out: Bytes, bytes: number): void {
  if (out.length + bytes <= out.memory.length) return
  const memory = Buffer.allocUnsafe(Math.max(2 * out.memory.length, out.length + bytes))
  out.memory.copy(memory, 0, 0, out.length)
  out.memory = memory
}

function writeSpan(out: Bytes, span: FinishedSpan): void {
  reserve(out, SPAN_BYTES + 2 * UTF8 * MAX_TEXT + span.links.length * LINK_BYTES)
  const begin = open(out, 0x12, 3)
  writeId(out, 0x0a, span.traceId)
  writeId(out, 0x12, span.spanId)
  if (span.parentId !== undefined) writeId(out, 0x22, span.parentId)
  writeText(out, 0x2a, span.name)
  out.memory[out.length++] = 0x30
  out.memory[out.length++] = KINDS[span.kind]
  writeTime(out, 0x39, span.startMs)
  writeTime(out, 0x41, span.endMs)
  writeAttributes(out, 0x4a, span.attributes)
  for (const link of span.links) writeLink(out, link)
  if (span.failure !== undefined) {
    reserve(out, SPAN_BYTES + UTF8 * MAX_TEXT)
    const status = open(out, 0x7a, 2)
    if (span.failure !== '') writeText(out, 0x12, span.failure)
    out.memory[out.length++] = 0x18
    out.memory[out.length++] = ERROR
    close(out, status, 2)
  }
  reserve(out, 8)
  writeFlags(out, 0x85, SAMPLED | REMOTE_KNOWN | (span.remoteParent ? REMOTE : 0))
  close(out, begin, 3)
}

function writeAttributes(out: Bytes, tag: number, attributes: Attributes): void {
  for (const key in attributes) {
    const value = attributes[key] as string | number | boolean
    reserve(out, ATTRIBUTE_BYTES + 2 * UTF8 * MAX_TEXT)
    const pair = open(out, tag, 2)
    writeText(out, 0x0a, key)
    const any = open(out, 0x12, 2)
    if (typeof value === 'string') writeText(out, 0x0a, value)
    else if (typeof value === 'boolean') {
      out.memory[out.length++] = 0x10
      out.memory[out.length++] = value ? 1 : 0
    } else if (Number.isSafeInteger(value) && value >= 0) {
      out.memory[out.length++] = 0x18
      writeVarint(out, value)
    } else {
      out.memory[out.length++] = 0x21
      out.length = out.memory.writeDoubleLE(value, out.length)
    }
    close(out, any, 2)
    close(out, pair, 2)
  }
  reserve(out, LINK_BYTES)
}

function writeLink(out: Bytes, { traceId, spanId, sampled }: TraceContext): void {
  reserve(out, LINK_BYTES)
  const begin = open(out, 0x6a, 2)
  writeId(out, 0x0a, traceId)
  writeId(out, 0x12, spanId)
  out.memory[out.length++] = 0x35
  out.length = out.memory.writeUInt32LE((sampled ? SAMPLED : 0) | REMOTE_KNOWN | REMOTE, out.length)
  close(out, begin, 2)
}

/** Field 16: its tag takes two bytes. */
function writeFlags(out: Bytes, tag: number, flags: number): void {
  out.memory[out.length++] = tag
  out.memory[out.length++] = 1
  out.length = out.memory.writeUInt32LE(flags, out.length)
}

/** Begins what has a length of so many bytes; returns where that stands. */
function open(out: Bytes, tag: number, width: 2 | 3): number {
  out.memory[out.length++] = tag
  const at = out.length
  out.length += width
  return at
}

/** Writes the length of what began there: seven bits a byte, the lowest first, each but the last says that more follow. */
function close({ memory, length }: Bytes, at: number, width: 2 | 3): void {
  let left = length - at - width
  for (let i = 0; i < width - 1; i++) {
    memory[at + i] = (left & 0x7f) | 0x80
    left >>= 7
  }
  memory[at + width - 1] = left
}

function writeVarint(out: Bytes, value: number): void {
  let left = value
  while (left >= 0x80) {
    out.memory[out.length++] = (left % 0x80) | 0x80
    left = Math.floor(left / 0x80)
  }
  out.memory[out.length++] = left
}

/** @param hex an even number of digits */
function writeId(out: Bytes, tag: number, hex: string): void {
  const { memory } = out
  memory[out.length++] = tag
  memory[out.length++] = hex.length / 2
  for (let i = 0; i < hex.length; i += 2)
    memory[out.length++] =
      ((NIBBLES[hex.charCodeAt(i)] as number) << 4) | (NIBBLES[hex.charCodeAt(i + 1)] as number)
}

function writeText(out: Bytes, tag: number, whole: string): void {
  const text = whole.length > MAX_TEXT ? whole.slice(0, MAX_TEXT) : whole
  const begin = open(out, tag, 2)
  const { memory } = out
  const start = out.length
  // Nearly always ASCII, and short: a call of Buffer's for each takes longer.
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 0x80) {
      out.length = start + memory.write(text, start, 'utf8')
      break
    }
    memory[out.length++] = code
  }
  close(out, begin, 2)
}

/** Nanoseconds since the epoch, 64 bits; to the microsecond, which a double of ms still knows. */
function writeTime(out: Bytes, tag: number, ms: number): void {
  const { memory } = out
  memory[out.length++] = tag
  const us = Math.round(ms * 1000)
  const low = (us % TWO_32) * 1000
  out.length = memory.writeUInt32LE(low % TWO_32, out.length)
  out.length = memory.writeUInt32LE(Math.floor(us / TWO_32) * 1000 + Math.floor(low / TWO_32), out.length)
}

/** ResourceSpans.resource */
function resourceField(resource: Attributes): Buffer {
  const out = createBytes(1024)
  const begin = open(out, 0x0a, 3)
  writeAttributes(out, 0x0a, resource)
  close(out, begin, 3)
  return out.memory.subarray(0, out.length)
}

/** ExportTraceServiceRequest { resource_spans { resource, scope_spans { scope { name }, spans… } } } */
function requestOf(resource: Buffer, { memory, length }: Bytes): Uint8Array {
  const scope = createBytes(HEAD_BYTES)
  const begin = open(scope, 0x0a, 2)
  writeText(scope, 0x0a, SCOPE)
  close(scope, begin, 2)
  const scopeSpans = createBytes(HEAD_BYTES)
  scopeSpans.memory[scopeSpans.length++] = 0x12
  writeVarint(scopeSpans, scope.length + length)
  const head = createBytes(HEAD_BYTES)
  head.memory[head.length++] = 0x0a
  writeVarint(head, resource.length + scopeSpans.length + scope.length + length)
  return Buffer.concat([
    head.memory.subarray(0, head.length),
    resource,
    scopeSpans.memory.subarray(0, scopeSpans.length),
    scope.memory.subarray(0, scope.length),
    memory.subarray(0, length),
  ])
}
