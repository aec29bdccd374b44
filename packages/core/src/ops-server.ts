/**
 * The small HTTP server of a process that serves nothing else, for probes and scrapers: /health and /ready are open, /metrics, /stats and
 * /health/webhook need the operators' token unless metrics are open.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'
import { expose } from './exposition.ts'
import { Fault, messageOf } from './faults.ts'
import { type HealthDocument, healthStatusCode } from './health/document.ts'

export interface OpsServerDeps {
  /** What /stats answers; `redis`: whether it is connected, which /ready tells. */
  readonly state: () => { readonly redis: boolean }
  /** What /health/webhook answers. */
  readonly health: () => Promise<HealthDocument>
  /** What /metrics answers; undefined = nothing is measured (observability.metrics.enabled). */
  readonly registry: Registry | undefined
  readonly uptimeSeconds: () => number
  /** What /metrics, /stats and /health/webhook ask for; undefined = nothing, '' = nobody may see them. */
  readonly metricsToken: string | undefined
}

export interface OpsServer {
  readonly port: number
  close(): Promise<void>
}

/** Pages that say more than a stranger should know. */
const GUARDED: ReadonlySet<string> = new Set(['/metrics', '/stats', '/health/webhook'])

/**
 * Listens on host:port (0 = any free port). Throws Fault CONFIG_INVALID when it cannot.
 * @param setting where the port is configured, for the message
 */
export async function startOpsServer(
  deps: OpsServerDeps,
  host: string,
  port: number,
  setting: string,
): Promise<OpsServer> {
  const server = createServer((request, response) => {
    const json = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify(body))
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return json(405, { title: 'Method not allowed', status: 405 }, { allow: 'GET, HEAD' })
    }
    const path = request.url?.split('?')[0]
    if (path !== undefined && GUARDED.has(path) && !mayLook(request, deps.metricsToken)) {
      const detail = 'send Authorization: Bearer $OPS_TOKEN'
      return json(401, { title: 'Unauthorized', status: 401, detail }, { 'www-authenticate': 'Bearer' })
    }
    switch (path) {
      case '/health':
        return json(200, { status: 'ok' })
      case '/ready': {
        const { redis } = deps.state()
        return json(redis ? 200 : 503, {
          status: redis ? 'ok' : 'degraded',
          redis: redis ? 'ok' : 'disconnected',
          version: 'v1',
          uptime_seconds: Math.floor(deps.uptimeSeconds()),
        })
      }
      case '/stats':
        return json(200, deps.state())
      case '/health/webhook':
        deps.health().then(
          (health) => json(healthStatusCode(health), health),
          (error: unknown) => json(500, { title: 'Health failed', status: 500, detail: messageOf(error) }),
        )
        return
      case '/metrics': {
        const { registry } = deps
        if (registry === undefined) {
          const detail = 'metrics are switched off (observability.metrics.enabled)'
          return json(404, { title: 'Not found', status: 404, detail })
        }
        expose(registry, request.headers.accept).then(
          ({ contentType, text }) => {
            response.writeHead(200, { 'content-type': contentType })
            response.end(text)
          },
          (error: unknown) => json(500, { title: 'Metrics failed', status: 500, detail: messageOf(error) }),
        )
        return
      }
      default:
        return json(404, { title: 'Not found', status: 404 })
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const what = `${setting}: cannot listen on ${host}:${port} (${messageOf(cause)})`
      reject(new Fault('CONFIG_INVALID', `${what}; choose another port, or off`, { cause }))
    })
    server.listen(port, host, () => {
      server.removeAllListeners('error')
      resolve()
    })
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Compares in time that does not depend on how much of the token is right. */
function mayLook(request: IncomingMessage, token: string | undefined): boolean {
  if (token === undefined) return true
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const shown = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  return shown !== undefined && timingSafeEqual(digest(shown), digest(token))
}
