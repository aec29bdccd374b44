import { gzipSync } from 'node:zlib'
import { ADAPTERS } from '@weir/core/adapters/table'
import { createDictionarySet, dictionaryOf } from '@weir/core/dictionaries'
import { Fault } from '@weir/core/faults'
import {
  defineHandler,
  type Handler,
  type HandlerContext,
  type HandlerEvent,
} from '@weir/core/handlers/handler'
import { createUnpacker } from '@weir/core/packing'
import { decodeRecord } from '@weir/core/record'
import { describe, expect, it } from 'vitest'
import { createDecoder, createFanOut, MalformedEvent, runHandlers } from './stages.ts'
import { makeEvent, silentLog, type TestEvent } from './testing.ts'

const MAX_BODY = 100_000
const known = createDictionarySet(new Map())
const decoder = createDecoder(ADAPTERS, createUnpacker(known), MAX_BODY)
const decode = (event: TestEvent, attempt = 1) =>
  decoder.decode(decodeRecord(makeEvent(event).fields), attempt)
const json: [string, string] = ['content-type', 'application/json']

describe('decode', () => {
  it('gives the handler everything that was sent', () => {
    const body =
      '{"action":"opened","issue":{"number":7,"title":"T","html_url":"https://h/7"},"repository":{"full_name":"a/b"}}'
    const receivedAt = Date.UTC(2024, 0, 1)
    const event = decode(
      { body, headers: [json, ['x-github-event', 'issues']], tenant: 'acme', receivedAt },
      3,
    )
    expect(event).toMatchObject({
      tenant: 'acme',
      tool: 'github',
      type: 'issues',
      name: 'issues.opened',
      receivedAt,
      attempt: 3,
      payload: JSON.parse(body),
      subject: { key: 'a/b#7', kind: 'issue', title: 'T', url: 'https://h/7' },
    })
    expect(event.body.toString()).toBe(body)
    expect(event.headers.get('x-github-event')).toBe('issues')
  })

  it('reads the payload out of a form, and keeps the form as the body', () => {
    const payload = '{"action":"opened","text":"ü + & ="}'
    const body = `payload=${encodeURIComponent(payload)}`
    const event = decode({ body, headers: [['content-type', 'application/x-www-form-urlencoded']] })
    expect(event.payload).toEqual(JSON.parse(payload))
    expect(event.name).toBe('issues.opened')
    expect(event.body.toString()).toBe(body)
  })

  it('opens a gzip body, and keeps the bytes as sent', () => {
    const body = gzipSync('{"action":"closed"}')
    const event = decode({ body, headers: [json, ['content-encoding', 'gzip']] })
    expect(event.payload).toEqual({ action: 'closed' })
    expect(event.body.equals(body)).toBe(true)
  })

  it('takes a gzip body of exactly the limit, and refuses one byte more', () => {
    const exactly = (bytes: number) => gzipSync(`"${'x'.repeat(bytes - 2)}"`)
    const headers: TestEvent['headers'] = [json, ['content-encoding', 'gzip']]
    expect(decode({ body: exactly(MAX_BODY), headers }).payload).toHaveLength(MAX_BODY - 2)
    expect(() => decode({ body: exactly(MAX_BODY + 1), headers })).toThrow(MalformedEvent)
  })

  it.each([
    [
      'a gzip bomb',
      gzipSync(Buffer.alloc(50_000_000)),
      [json, ['content-encoding', 'gzip']],
      /within 100000 bytes/,
    ],
    ['gzip that is none', 'not gzip', [json, ['content-encoding', 'gzip']], /gzip body cannot be opened/],
    [
      'a gzip body that ends too early',
      gzipSync('{"a":1}').subarray(0, 15),
      [json, ['content-encoding', 'gzip']],
      /gzip body cannot be opened/,
    ],
    ['JSON that ends too early', '{"action":', [json], /not JSON/],
    ['an empty body', '', [json], /not JSON/],
    ['invalid UTF-8', Buffer.from([0x22, 0xff, 0x22]), [json], /not valid UTF-8/],
    ['JSON nested too deep', '['.repeat(65), [json], /nested deeper than 64/],
    [
      'a form without payload',
      'a=1',
      [['content-type', 'application/x-www-form-urlencoded']],
      /no field 'payload'/,
    ],
    ['another media type', '<a/>', [['content-type', 'text/xml']], /text\/xml/],
  ] as const)('calls %s malformed', (_what, body, headers, message) => {
    const attempt = () => decode({ body: body as Buffer | string, headers })
    expect(attempt).toThrow(MalformedEvent)
    expect(attempt).toThrow(message)
  })

  it('does not know a tool without adapter: permanent, and says why', () => {
    expect(() => decode({ tool: 'bitbucket' })).toThrow(/no adapter for tool bitbucket.*newer gateway/)
  })

  it('a missing dictionary is a fault, and none once it is known', () => {
    const dictionary = dictionaryOf(Buffer.from('a dictionary that only the gateway had'.repeat(20)))
    const event = { dictionaries: createDictionarySet(new Map([['github', dictionary]])) }
    expect(() => decode(event)).toThrow(expect.objectContaining({ code: 'DICTIONARY_MISSING' }))
    known.add(dictionary)
    expect(decode(event).name).toBe('issues.opened')
  })

  it('a body that is no frame is corrupt', () => {
    const record = { ...decodeRecord(makeEvent().fields), packed: Buffer.from('no frame') }
    expect(() => decoder.decode(record, 1)).toThrow(Fault)
    expect(() => decoder.decode(record, 1)).toThrow(expect.objectContaining({ code: 'RECORD_CORRUPT' }))
  })

  it('does not look for the subject until a handler asks', () => {
    const event = decode({ body: '{}' })
    expect(Object.getOwnPropertyDescriptor(event, 'subject')?.get).toBeTypeOf('function')
    expect(event.subject).toBeUndefined()
  })
})

