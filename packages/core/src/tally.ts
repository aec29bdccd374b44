/**
 * Counters and histograms for the hot path. prom-client builds a text key from the labels and checks them at every
 * increment (a third of a microsecond each, a dozen an event); these only add to a number, and become what prom-client
 * prints when somebody scrapes.
 */
import type { Metric, Registry } from 'prom-client'

interface Value {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
  readonly metricName?: string
  /** As prom-client prints it, in OpenMetrics only. */
  readonly exemplar?: {
    readonly labelSet: Readonly<Record<string, string>>
    readonly value: number
    /** s since the epoch */
    readonly timestamp: number
  }
}

/** What was measured belongs to this trace: a span, for one. */
export interface Exemplary {
  readonly traceId: string
  /** Epoch ms. */
  wallNow(): number
}

export interface TalliedCounter {
  /** Adds to the series of one or two label values ('' where the counter has no such label). */
  add(first: string, second: string, by: number): void
  values(): Value[]
}

export interface TalliedHistogram {
  /** @param second value of the second label, where there is one @param trace shown beside the bucket as its example */
  observe(label: string, value: number, second?: string, trace?: Exemplary): void
}

interface CounterShape {
  readonly name: string
  readonly help: string
  /** At most two. */
  readonly labels: readonly string[]
}

interface Cell {
  value: number
}

/** A counter without labels shows 0 from the start, as prom-client's do. */
export function createCounter(registry: Registry, { name, help, labels }: CounterShape): TalliedCounter {
  const [firstLabel, secondLabel] = labels
  const cells = new Map<string, Map<string, Cell>>()
  const cellOf = (first: string, second: string): Cell => {
    let row = cells.get(first)
    if (row === undefined) {
      row = new Map()
      cells.set(first, row)
    }
    let cell = row.get(second)
    if (cell === undefined) {
      cell = { value: 0 }
      row.set(second, cell)
    }
    return cell
  }
  if (firstLabel === undefined) cellOf('', '')

  const values = (): Value[] => {
    const all: Value[] = []
    for (const [first, row] of cells) {
      for (const [second, { value }] of row) {
        const named: Record<string, string> = {}
        if (firstLabel !== undefined) named[firstLabel] = first
        if (secondLabel !== undefined) named[secondLabel] = second
        all.push({ labels: named, value })
      }
    }
    return all
  }
  register(registry, name, help, labels, 'counter', values)
  return {
    add(first, second, by) {
      cellOf(first, second).value += by
    },
    values,
  }
}

interface HistogramShape {
  readonly name: string
  readonly help: string
  readonly label: string
  readonly secondLabel?: string
  /** Upper bounds, ascending. */
  readonly buckets: readonly number[]
}

interface Observed {
  /** How many fell between the bound before and this one; the last is above all bounds. */
  readonly counts: number[]
  sum: number
  count: number
  /** The last one of each bucket that was traced; made when the first is. */
  exemplars: Value['exemplar'][] | undefined
}

export function createHistogram(registry: Registry, shape: HistogramShape): TalliedHistogram {
  const { name, help, label, secondLabel, buckets } = shape
  const series = new Map<string, Map<string, Observed>>()
  const seriesOf = (first: string, second: string): Observed => {
    let row = series.get(first)
    if (row === undefined) {
      row = new Map()
      series.set(first, row)
    }
    let observed = row.get(second)
    if (observed === undefined) {
      observed = {
        counts: new Array<number>(buckets.length + 1).fill(0),
        sum: 0,
        count: 0,
        exemplars: undefined,
      }
      row.set(second, observed)
    }
    return observed
  }
  const values = (): Value[] => {
    const all: Value[] = []
    for (const [first, row] of series) {
      for (const [second, { counts, sum, count, exemplars }] of row) {
        const labels =
          secondLabel === undefined ? { [label]: first } : { [label]: first, [secondLabel]: second }
        const bucket = (le: number | string, value: number, i: number): void => {
          const exemplar = exemplars?.[i]
          all.push({
            labels: { le, ...labels },
            value,
            metricName: `${name}_bucket`,
            ...(exemplar && { exemplar }),
          })
        }
        let below = 0
        for (const [i, bound] of buckets.entries()) {
          below += counts[i] as number
          bucket(bound, below, i)
        }
        bucket('+Inf', count, buckets.length)
        all.push({ labels, value: sum, metricName: `${name}_sum` })
        all.push({ labels, value: count, metricName: `${name}_count` })
      }
    }
    return all
  }
  const labels = secondLabel === undefined ? [label] : [label, secondLabel]
  register(registry, name, help, labels, 'histogram', values)
  return {
    observe(first, value, second = '', trace = undefined) {
      const observed = seriesOf(first, second)
      let at = 0
      while (at < buckets.length && value > (buckets[at] as number)) at++
      observed.counts[at]! += 1
      observed.sum += value
      observed.count += 1
      if (trace === undefined) return
      observed.exemplars ??= []
      observed.exemplars[at] = {
        labelSet: { trace_id: trace.traceId },
        value,
        timestamp: trace.wallNow() / 1000,
      }
    },
  }
}

function register(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly string[],
  type: 'counter' | 'histogram',
  values: () => Value[],
): void {
  const metric = {
    name,
    help,
    labelNames,
    type,
    aggregator: 'sum',
    get: async () => ({ name, help, type, aggregator: 'sum', values: values() }),
  }
  // A registry asks its metrics for a name and for get(); its type wants one of prom-client's own classes.
  registry.registerMetric(metric as unknown as Metric)
}
