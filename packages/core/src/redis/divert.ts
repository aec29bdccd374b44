/**
 * Takes the reply of one command past the client's own decoder.
 *
 * ioredis 6 decodes 25 values of an event in 10 µs, because its decoder was compiled for engines without private fields
 * (each access is a look-up in a WeakMap); on the same bytes a decoder that knows what comes takes 1 µs. So the reply's
 * bytes go to a sink, and the client is handed `+OK` in their place: its queue, time-outs and reconnects stay as they are.
 * Errors and nulls are the client's as ever.
 */
import type { Redis } from 'ioredis'

/** What takes the bytes of one reply, a list, as they come. */
export interface ReplySink {
  /** True when the reply is complete. The bytes stay as they are afterwards and may be kept. Throws when they are no reply. */
  write(chunk: Buffer): boolean
}

export interface Diverter {
  /** The next reply on this connection, if it is a list, goes to the sink. */
  begin(sink: ReplySink): void
  /** True when it went there. Ends the connection when that reply is still coming; other replies go to the client again. */
  end(): boolean
}

const STAND_IN = Buffer.from('+OK\r\n')
const LIST = 0x2a
const MINUS = 0x2d

/** For a client on whose connection at most one command is under way while a reply is diverted. */
export function createDiverter(redis: Pick<Redis, 'stream'>): Diverter {
  let tapped: Redis['stream'] | undefined
  let sink: ReplySink | undefined
  let state: 'not begun' | 'begun' | 'poured' | 'not a list' = 'not begun'
  let first: Buffer | undefined

  const tap = (stream: Redis['stream']) => {
    if (stream === tapped) return
    tapped = stream
    const clients = stream.listeners('data') as ((chunk: Buffer) => void)[]
    const pass = (chunk: Buffer) => {
      for (const client of clients) client.call(stream, chunk)
    }
    stream.on('data', (chunk: Buffer) => {
      if (sink === undefined || state === 'poured' || state === 'not a list') return pass(chunk)
      let bytes = chunk
      if (state === 'not begun') {
        if (first !== undefined) bytes = Buffer.concat([first, chunk])
        first = undefined
        if (bytes.length === 1) {
          first = bytes // a list, or the null that is written as one?
          return
        }
        if (bytes[0] !== LIST || bytes[1] === MINUS) {
          state = 'not a list'
          return pass(bytes)
        }
        state = 'begun'
      }
      try {
        if (!sink.write(bytes)) return
      } catch (error) {
        // Nothing on this connection can be trusted any more; the client reports its end and connects anew.
        stream.destroy(error as Error)
        return
      }
      state = 'poured'
      pass(STAND_IN)
    })
    for (const client of clients) stream.off('data', client)
  }

  return {
    begin(next) {
      tap(redis.stream)
      sink = next
      state = 'not begun'
      first = undefined
    },
    end() {
      if (sink === undefined) return false
      sink = undefined
      // What is still to come of it would be taken for the next reply.
      if (state === 'begun' || first !== undefined) tapped?.destroy()
      return state === 'poured'
    },
  }
}
