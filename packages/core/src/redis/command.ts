/**
 * Script calls, put on the wire by hand. ioredis asks for the length of each of forty arguments and writes them one by
 * one: 10 µs for an admission. Here all text between two buffers is one write, into memory that is there already: 2 µs.
 *
 *   *5 CRLF $7 CRLF EVALSHA CRLF $40 CRLF <sha1> CRLF $1 CRLF 2 CRLF $<bytes of the key> CRLF <key> CRLF …
 *   (https://redis.io/docs/latest/develop/reference/protocol-spec/)
 */
import { Command } from 'ioredis'
import { type Clock, systemClock } from '../clock.ts'
import { createDeadlines, type Deadlines } from './deadlines.ts'
import type { RedisArg, Script } from './script.ts'

/**
 * An EVALSHA whose bytes are ready; replies are Buffers. Sent with `redis.sendCommand`, it is a command as any other:
 * queue and rejection are ioredis' own, and so is the time-out but for its timer. It has no `args`, so nothing of an
 * event can end in an error.
 */
class ScriptCommand extends Command {
  readonly #wire: Buffer
  readonly #deadlines: Deadlines

  constructor(wire: Buffer, deadlines: Deadlines) {
    super('evalsha')
    this.#wire = wire
    this.#deadlines = deadlines
  }

  /** Called by ioredis with `commandTimeout`, where there is one. */
  override setTimeout(ms: number): void {
    this.#deadlines.add(this, ms)
  }

  override toWritable(): Buffer {
    return this.#wire
  }
}

/** Makes the command that runs a script; for one connection, as it keeps memory that is being sent. */
export type ScriptCommands = (script: Script, keys: readonly string[], args: readonly RedisArg[]) => Command

/** What commands are written into, one after the other, until it is full; then into the next. */
const SLAB_BYTES = 64 * 1024
/** Most bytes of a length line ($, ten digits, CRLF) and of the CRLF after the argument. */
const FRAME_BYTES = 15
/** Most bytes that a number's text has: all digits of the largest one. */
const NUMBER_BYTES = 310

/** The usual length lines, so that they need not be made. */
const LENGTH_LINES: readonly string[] = Array.from({ length: 2048 }, (_, bytes) => `$${bytes}\r\n`)

export function createScriptCommands(clock: Pick<Clock, 'monotonic'> = systemClock): ScriptCommands {
  const deadlines = createDeadlines(clock)
  let slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  let free = 0
  /** By script, then by how many arguments the command has in all: everything up to the number of keys. */
  const beginnings = new Map<Script, Map<number, Buffer>>()

  function beginningOf(script: Script, count: number): Buffer {
    let own = beginnings.get(script)
    if (own === undefined) {
      own = new Map()
      beginnings.set(script, own)
    }
    let beginning = own.get(count)
    if (beginning === undefined) {
      const { sha1 } = script
      beginning = Buffer.from(`*${count + 3}\r\n$7\r\nEVALSHA\r\n$${sha1.length}\r\n${sha1}\r\n`)
      own.set(count, beginning)
    }
    return beginning
  }

  return (script, keys, args) => {
    const beginning = beginningOf(script, keys.length + args.length)
    let most = beginning.length + FRAME_BYTES + NUMBER_BYTES
    for (let i = 0; i < keys.length; i++) most += FRAME_BYTES + mostBytes(keys[i] as string)
    for (let i = 0; i < args.length; i++) most += FRAME_BYTES + mostBytes(args[i] as RedisArg)
    if (most > SLAB_BYTES) {
      const own = Buffer.allocUnsafeSlow(most)
      return new ScriptCommand(own.subarray(0, writeCommand(own, 0, beginning, keys, args)), deadlines)
    }
    if (most > SLAB_BYTES - free) {
      slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
      free = 0
    }
    const start = free
    free = writeCommand(slab, start, beginning, keys, args)
    return new ScriptCommand(slab.subarray(start, free), deadlines)
  }
}

function mostBytes(arg: RedisArg): number {
  // UTF-8 takes at most three bytes for each UTF-16 unit.
  if (typeof arg === 'string') return arg.length * 3
  return typeof arg === 'number' ? NUMBER_BYTES : arg.length
}

/** Integers with all their digits, as ioredis writes them; a script would read 1e+21 as something else. */
function textOf(value: number): string {
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(value).toString() : String(value)
}

/** Writes a command; where the next one may begin. */
function writeCommand(
  to: Buffer,
  start: number,
  beginning: Buffer,
  keys: readonly string[],
  args: readonly RedisArg[],
): number {
  to.set(beginning, start)
  const from = start + beginning.length
  return writeAscii(to, from, keys, args) ?? writeAny(to, from, keys, args)
}

/**
 * What nearly all commands are: texts of ASCII and buffers. Then a text has as many bytes as it is long, and all between
 * two buffers can be joined and written at once. Undefined when some text turns out to have more.
 */
function writeAscii(
  to: Buffer,
  start: number,
  keys: readonly string[],
  args: readonly RedisArg[],
): number | undefined {
  let at = start
  let text = framed(String(keys.length))
  for (let i = 0; i < keys.length; i++) text += framed(keys[i] as string)
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as RedisArg
    if (typeof arg === 'string') text += framed(arg)
    else if (typeof arg === 'number') text += framed(textOf(arg))
    else {
      text += lengthLine(arg.length)
      if (to.write(text, at) !== text.length) return undefined
      at += text.length
      if (arg.length > 0) to.set(arg, at)
      at += arg.length
      text = '\r\n'
    }
  }
  return to.write(text, at) === text.length ? at + text.length : undefined
}

function framed(ascii: string): string {
  return `${lengthLine(ascii.length)}${ascii}\r\n`
}

function lengthLine(bytes: number): string {
  return LENGTH_LINES[bytes] ?? `$${bytes}\r\n`
}

/** The same for any text, one by one. */
function writeAny(to: Buffer, start: number, keys: readonly string[], args: readonly RedisArg[]): number {
  let at = start
  for (const arg of [keys.length, ...keys, ...args]) {
    const value = typeof arg === 'number' ? textOf(arg) : arg
    const bytes = Buffer.byteLength(value)
    at += to.write(lengthLine(bytes), at)
    at += typeof value === 'string' ? to.write(value, at) : value.copy(to, at)
    at += to.write('\r\n', at)
  }
  return at
}
