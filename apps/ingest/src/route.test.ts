import { NAME_PATTERN } from '@weir/core/event'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PAGES, routeOf } from './route.ts'

const name = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,62}$/)

describe('routeOf', () => {
  it('finds tool and tenant in the path', () => {
    fc.assert(
      fc.property(name, name, (tool, tenant) => {
        expect(routeOf(`/webhooks/${tool}`)).toEqual({
          kind: 'webhook',
          path: '/webhooks/:tool',
          tool,
          tenant: 'default',
        })
        expect(routeOf(`/webhooks/${tool}/${tenant}`)).toEqual({
          kind: 'webhook',
          path: '/webhooks/:tool/:tenant',
          tool,
          tenant,
        })
        expect(routeOf(`/webhook/${tenant}`)).toEqual({ kind: 'receiver', path: '/webhook/:tenant', tenant })
      }),
    )
    expect(routeOf('/webhook')).toEqual({ kind: 'receiver', path: '/webhook', tenant: 'default' })
  })

  it.each(PAGES)('knows the page %s', (path) => {
    expect(routeOf(path)).toEqual({ kind: 'page', path })
    expect(routeOf(`${path}/?x=1`)).toEqual({ kind: 'page', path })
  })

  it('takes a whole URL as a proxy sends it', () => {
    expect(routeOf('http://weir.example:8080/webhooks/github?x')).toMatchObject({
      kind: 'webhook',
      tool: 'github',
    })
    expect(routeOf('HTTPS://weir.example/ready')).toEqual({ kind: 'page', path: '/ready' })
    expect(routeOf('http://weir.example')).toEqual({ kind: 'unknown' })
  })

  it.each([
    '',
    '*',
    '/',
    '//webhooks/github',
    'webhooks/github',
    '/webhooks',
    '/webhooks//',
    '/webhooks/a/b/c',
    '/Ready',
    'ftp://x/ready',
  ])('knows nothing at %j', (target) => {
    expect(routeOf(target).kind).toBe(target === '/webhooks//' ? 'webhook' : 'unknown')
  })

  it('lets no tenant through that is not a name, whatever is sent', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.webPath(),
          fc.string().map((s) => `/webhooks/github/${s}`),
        ),
        (target) => {
          const route = routeOf(target)
          if ('tenant' in route) expect(route.tenant).toMatch(NAME_PATTERN)
        },
      ),
    )
  })
})
