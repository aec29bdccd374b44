import fc from 'fast-check'
import { Command, Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { useRedis } from '../../../../tests/support/redis.ts'
import { createScriptCommands } from './command.ts'
import type { RedisArg } from './link.ts'
import { defineScript } from './script.ts'

const ECHO = defineScript('echo', 'return {KEYS, ARGV}')

/** What ioredis itself would write. */
function byIoredis(keys: readonly string[], args: readonly RedisArg[]): Buffer {
  const command = new Command('EVALSHA', [ECHO.sha1, keys.length, ...keys, ...args])
  return Buffer.from(command.toWritable({}))
}

const written = (command: Command): Buffer => Buffer.from(command.toWritable({}))

describe('the bytes of a script call', () => {
  const text = fc.oneof(
    fc.string({ maxLength: 100 }),
    fc.string({ unit: 'binary', maxLength: 100 }),
    // Half surrogate pairs too.
    fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 70 }).map((u) => String.fromCharCode(...u)),
    fc.constantFrom('', 'é', '€'.repeat(64), 'a'.repeat(63), 'a'.repeat(64), 'a'.repeat(65), '\r\n$5\r\n'),
  )
  const arg: fc.Arbitrary<RedisArg> = fc.oneof(
    text,
    fc.oneof(fc.integer(), fc.double(), fc.maxSafeInteger()),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  )

  it("are ioredis' own, for whatever keys and arguments", () => {
    const commands = createScriptCommands()
    fc.assert(
      fc.property(fc.array(text, { maxLength: 12 }), fc.array(arg, { maxLength: 120 }), (keys, args) => {
        expect(written(commands(ECHO, keys, args))).toEqual(byIoredis(keys, args))
      }),
      { numRuns: 500 },
    )
  })

  it.each([0, 9, 10, 99, 100, 65_000, 70_000, 1_000_000])('carry a buffer of %i bytes', (length) => {
    const args = [Buffer.alloc(length, 'x'), 'x'.repeat(length), '€'.repeat(length)]
    expect(written(createScriptCommands()(ECHO, ['k'], args)).equals(byIoredis(['k'], args))).toBe(true)
  })

  it('stay as they are while others are made', () => {
    const commands = createScriptCommands()
    const made = Array.from({ length: 1000 }, (_, i) => {
      const args = [`argument ${i}`, Buffer.alloc(i, i)]
      return { command: commands(ECHO, [`key ${i}`], args), expected: byIoredis([`key ${i}`], args) }
    })
    for (const { command, expected } of made) expect(written(command).equals(expected)).toBe(true)
  })

  it('stay as they are when the caller uses his buffer again', () => {
    const buffer = Buffer.from('one')
    const command = createScriptCommands()(ECHO, [], [buffer])
    buffer.write('two')
    expect(written(command).toString()).toContain('one')
  })
})

describe('a script call', () => {
  const redis = useRedis()
  const keys = ['a key', 'schlüssel']
  const args = ['text', 1.5, -7, Buffer.from([0, 255, 13, 10]), '', '日本']

  it('is answered with buffers', async () => {
    const client = redis.client()
    await client.script('LOAD', ECHO.lua)
    expect(await client.sendCommand(createScriptCommands()(ECHO, keys, args))).toEqual([
      keys.map((key) => Buffer.from(key)),
      args.map((arg) => (Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg)))),
    ])
  })

  it('keeps its place among the other commands', async () => {
    const client = redis.client()
    await client.script('LOAD', ECHO.lua)
    const commands = createScriptCommands()
    const replies = await Promise.all(
      Array.from({ length: 300 }, (_, i) =>
        i % 2 === 0 ? client.sendCommand(commands(ECHO, [], [i])) : client.echo(String(i)),
      ),
    )
    expect(replies.map((reply) => (Array.isArray(reply) ? String(reply[1][0]) : reply))).toEqual(
      Array.from({ length: 300 }, (_, i) => String(i)),
    )
  })

  it('is rejected with what Redis says, without its arguments', async () => {
    const unknown = defineScript('unknown', 'return 1')
    const failed = redis.client().sendCommand(createScriptCommands()(unknown, keys, args))
    await expect(failed).rejects.toMatchObject({
      name: 'ReplyError',
      message: expect.stringMatching(/^NOSCRIPT/),
      command: { name: 'evalsha', args: [] },
    })
  })

  it("is rejected by the connection's command time-out", async () => {
    const client = redis.client({ commandTimeout: 1000 })
    await client.ping()
    await redis.server.kill('SIGSTOP')
    await expect(client.sendCommand(createScriptCommands()(ECHO, keys, args))).rejects.toThrow(
      'Command timed out',
    )
  })

  it('is rejected where there is no connection and no queue', async () => {
    const client = new Redis(redis.url, { lazyConnect: true, enableOfflineQueue: false })
    client.disconnect()
    await expect(client.sendCommand(createScriptCommands()(ECHO, keys, args))).rejects.toThrow()
  })
})
