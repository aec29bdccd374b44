/**
 * Which request is meant. Names are matched on the raw path: a percent-encoded one is no name, so nothing that
 * decodes to a slash or a brace comes any further. Query strings are ignored, and so is one slash at the end.
 */
import { DEFAULT_TENANT, NAME_PATTERN } from '@weir/core/event'

/** Pages that tell about the gateway. */
export const PAGES = ['/health', '/ready', '/health/webhook', '/metrics', '/stats'] as const
export type Page = (typeof PAGES)[number]

/** Where webhooks arrive; label `path` of webhooks_received_total. */
export const WEBHOOK_PATHS = [
  '/webhooks/:tool',
  '/webhooks/:tool/:tenant',
  '/webhook',
  '/webhook/:tenant',
] as const
export type WebhookPath = (typeof WEBHOOK_PATHS)[number]

export type Route =
  | { readonly kind: 'page'; readonly path: Page }
  /** `tool` may be unknown; it is only ever looked up. */
  | { readonly kind: 'webhook'; readonly path: WebhookPath; readonly tool: string; readonly tenant: string }
  /** The receiver of `/webhook`, whose tool the headers tell. */
  | { readonly kind: 'receiver'; readonly path: WebhookPath; readonly tenant: string }
  | { readonly kind: 'bad-tenant'; readonly path: WebhookPath }
  | { readonly kind: 'unknown' }

const UNKNOWN: Route = { kind: 'unknown' }
const PAGE_ROUTES: ReadonlyMap<string, Route> = new Map(PAGES.map((path) => [path, { kind: 'page', path }]))

/** @param target the request target as it came: a path, or a whole URL (RFC 9112, 3.2.2) */
export function routeOf(target: string): Route {
  const path = pathOf(target)
  const page = PAGE_ROUTES.get(path)
  if (page !== undefined) return page
  const [root, room, first, second, ...more] = path.split('/')
  if (root !== '' || more.length > 0) return UNKNOWN
  if (room === 'webhooks' && first !== undefined) {
    if (second === undefined)
      return { kind: 'webhook', path: '/webhooks/:tool', tool: first, tenant: DEFAULT_TENANT }
    if (!NAME_PATTERN.test(second)) return { kind: 'bad-tenant', path: '/webhooks/:tool/:tenant' }
    return { kind: 'webhook', path: '/webhooks/:tool/:tenant', tool: first, tenant: second }
  }
  if (room !== 'webhook' || second !== undefined) return UNKNOWN
  if (first === undefined) return { kind: 'receiver', path: '/webhook', tenant: DEFAULT_TENANT }
  if (!NAME_PATTERN.test(first)) return { kind: 'bad-tenant', path: '/webhook/:tenant' }
  return { kind: 'receiver', path: '/webhook/:tenant', tenant: first }
}

function pathOf(target: string): string {
  let from = 0
  if (target.charCodeAt(0) !== SLASH) {
    const authority = /^https?:\/\/[^/?#]*/i.exec(target)
    if (authority === null) return ''
    from = authority[0].length
  }
  let to = target.indexOf('?', from)
  if (to < 0) to = target.length
  if (to > from + 1 && target.charCodeAt(to - 1) === SLASH) to--
  return target.slice(from, to)
}

const SLASH = 0x2f
