/** The operations API over a real socket, for tests. */
import type { Contexts } from '@weir/context-lifecycle/contexts'
import type { ContextSearch } from '@weir/context-lifecycle/search/search'
import type { Auditor } from '@weir/core/audit/auditor'
import { systemClock } from '@weir/core/clock'
import type { PipelineView } from '@weir/core/pipeline-view'
import { pino } from 'pino'
import { afterEach, expect } from 'vitest'
import { createHealth, type OwnChecks } from './health.ts'
import { createMetricsCollector } from './metrics.ts'
import { PROBLEMS, type ProblemCode } from './problems.ts'
import { createOpsServer } from './server.ts'

export const TOKEN = 'the-operators-token'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  readonly text: string
  /** The parsed body. */
  json(): unknown
}

export interface Api {
  /** With the token. */
  get(path: string): Promise<Answer>
  /** Without. */
  ask(path: string, init?: RequestInit): Promise<Answer>
}

/** This process has not used anything outside. */
const NOTHING_SEEN: OwnChecks = {
  cold_storage: { state: 'unknown', age_ms: null, breaker: 'closed', kind: 'directory' },
  ai: { state: 'ok', age_ms: 0, providers: ['local'] },
}

const NO_SEARCH: Pick<ContextSearch, 'search'> = {
  search: () => Promise.reject(new Error('nothing is searched in this test')),
}

/** Serves views; what was served is closed after the test. Call at the top of a file. */
export function useApi(): (
  view: PipelineView,
  options?: {
    readonly metricsOpen?: boolean
    readonly audit?: Auditor
    readonly contexts?: Contexts
    readonly search?: Pick<ContextSearch, 'search'>
    readonly measures?: boolean
    readonly own?: OwnChecks
  },
) => Promise<Api> {
  const closing: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    await Promise.all(closing.splice(0).map((close) => close()))
  })
  return async (view, options = {}) => {
    const { metricsOpen = false, audit, contexts, search = NO_SEARCH } = options
    const { measures = true, own = NOTHING_SEEN } = options
    const log = pino({ level: 'silent' })
    const server = await createOpsServer({
      view,
      contexts,
      search,
      token: TOKEN,
      metrics: measures ? createMetricsCollector(view) : undefined,
      health: createHealth({ view, own: () => own, curated: true }),
      metricsOpen,
      ...(audit === undefined ? {} : { audit }),
      clock: systemClock,
      log,
    })
    closing.push(() => server.close())
    const base = await server.listen({ host: '127.0.0.1', port: 0 })
    const ask = (path: string, init: RequestInit = {}) => answerTo(`${base}${path}`, init)
    return { ask, get: (path) => ask(path, { headers: { authorization: `Bearer ${TOKEN}` } }) }
  }
}

async function answerTo(url: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(url, init)
  const bytes = Buffer.from(await response.arrayBuffer())
  const text = bytes.toString()
  const { status, headers } = response
  return { status, headers, bytes, text, json: () => JSON.parse(text) }
}

export function expectProblem(answer: Answer, code: ProblemCode): void {
  expect(answer.json()).toEqual({
    type: `urn:weir:problem:${code}`,
    title: PROBLEMS[code].title,
    status: PROBLEMS[code].status,
    code,
    detail: expect.any(String),
  })
  expect(answer.status).toBe(PROBLEMS[code].status)
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
}
