/** Every question that `pnpm bench` asks, in its order; each has a script of its own, `bench:<name>`. */
export interface Question {
  readonly name: string
  /** Beside this one. */
  readonly file: string
  readonly asks: string
  /** What `pnpm bench` adds, so that it is answered as a whole. */
  readonly args?: readonly string[]
}

export const QUESTIONS: readonly Question[] = [
  { name: 'admission', file: 'admission.ts', asks: 'what Redis pays for an admission' },
  { name: 'sealing', file: 'sealing.ts', asks: 'what encryption costs an event' },
  { name: 'gateway', file: 'gateway.ts', asks: 'what the gateway pays for an event, beside others' },
  { name: 'telemetry', file: 'telemetry.ts', asks: 'what tracing costs the gateway' },
  { name: 'consumer', file: 'consumer.ts', asks: 'what the consumer pays for an event, beside others' },
  { name: 'durability', file: 'durability.ts', asks: 'what waiting for replicas costs' },
  {
    name: 'latency',
    file: 'latency.ts',
    asks: 'how long from accepted to settled, and up to which rate',
    args: ['--find-max'],
  },
  { name: 'backlog', file: 'backlog.ts', asks: 'what grows with what waits' },
  { name: 'partitions', file: 'partitions.ts', asks: 'what grows with partitions' },
  { name: 'flood', file: 'flood.ts', asks: 'what badly signed requests do to others' },
  { name: 'contexts', file: 'contexts.ts', asks: 'what a context costs Redis' },
  { name: 'sweep', file: 'sweep.ts', asks: 'how long a sweep takes, and who feels it' },
  { name: 'tiers', file: 'tiers.ts', asks: 'how much smaller and slower the warm and cold tiers are' },
  { name: 'enrichment', file: 'enrichment.ts', asks: 'how often a model is asked' },
  { name: 'search', file: 'search.ts', asks: 'what search finds, and how fast' },
  { name: 'prewarm', file: 'prewarm.ts', asks: 'what prewarming is worth' },
  {
    name: 'memory',
    file: 'memory.ts',
    asks: 'what Redis needs for a waiting event, beside others',
    args: ['--explore'],
  },
  { name: 'long-memory', file: 'long-memory.ts', asks: 'what remembering ids takes, and how often in vain' },
  { name: 'cli', file: 'cli-start.ts', asks: 'how fast webhook-cli starts' },
]
