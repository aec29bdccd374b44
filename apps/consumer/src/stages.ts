/**
 * What happens to an event between reading and settling, in order:
 *
 *   1 decode    unpack the body, parse it, name the event and its subject
 *   2 context   (takes its place here when contexts are built)
 *   3 fan out   the user's handlers
 *
 * A stage ends the event's way by throwing: PermanentError → dead-lettered at once, Fault DICTIONARY_MISSING → waits
 * without using up attempts, anything else → retried.
 */
import { gunzipSync } from 'node:zlib'
import type { Adapter } from '@weir/core/adapters/adapter'
import { parseBody } from '@weir/core/adapters/parse'
import { messageOf } from '@weir/core/faults'
import { type Handler, type HandlerEvent, PermanentError } from '@weir/core/handlers/handler'
import type { Unpacker } from '@weir/core/packing'
import type { EventRecord } from '@weir/core/record'
import type { Logger } from 'pino'

/** The dead letter's reason: what class of error it was. */
export class MalformedEvent extends PermanentError {
  override readonly name = 'MalformedEvent'
}

export interface Decoder {
  /** Throws Fault DICTIONARY_MISSING or RECORD_CORRUPT, or {@link MalformedEvent}. */
  decode(record: EventRecord, attempt: number): HandlerEvent
}

/** @param maxBodyBytes the largest body after decompression */
export function createDecoder(
  adapters: ReadonlyMap<string, Adapter>,
  unpacker: Unpacker,
  maxBodyBytes: number,
): Decoder {
  return {
    decode(record, attempt) {
      const adapter = adapters.get(record.tool)
      if (adapter === undefined) {
        throw new PermanentError(`no adapter for tool ${record.tool}; was it accepted by a newer gateway?`)
      }
      const { headers, body } = unpacker.unpack(record)
      const named = new Map(headers)
      const plain = named.get('content-encoding') === 'gzip' ? gunzip(body, maxBodyBytes) : body
      const parsed = parseBody(adapter, named.get('content-type'), plain)
      if (!parsed.ok) throw new MalformedEvent(parsed.reason)
      const json = parsed.json
      return {
        id: record.id,
        tenant: record.tenant,
        tool: record.tool,
        type: record.type,
        name: adapter.eventName(record.type, json),
        receivedAt: record.receivedAt,
        headers: named,
        payload: json,
        body,
        get subject() {
          return adapter.subject(record.type, json)
        },
        attempt,
      }
    },
  }
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

export interface FanOut {
  /** Handlers for an event, in the order of definition; the same array for the same name. */
  handlersFor(event: HandlerEvent): readonly Handler[]
}

/**
 * A handler wants an event whose name or type it lists, or lists `*`. Which handlers want which is worked out once for
 * each name and type that any handler lists, so that the memory does not grow with what senders invent.
 */
export function createFanOut(handlers: readonly Handler[]): FanOut {
  const NONE: readonly Handler[] = []
  const byTool = new Map<string, { readonly listed: Set<string>; readonly lists: Map<string, Handler[]> }>()
  for (const { tool, events } of handlers) {
    const entry = byTool.get(tool) ?? { listed: new Set<string>(), lists: new Map<string, Handler[]>() }
    byTool.set(tool, entry)
    for (const event of events) entry.listed.add(event)
  }
  return {
    handlersFor(event) {
      const entry = byTool.get(event.tool)
      if (entry === undefined) return NONE
      const name = entry.listed.has(event.name) ? event.name : ''
      const type = entry.listed.has(event.type) ? event.type : ''
      const key = `${name} ${type}`
      let list = entry.lists.get(key)
      if (list === undefined) {
        const wanted = new Set(['*', name, type])
        list = handlers.filter(
          ({ tool, events }) => tool === event.tool && events.some((each) => wanted.has(each)),
        )
        entry.lists.set(key, list)
      }
      return list
    },
  }
}

/** One attempt at an event, as its handlers see it. */
export interface Attempt {
  /** Aborts when the attempt is over; made when it is first asked for. */
  signal(): AbortSignal
  /** True when its time is up: no further handler is started. */
  over(): boolean
}

/** Runs an event's handlers one after the other; the first failure, or the end of its time, ends the attempt. */
export async function runHandlers(
  handlers: readonly Handler[],
  event: HandlerEvent,
  attempt: Attempt,
  log: Logger,
): Promise<void> {
  for (const handler of handlers) {
    if (attempt.over()) return
    await handler.run(event, {
      get signal() {
        return attempt.signal()
      },
      get log() {
        return log.child({ handler: handler.name, event_id: event.id })
      },
      idempotencyKey: `${event.id}:${handler.name}`,
    })
  }
}
