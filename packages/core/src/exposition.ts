/**
 * What a scraper is given: the format that it asks for. OpenMetrics has exemplars (the trace of an observation), and Prometheus asks for it by
 * itself; everybody else gets the older text.
 *
 * A registry of prom-client that prints OpenMetrics renames its counters for good. So each scrape that wants it prints copies.
 */
import { type Metric, Registry } from 'prom-client'

export interface Exposition {
  readonly contentType: string
  readonly text: string
}

const OPEN_METRICS = 'application/openmetrics-text'
const PLAIN = new Set(['text/plain', 'text/*', '*/*'])

/** @param accept the scraper's Accept header */
export async function expose(registry: Registry, accept: string | undefined): Promise<Exposition> {
  if (!prefersOpenMetrics(accept))
    return { contentType: registry.contentType, text: await registry.metrics() }
  const open = new Registry<typeof Registry.OPENMETRICS_CONTENT_TYPE>()
  open.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  for (const found of await registry.getMetricsAsJSON()) {
    // OpenMetrics says `_total` in the samples of a counter, not in its name; prom-client puts it there.
    const name = String(found.type) === 'counter' ? found.name.replace(/_total$/, '') : found.name
    const copy = { ...found, name }
    open.registerMetric({ ...copy, get: async () => copy } as unknown as Metric)
  }
  return { contentType: open.contentType, text: await open.metrics() }
}

/** Whether the header names OpenMetrics, and no plain text that it likes better. */
function prefersOpenMetrics(accept = ''): boolean {
  let open = 0
  let plain = 0
  for (const range of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim())
    const q = parameters.find((parameter) => parameter.startsWith('q='))
    const quality = q === undefined ? 1 : Number(q.slice(2)) || 0
    if (type === OPEN_METRICS) open = Math.max(open, quality)
    else if (PLAIN.has(type)) plain = Math.max(plain, quality)
  }
  return open > 0 && open >= plain
}
