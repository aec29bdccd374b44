import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { expose } from './exposition.ts'
import { createCounter, createHistogram } from './tally.ts'

/** As Prometheus 2.53 and 3 ask. */
const PROMETHEUS =
  'application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1'
const TRACE = { traceId: '0af7651916cd43dd8448eb211c80319c', wallNow: () => 1_700_000_000_500 }

function registryWith() {
  const registry = new Registry()
  const registers = [registry]
  createCounter(registry, { name: 'ours_total', help: 'Ours', labels: ['tool'] }).add('github', '', 2)
  new Counter({ name: 'theirs_total', help: 'Theirs', registers }).inc(3)
  new Gauge({ name: 'level', help: 'Level', registers }).set(4)
  new Histogram({ name: 'their_seconds', help: 'Theirs', buckets: [1], registers }).observe(0.5)
  const histogram = createHistogram(registry, {
    name: 'our_seconds',
    help: 'Ours',
    label: 'stage',
    buckets: [0.1, 1],
  })
  histogram.observe('body', 0.05)
  histogram.observe('body', 0.5, '', TRACE)
  histogram.observe('body', 7, '', { ...TRACE, traceId: 'f'.repeat(32) })
  histogram.observe('verify', 0.5)
  return registry
}

describe('a scraper that asks for OpenMetrics', () => {
  it('is shown the trace of the last observation of a bucket that has one, and of no other', async () => {
    const { contentType, text } = await expose(registryWith(), PROMETHEUS)
    expect(contentType).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8')
    expect(text.split('\n').filter((line) => line.startsWith('our_seconds'))).toEqual([
      'our_seconds_bucket{le="0.1",stage="body"} 1',
      'our_seconds_bucket{le="1",stage="body"} 2 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.5 1700000000.5',
      `our_seconds_bucket{le="+Inf",stage="body"} 3 # {trace_id="${'f'.repeat(32)}"} 7 1700000000.5`,
      'our_seconds_sum{stage="body"} 7.55',
      'our_seconds_count{stage="body"} 3',
      'our_seconds_bucket{le="0.1",stage="verify"} 0',
      'our_seconds_bucket{le="1",stage="verify"} 1',
      'our_seconds_bucket{le="+Inf",stage="verify"} 1',
      'our_seconds_sum{stage="verify"} 0.5',
      'our_seconds_count{stage="verify"} 1',
    ])
  })

  it('finds counters under their names without _total, samples with it, and the end', async () => {
    const { text } = await expose(registryWith(), PROMETHEUS)
    expect(text).toContain('# TYPE ours counter\nours_total{tool="github"} 2\n')
    expect(text).toContain('# TYPE theirs counter\ntheirs_total 3\n')
    expect(text).toContain('# TYPE level gauge\nlevel 4\n')
    expect(text).toContain('their_seconds_bucket{le="1"} 1\n')
    expect(text.endsWith('\n# EOF\n')).toBe(true)
    expect(text).not.toMatch(/\n\n/)
  })

  it('changes nothing for those who do not, before, after, or at the same time', async () => {
    const registry = registryWith()
    const before = await registry.metrics()
    expect(before).toContain('# TYPE theirs_total counter')
    const [plain] = await Promise.all([expose(registry, 'text/plain'), expose(registry, PROMETHEUS)])
    expect(plain).toEqual({ contentType: registry.contentType, text: before })
    expect(await expose(registry, undefined)).toEqual(plain)
    expect(before).not.toContain('trace_id')
  })
})

it.each([
  [PROMETHEUS, true],
  ['application/openmetrics-text', true],
  ['APPLICATION/OpenMetrics-Text; version=1.0.0', true],
  ['application/openmetrics-text;q=0.5, text/plain;q=0.9', false],
  ['application/openmetrics-text;q=0', false],
  ['text/plain', false],
  ['*/*', false],
  ['', false],
])('of %j OpenMetrics is what it likes best: %s', async (accept, open) => {
  const { contentType } = await expose(new Registry(), accept)
  expect(contentType.startsWith('application/openmetrics-text')).toBe(open)
})
