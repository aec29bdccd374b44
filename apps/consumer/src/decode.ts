/**
 * From a record to what a handler is given. Everything that could be wrong with an event is looked for here, before any
 * handler runs; what only a handler may want (payload, body, headers, name, subject) is made when it is asked for.
 *
 * Bodies are unpacked into one piece of memory, where the JSON scanner sees that they are JSON: the event decoded last
 * stands there until the next one is. A handler that reads its payload before it waits for anything is served from there;
 * one that reads it later has the record unpacked once more.
 */
import { isUtf8 } from 'node:buffer'
import { gunzipSync } from 'node:zlib'
import type { Adapter, Subject } from '@weir/core/adapters/adapter'
import { isJsonType, MAX_JSON_DEPTH, parseBody } from '@weir/core/adapters/parse'
import type { EventId, Header } from '@weir/core/event'
import { messageOf } from '@weir/core/faults'
import { type HandlerEvent, PermanentError } from '@weir/core/handlers/handler'
import { createJsonScanner, type JsonScanner } from '@weir/core/json/scan'
import type { Unpacker } from '@weir/core/packing'
import type { EventRecord } from '@weir/core/record'

/** The dead letter's reason: what class of error it was. */
export class MalformedEvent extends PermanentError {
  override readonly name = 'MalformedEvent'
}

export interface Decoder {
  /** Throws Fault DICTIONARY_MISSING, RECORD_NEWER or RECORD_CORRUPT, or {@link MalformedEvent}. */
  decode(record: EventRecord, attempt: number): DecodedEvent
}

/** What a handler is given; as long as its attempt lasts, and for handlers that go on after that. */
export interface DecodedEvent extends HandlerEvent {
  /**
   * The attempt is over. Lets go of what was made for it and can be made again: V8's collector of young objects takes many
   * events for living after their end, and with their payloads it stood still for 20 to 60 ms every second, without them for 5.
   */
  release(): void
}

/** Where bodies are unpacked. */
interface Desk {
  readonly unpacker: Unpacker
  readonly scanner: JsonScanner
  /** Whose body stands in the scanner's memory. */
  holder: OneEvent | undefined
}

/** Where the body of an event is: in the desk's memory, as long as the event is its holder. */
interface Place {
  readonly start: number
  readonly end: number
}

/** What was read of it at once, because the body is not plain JSON. */
interface Opened {
  readonly body: Buffer
  readonly payload: unknown
}

class OneEvent implements DecodedEvent {
  readonly id: EventId
  readonly tenant: string
  readonly tool: string
  readonly type: string
  readonly receivedAt: number
  readonly attempt: number
  readonly #desk: Desk
  readonly #record: EventRecord
  readonly #adapter: Adapter
  readonly #headerList: readonly Header[]
  readonly #place: Place | undefined
  #headers: ReadonlyMap<string, string> | undefined
  #name: string | undefined
  #body: Buffer | undefined
  #payload: unknown
  #parsed: boolean

  constructor(
    desk: Desk,
    record: EventRecord,
    adapter: Adapter,
    headers: readonly Header[],
    attempt: number,
    contents: Place | Opened,
  ) {
    this.id = record.id
    this.tenant = record.tenant
    this.tool = record.tool
    this.type = record.type
    this.receivedAt = record.receivedAt
    this.attempt = attempt
    this.#desk = desk
    this.#record = record
    this.#adapter = adapter
    this.#headerList = headers
    if ('body' in contents) {
      this.#place = undefined
      this.#body = contents.body
      this.#payload = contents.payload
      this.#parsed = true
    } else {
      this.#place = contents
      this.#parsed = false
    }
  }

