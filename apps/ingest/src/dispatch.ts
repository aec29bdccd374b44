/** From a route to what answers it; what the route alone decides (404, 405, 400) is answered here. */
import type { IncomingMessage } from 'node:http'
import { type Exchange, refuse } from './exchange.ts'
import type { GatewayMetrics } from './metrics.ts'
import { problem } from './problem.ts'
import type { Receiver } from './receive.ts'
import { type Page, routeOf } from './route.ts'
import type { Sender } from './sender.ts'

export interface DispatchOptions {
  readonly senders: ReadonlyMap<string, Sender>
  readonly receive: Receiver
  readonly pages: (exchange: Exchange, page: Page) => Promise<void>
  /** Header by which `/webhook` tells generic senders from Alertmanager; lower case. */
  readonly genericHeader: string
  readonly metrics: GatewayMetrics
}

/** `begin` starts the exchange under its label `path`. */
export type Dispatch = (request: IncomingMessage, begin: (path: string) => Exchange) => Promise<void>

export function createDispatch(options: DispatchOptions): Dispatch {
  const { senders, receive, pages, metrics } = options
  const tools = [...senders.keys()].join(', ')

  return async (request, begin) => {
    const route = routeOf(request.url ?? '')
    switch (route.kind) {
      case 'webhook':
        if (request.method !== 'POST') return notAllowed(begin(route.path), 'POST')
        return webhook(begin(route.path), senders.get(route.tool), route.tenant)
      case 'receiver':
        if (request.method !== 'POST') return notAllowed(begin(route.path), 'POST')
        return webhook(begin(route.path), senders.get(receiverTool(request)), route.tenant)
      case 'page':
        if (request.method !== 'GET' && request.method !== 'HEAD') {
          return notAllowed(begin(route.path), 'GET, HEAD')
        }
        return pages(begin(route.path), route.path)
      case 'bad-tenant':
        if (request.method !== 'POST') return notAllowed(begin(route.path), 'POST')
        return refuse(metrics, begin(route.path), problem('TENANT_INVALID'))
      case 'unknown':
        return refuse(metrics, begin('unknown'), problem('ROUTE_UNKNOWN'))
    }
  }

  async function webhook(exchange: Exchange, sender: Sender | undefined, tenant: string): Promise<void> {
    if (sender !== undefined) return receive(exchange, sender, tenant)
    metrics.outcome('unknown', 'refused')
    refuse(metrics, exchange, problem('TOOL_UNKNOWN', `The tools here are ${tools}; correct the URL.`))
  }

  /** `/webhook` is Alertmanager's, unless the request is signed as generic senders do. */
  function receiverTool({ headers }: IncomingMessage): string {
    return headers[options.genericHeader] === undefined ? 'alertmanager' : 'generic'
  }

  function notAllowed(exchange: Exchange, allow: string): void {
    refuse(
      metrics,
      exchange,
      problem('METHOD_NOT_ALLOWED', `This path takes ${allow} only.`, ['Allow', allow]),
    )
  }
}