describe('fan-out', () => {
  const handler = (name: string, tool: string, ...events: string[]) =>
    defineHandler({ name, tool: tool as 'generic', events, run: () => undefined })
  const handlers = [
    handler('every', 'github', '*'),
    handler('issues', 'github', 'issues'),
    handler('opened', 'github', 'issues.opened', 'pull_request.opened'),
    handler('push', 'github', 'push'),
    handler('also-every', 'github', 'push', '*'),
    handler('alerts', 'alertmanager', 'alert.firing'),
    handler('dotted', 'generic', 'com.acme.order.created'),
    handler('shorter', 'generic', 'com.acme.order'),
    handler('first-word', 'generic', 'com'),
  ]
  const fanOut = createFanOut(handlers)
  const names = (tool: string, type: string, name = type) =>
    fanOut.handlersFor({ tool, type, name } as HandlerEvent).map((each) => each.name)

  it.each([
    ['github', 'issues', 'issues.opened', ['every', 'issues', 'opened', 'also-every']],
    ['github', 'issues', 'issues.closed', ['every', 'issues', 'also-every']],
    ['github', 'pull_request', 'pull_request.opened', ['every', 'opened', 'also-every']],
    ['github', 'push', 'push', ['every', 'push', 'also-every']],
    ['github', 'unknown', 'unknown', ['every', 'also-every']],
    ['alertmanager', 'alert.firing', 'alert.firing', ['alerts']],
    ['alertmanager', 'alert.resolved', 'alert.resolved', []],
    ['generic', 'com.acme.order.created', 'com.acme.order.created', ['dotted']],
    ['generic', 'com.acme.order', 'com.acme.order', ['shorter']],
    ['generic', 'com.acme.order', 'com.acme.order.created', ['dotted', 'shorter']],
    ['jira', 'jira:issue_created', 'jira:issue_created', []],
  ])('%s %s, named %s', (tool, type, name, expected) => {
    expect(names(tool, type, name)).toEqual(expected)
  })

  it('gives the same array for the same name: the hot path makes none', () => {
    const event = { tool: 'github', type: 'issues', name: 'issues.opened' } as HandlerEvent
    expect(fanOut.handlersFor(event)).toBe(fanOut.handlersFor({ ...event }))
    const other = { tool: 'github', type: 'fork', name: 'fork' } as HandlerEvent
    expect(fanOut.handlersFor(other)).toBe(
      fanOut.handlersFor({ ...other, type: 'watch', name: 'watch.started' }),
    )
  })
})

describe('runHandlers', () => {
  const event = decode({})
  const running = (
    events: string[],
    name: string,
    work: (ctx: HandlerContext) => void | Promise<void>,
  ): Handler =>
    defineHandler({
      name,
      tool: 'github',
      events: ['*'],
      run(_, ctx) {
        events.push(name)
        return work(ctx)
      },
    })

  it('one after the other, each with a key of its own; the first failure ends the attempt', async () => {
    const seen: string[] = []
    const gate = Promise.withResolvers<void>()
    const keys: string[] = []
    const work = runHandlers(
      [
        running(seen, 'a', (ctx) => {
          keys.push(ctx.idempotencyKey)
          return gate.promise
        }),
        running(seen, 'b', (ctx) => {
          keys.push(ctx.idempotencyKey)
          throw new Error('b failed')
        }),
        running(seen, 'c', () => undefined),
      ],
      event,
      { signal: () => AbortSignal.abort(), over: () => false },
      silentLog,
    )
    expect(seen).toEqual(['a'])
    gate.resolve()
    await expect(work).rejects.toThrow('b failed')
    expect(seen).toEqual(['a', 'b'])
    expect(keys).toEqual([`${event.id}:a`, `${event.id}:b`])
  })

  it('starts no further handler once the attempt is over', async () => {
    const seen: string[] = []
    let over = false
    await runHandlers(
      [
        running(seen, 'a', () => {
          over = true
        }),
        running(seen, 'b', () => undefined),
      ],
      event,
      { signal: () => AbortSignal.abort(), over: () => over },
      silentLog,
    )
    expect(seen).toEqual(['a'])
  })

  it('makes signal and logger only for a handler that looks at them', async () => {
    let signals = 0
    const signal = () => {
      signals++
      return new AbortController().signal
    }
    const plain = defineHandler({ name: 'plain', tool: 'github', events: ['*'], run: () => undefined })
    await runHandlers([plain], event, { signal, over: () => false }, silentLog)
    expect(signals).toBe(0)
    const careful = defineHandler({
      name: 'careful',
      tool: 'github',
      events: ['*'],
      run: (_, ctx) => ctx.signal.throwIfAborted(),
    })
    await runHandlers([careful], event, { signal, over: () => false }, silentLog)
    expect(signals).toBe(1)
  })
})