  release(): void {
    if (this.#place === undefined) return
    this.#payload = undefined
    this.#parsed = false
    this.#body = undefined
  }

  get headers(): ReadonlyMap<string, string> {
    this.#headers ??= new Map(this.#headerList)
    return this.#headers
  }

  get body(): Buffer {
    if (this.#body === undefined) {
      const here = this.#here()
      this.#body =
        here === undefined
          ? this.#desk.unpacker.unpack(this.#record).body
          : Buffer.from(this.#desk.scanner.memory.subarray(here.start, here.end))
    }
    return this.#body
  }

  get payload(): unknown {
    if (!this.#parsed) {
      const here = this.#here()
      this.#payload = JSON.parse(
        here === undefined
          ? this.body.toString('utf8')
          : this.#desk.scanner.memory.toString('utf8', here.start, here.end),
      )
      this.#parsed = true
    }
    return this.#payload
  }

  get name(): string {
    this.#name ??= this.#adapter.eventName(this.type, this.#named())
    return this.#name
  }

  get subject(): Subject | undefined {
    return this.#adapter.subject(this.type, this.payload)
  }

  #here(): Place | undefined {
    return this.#desk.holder === this ? this.#place : undefined
  }

  /** The payload, or as much of it as the adapter's eventName looks at. */
  #named(): unknown {
    const { nameMembers } = this.#adapter
    if (nameMembers.length === 0 || this.#parsed) return this.#payload
    const picked = this.#here() && this.#desk.scanner.pick(nameMembers)
    return picked ?? this.payload
  }
}

/** @param maxBodyBytes the largest body after decompression */
export function createDecoder(
  adapters: ReadonlyMap<string, Adapter>,
  unpacker: Unpacker,
  maxBodyBytes: number,
): Decoder {
  const desk: Desk = { unpacker, scanner: createJsonScanner(), holder: undefined }
  const { memory, scan } = desk.scanner

  /** What is no JSON as it is: forms, gzip, bodies larger than the scanner's memory, and what is wrong. */
  const open = (adapter: Adapter, headers: readonly Header[], body: Buffer): Opened => {
    const plain = headerOf(headers, 'content-encoding') === 'gzip' ? gunzip(body, maxBodyBytes) : body
    const parsed = parseBody(adapter, headerOf(headers, 'content-type'), plain)
    if (!parsed.ok) throw new MalformedEvent(parsed.reason)
    return { body, payload: parsed.json }
  }

  return {
    decode(record, attempt) {
      const adapter = adapters.get(record.tool)
      if (adapter === undefined) {
        throw new PermanentError(`no adapter for tool ${record.tool}; was it accepted by a newer gateway?`)
      }
      desk.holder = undefined
      const placed = unpacker.unpackInto(record, memory)
      if (placed === undefined) {
        const { headers, body } = unpacker.unpack(record)
        return new OneEvent(desk, record, adapter, headers, attempt, open(adapter, headers, body))
      }
      const { headers, start, end } = placed
      if (
        headerOf(headers, 'content-encoding') === undefined &&
        isJsonType(adapter, headerOf(headers, 'content-type')) &&
        isUtf8(memory.subarray(start, end)) &&
        scan(start, end, MAX_JSON_DEPTH).kind === 'valid'
      ) {
        const event = new OneEvent(desk, record, adapter, headers, attempt, placed)
        desk.holder = event
        return event
      }
      const body = Buffer.from(memory.subarray(start, end))
      return new OneEvent(desk, record, adapter, headers, attempt, open(adapter, headers, body))
    },
  }
}

/** The value of a header that an event has once; the last one, as in a map. */
function headerOf(headers: readonly Header[], name: string): string | undefined {
  for (let i = headers.length - 1; i >= 0; i--) if (headers[i]?.[0] === name) return headers[i]?.[1]
  return undefined
}

/** A body that was sent with `Content-Encoding: gzip` is stored as sent, and opened here. */
function gunzip(body: Buffer, maxBytes: number): Buffer {
  try {
    return gunzipSync(body, { maxOutputLength: maxBytes })
  } catch (cause) {
    throw new MalformedEvent(`gzip body cannot be opened within ${maxBytes} bytes (${messageOf(cause)})`, {
      cause,
    })
  }
}
