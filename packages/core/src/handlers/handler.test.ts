import { describe, expect, expectTypeOf, it } from 'vitest'
import { defineHandler, isHandler } from './handler.ts'

describe('defineHandler', () => {
  it('gives the payload of a type with an action', () => {
    defineHandler({
      name: 'opened',
      tool: 'github',
      events: ['pull_request.opened'],
      run(event) {
        expectTypeOf(event.payload.action).toEqualTypeOf<'opened'>()
        expectTypeOf(event.payload.pull_request.title).toEqualTypeOf<string>()
      },
    })
  })

  it('gives the union of several types', () => {
    defineHandler({
      name: 'several',
      tool: 'github',
      events: ['push', 'ping'],
      run(event) {
        if ('zen' in event.payload) expectTypeOf(event.payload.zen).toEqualTypeOf<string>()
        else expectTypeOf(event.payload.ref).toEqualTypeOf<string>()
      },
    })
  })

  it('refuses event names that GitHub does not have', () => {
    defineHandler({
      name: 'typo',
      tool: 'github',
      // @ts-expect-error pull_requests is not an event
      events: ['pull_requests'],
      run: () => undefined,
    })
  })

  it('knows the alerts of Alertmanager and the rest as unknown', () => {
    defineHandler({
      name: 'alerts',
      tool: 'alertmanager',
      events: ['alert.firing'],
      run(event) {
        expectTypeOf(event.payload.alerts[0]?.fingerprint).toEqualTypeOf<string | undefined>()
      },
    })
    defineHandler({
      name: 'pages',
      tool: 'pagerduty',
      events: ['incident.triggered'],
      run(event) {
        expectTypeOf(event.payload.event.id).toEqualTypeOf<string>()
      },
    })
    defineHandler({
      name: 'other',
      tool: 'generic',
      events: ['*'],
      run(event) {
        expectTypeOf(event.payload).toEqualTypeOf<unknown>()
      },
    })
  })

  it('recognises what it made, and nothing else', () => {
    const handler = defineHandler({ name: 'n', tool: 'generic', events: ['*'], run: () => undefined })
    expect(isHandler(handler)).toBe(true)
    expect(isHandler({ name: 'n', tool: 'generic', events: ['*'], run: () => undefined })).toBe(false)
    expect(isHandler(null)).toBe(false)
  })
})
