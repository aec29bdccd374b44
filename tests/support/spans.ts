/** A tracer whose finished spans a test looks at. */
import { systemClock } from '../../packages/core/src/clock.ts'
import { createRandomHex } from '../../packages/core/src/tracing/random-hex.ts'
import { createTracer, type FinishedSpan, type Tracer } from '../../packages/core/src/tracing/tracer.ts'

export interface RecordedTraces {
  readonly tracer: Tracer
  readonly spans: FinishedSpan[]
  /** The one with this name; throws when there is none, or several. */
  span(name: string): FinishedSpan
  /** Its children's names, in the order in which they began. */
  under(parent: FinishedSpan): string[]
}

export function recordTraces(rate = 1): RecordedTraces {
  const spans: FinishedSpan[] = []
  const tracer = createTracer({
    rate,
    sink: (span) => void spans.push(span),
    clock: systemClock,
    random: Math.random,
    randomHex: createRandomHex(),
  })
  return {
    tracer,
    spans,
    span(name) {
      const [found, ...others] = spans.filter((span) => span.name === name)
      if (found === undefined || others.length > 0)
        throw new Error(
          `${others.length + (found ? 1 : 0)} spans ${name} of ${spans.map((span) => span.name)}`,
        )
      return found
    },
    under: (parent) =>
      spans
        .filter(({ parentId }) => parentId === parent.spanId)
        .sort((a, b) => a.startMs - b.startMs)
        .map(({ name }) => name),
  }
}
