import {
  defineHandler,
  type Handler,
  type HandlerContext,
  type HandlerEvent,
} from '@weir/core/handlers/handler'
import { describe, expect, it } from 'vitest'
import { createFanOut, runHandlers } from './stages.ts'
import { silentLog } from './testing.ts'

const UNTRACED = { trace: undefined, traceparent: '' }

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

  it('looks for the name only where a handler lists one: of other events the body is not read for it', () => {
    let asked = 0
    const event = (tool: string, type: string): HandlerEvent =>
      ({
        tool,
        type,
        get name() {
          asked++
          return type
        },
      }) as HandlerEvent
    for (const type of ['push', 'fork', 'pull_request_review', 'unknown'])
      fanOut.handlersFor(event('github', type))
    fanOut.handlersFor(event('jira', 'jira:issue_created'))
    expect(asked).toBe(0)
    fanOut.handlersFor(event('github', 'pull_request'))
    fanOut.handlersFor(event('generic', 'com.acme.order'))
    expect(asked).toBe(2)
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
  const event = { id: 'evt_AAAAAAAAAAAAAAAAAAAAAA' } as HandlerEvent
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

  it('each with the correlation id of the request that brought the event', () => {
    const seen: string[] = []
    const noting = running([], 'a', (ctx) => void seen.push(ctx.requestId))
    const attempt = { signal: () => AbortSignal.abort(), over: () => false, ...UNTRACED }
    for (const headers of [new Map([['x-request-id', 'proxy-1']]), new Map<string, string>()]) {
      runHandlers([noting], { ...event, headers } as HandlerEvent, attempt, silentLog)
    }
    expect(seen).toEqual(['proxy-1', event.id])
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
      { signal: () => AbortSignal.abort(), over: () => false, ...UNTRACED },
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
      { signal: () => AbortSignal.abort(), over: () => over, ...UNTRACED },
      silentLog,
    )
    expect(seen).toEqual(['a'])
  })

  it('needs no promise for handlers that are done when they return', () => {
    const seen: string[] = []
    const attempt = { signal: () => AbortSignal.abort(), over: () => false, ...UNTRACED }
    const handlers = [running(seen, 'a', () => undefined), running(seen, 'b', () => undefined)]
    expect(runHandlers(handlers, event, attempt, silentLog)).toBeUndefined()
    expect(seen).toEqual(['a', 'b'])
    const failing = running(seen, 'c', () => {
      throw new Error('at once')
    })
    expect(() => runHandlers([failing], event, attempt, silentLog)).toThrow('at once')
  })

  it('waits for whatever can be waited for', async () => {
    const seen: string[] = []
    const later = {
      // biome-ignore lint/suspicious/noThenProperty: query builders are such objects
      then(resolve: () => void) {
        seen.push('then')
        resolve()
      },
    } as Promise<void>
    const attempt = { signal: () => AbortSignal.abort(), over: () => false, ...UNTRACED }
    await runHandlers(
      [running(seen, 'a', () => later), running(seen, 'b', () => undefined)],
      event,
      attempt,
      silentLog,
    )
    expect(seen).toEqual(['a', 'then', 'b'])
  })

  it('makes signal and logger only for a handler that looks at them', async () => {
    let signals = 0
    const signal = () => {
      signals++
      return new AbortController().signal
    }
    const plain = defineHandler({ name: 'plain', tool: 'github', events: ['*'], run: () => undefined })
    await runHandlers([plain], event, { signal, over: () => false, ...UNTRACED }, silentLog)
    expect(signals).toBe(0)
    const careful = defineHandler({
      name: 'careful',
      tool: 'github',
      events: ['*'],
      run: (_, ctx) => ctx.signal.throwIfAborted(),
    })
    await runHandlers([careful], event, { signal, over: () => false, ...UNTRACED }, silentLog)
    expect(signals).toBe(1)
  })
})
