/**
 * Pushes a process's metrics to a Prometheus Pushgateway (https://github.com/prometheus/pushgateway), for processes that nobody
 * can scrape. A push replaces what this process pushed before: the group {job, instance} is its own.
 *
 * A Pushgateway keeps a group until somebody deletes it. So the last push, at the end, stays to be scraped, and `instance` is a
 * name that the next start has again (host and port), so that no group is left for every start.
 */
import type { Registry } from 'prom-client'
import type { Clock } from '../clock.ts'
import { messageOf } from '../faults.ts'

/** Most that a push may take, ms. */
const PUSH_TIMEOUT_MS = 5_000
/** Most that the last one may take, ms: so long a process may need to end, besides what it has to finish. */
const LAST_PUSH_TIMEOUT_MS = 2_000

export interface PushTarget {
  /** Of the Pushgateway; its path is kept, credentials in it are sent as such. */
  readonly url: string
  readonly job: string
  /** Without `/`. */
  readonly instance: string
}

export interface PusherOptions extends PushTarget {
  readonly registry: Pick<Registry, 'metrics' | 'contentType'>
  /** Pause between two pushes, ms. */
  readonly intervalMs: number
  /** `fetch`, or what stands in for it. */
  readonly send: (url: string, init: RequestInit) => Promise<Response>
  readonly clock: Pick<Clock, 'wait'>
  pushed(result: 'ok' | 'failed'): void
  /** Told when pushing begins to fail, or fails with something else. */
  onTrouble(reason: string): void
  /** Told when it succeeds again. */
  onBack(): void
}

export interface Pusher {
  start(): void
  /** Breaks off the push under way and ends with a last one. Never rejects; harmless when repeated or never started. */
  stop(): Promise<void>
}

export function createPusher(options: PusherOptions): Pusher {
  const { registry, clock, send } = options
  const { url, headers } = requestOf(options)
  const stopped = new AbortController()
  let running: Promise<void> | undefined
  let ended: Promise<void> | undefined
  let trouble: string | undefined

  async function push(timeoutMs: number, broken?: AbortSignal): Promise<void> {
    const timeout = AbortSignal.timeout(timeoutMs)
    let reason: string | undefined
    try {
      const response = await send(url, {
        method: 'PUT',
        headers: { ...headers, 'content-type': registry.contentType },
        body: await registry.metrics(),
        signal: broken === undefined ? timeout : AbortSignal.any([timeout, broken]),
      })
      const said = (await response.text()).trim()
      if (!response.ok) reason = `status ${response.status}${said === '' ? '' : `: ${said.slice(0, 200)}`}`
    } catch (error) {
      // The last push says what this one would have said.
      if (broken?.aborted) return
      reason = timeout.aborted ? `no answer in ${timeoutMs} ms` : reasonOf(error)
    }
    options.pushed(reason === undefined ? 'ok' : 'failed')
    if (reason === undefined && trouble !== undefined) options.onBack()
    if (reason !== undefined && reason !== trouble) options.onTrouble(reason)
    trouble = reason
  }

  async function run(): Promise<void> {
    while (!stopped.signal.aborted) {
      await push(PUSH_TIMEOUT_MS, stopped.signal)
      await clock.wait(options.intervalMs, stopped.signal)
    }
  }

  async function end(): Promise<void> {
    stopped.abort()
    if (running === undefined) return
    await running
    await push(LAST_PUSH_TIMEOUT_MS)
  }

  return {
    start() {
      running ??= run()
    },
    stop: () => (ended ??= end()),
  }
}

/** The address of the group; `fetch` takes no credentials in it. */
function requestOf({ url: text, job, instance }: PushTarget): {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
} {
  const url = new URL(text)
  const { username, password } = url
  url.username = ''
  url.password = ''
  const base = url.pathname.replace(/\/+$/, '')
  url.pathname = `${base}/metrics/job/${encodeURIComponent(job)}/instance/${encodeURIComponent(instance)}`
  if (username === '' && password === '') return { url: url.href, headers: {} }
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { url: url.href, headers: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` } }
}

/** `fetch` hides why it failed in the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  return messageOf(cause ?? error) || messageOf(error)
}
