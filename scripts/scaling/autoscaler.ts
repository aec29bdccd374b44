/**
 * The autoscaler against a trace of arriving events, second by second. It decides as Kubernetes' HorizontalPodAutoscaler is documented to:
 * https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ ("Algorithm details", "Configurable scaling behavior").
 * KEDA makes such an autoscaler of a ScaledObject, and leaves it the scaling between its minimum (above zero) and its maximum:
 * https://keda.sh/docs/latest/concepts/scaling-deployments/
 */

export interface Policy {
  readonly type: 'Pods' | 'Percent'
  readonly value: number
  readonly periodSeconds: number
}

export interface Rules {
  readonly stabilizationWindowSeconds: number
  readonly policies: readonly Policy[]
}

export interface AutoscalerSettings {
  readonly minReplicas: number
  readonly maxReplicas: number
  /** Lag for each consumer that is aimed at. */
  readonly lagEach: number
  /** Share of each consumer's time that is aimed at besides; what wants more consumers counts. undefined = the lag alone. */
  readonly busyEach?: number
  readonly scaleUp: Rules
  readonly scaleDown: Rules
}

export interface SimulationOptions {
  readonly settings: AutoscalerSettings
  /** Events that arrive in second t. */
  readonly arrivals: (second: number) => number
  readonly seconds: number
  /** Events that one consumer settles in a second. */
  readonly perConsumer: number
  /** From the decision until a consumer works, s. */
  readonly startSeconds: number
  /** Between two looks of the autoscaler, s. `--horizontal-pod-autoscaler-sync-period`, default 15 s. */
  readonly syncSeconds: number
  /** Between two scrapes of the lag, s; the autoscaler sees the last one, which is as old as it can be when it looks. */
  readonly scrapeSeconds: number
}

export interface Second {
  readonly arrived: number
  readonly settled: number
  /** At the end of the second. */
  readonly lag: number
  /** Wanted, started or not. */
  readonly replicas: number
  /** At work. */
  readonly working: number
}

/** What is busy is a rate over so long, s. */
const RATE_SECONDS = 60

/** No change while a value is that near to what is aimed at. `--horizontal-pod-autoscaler-tolerance`, default 0.1. */
const TOLERANCE = 0.1

export function simulate(options: SimulationOptions): Second[] {
  const { settings, perConsumer, startSeconds, syncSeconds, scrapeSeconds } = options
  const history: Second[] = []
  let replicas = settings.minReplicas
  let lag = 0
  let seen: Seen = { lag: 0, busy: 0 }
  /** Seconds at which consumers begin to work that are being started. */
  let starting: number[] = []
  const changes: { readonly at: number; readonly by: number }[] = []
  const recommended: { readonly at: number; readonly replicas: number }[] = []
  for (let at = 0; at < options.seconds; at++) {
    starting = starting.filter((ready) => ready > at)
    const working = replicas - starting.length
    const arrived = options.arrivals(at)
    const settled = Math.min(lag + arrived, working * perConsumer)
    lag += arrived - settled
    history.push({ arrived, settled, lag, replicas, working })
    if (at % scrapeSeconds === 1) {
      const rated = history.slice(-RATE_SECONDS)
      const busy = rated.reduce((sum, second) => sum + second.settled, 0) / rated.length / perConsumer
      seen = { lag, busy }
    }
    if (at % syncSeconds !== 0) continue
    recommended.push({ at, replicas: recommendation(settings, replicas, seen) })
    const next = decide(settings, replicas, at, recommended, changes)
    if (next === replicas) continue
    changes.push({ at, by: next - replicas })
    // Those that were not at work yet are stopped first.
    if (next < replicas) starting = starting.slice(0, Math.max(0, starting.length - (replicas - next)))
    else starting.push(...Array<number>(next - replicas).fill(at + startSeconds))
    replicas = next
  }
  return history
}

interface Seen {
  readonly lag: number
  /** How many consumers' time was used. */
  readonly busy: number
}

/** `ceil(value / target)` of each metric, and the most of them. */
function recommendation({ lagEach, busyEach }: AutoscalerSettings, replicas: number, seen: Seen): number {
  const by = (value: number, each: number) =>
    Math.abs(value / (each * replicas) - 1) <= TOLERANCE ? replicas : Math.ceil(value / each)
  const byLag = by(seen.lag, lagEach)
  return busyEach === undefined ? byLag : Math.max(byLag, by(seen.busy, busyEach))
}

function decide(
  { minReplicas, maxReplicas, scaleUp, scaleDown }: AutoscalerSettings,
  replicas: number,
  at: number,
  recommended: readonly { readonly at: number; readonly replicas: number }[],
  changes: readonly { readonly at: number; readonly by: number }[],
): number {
  const within = (window: number) =>
    recommended.filter((each) => each.at >= at - window).map((each) => each.replicas)
  const lowest = Math.min(...within(scaleUp.stabilizationWindowSeconds))
  const highest = Math.max(...within(scaleDown.stabilizationWindowSeconds))
  // Up to the least, down to the most of what was recommended in the window.
  const wanted = Math.min(
    maxReplicas,
    Math.max(minReplicas, replicas < lowest ? lowest : Math.min(replicas, highest)),
  )
  if (wanted > replicas) return Math.min(wanted, limit(scaleUp, replicas, at, changes, 1))
  if (wanted < replicas) return Math.max(wanted, limit(scaleDown, replicas, at, changes, -1))
  return replicas
}

/**
 * How far the policies let it go in one direction, from what there was at the beginning of each one's period, whatever way it went since;
 * the most counts.
 */
function limit(
  { policies }: Rules,
  replicas: number,
  at: number,
  changes: readonly { readonly at: number; readonly by: number }[],
  direction: 1 | -1,
): number {
  const limits = policies.map(({ type, value, periodSeconds }) => {
    const already = changes
      .filter((change) => change.at > at - periodSeconds)
      .reduce((sum, { by }) => sum + by, 0)
    const before = replicas - already
    const step = type === 'Pods' ? value : (before * value) / 100
    return direction === 1 ? Math.ceil(before + step) : Math.floor(before - step)
  })
  return direction === 1 ? Math.max(...limits) : Math.min(...limits)
}

/** What a run comes to. */
export interface Course {
  readonly highestLag: number
  /** Seconds with more lag than the objective allows. */
  readonly secondsAbove: number
  /** From the first second above it to the last one, s; 0 = never. */
  readonly longestAbove: number
  readonly replicaHours: number
  readonly most: number
  readonly changes: number
}

/** @param objective lag that is not to be passed */
export function courseOf(history: readonly Second[], objective: number): Course {
  let above = 0
  let longestAbove = 0
  let secondsAbove = 0
  let changes = 0
  for (const [at, { lag, replicas }] of history.entries()) {
    above = lag > objective ? above + 1 : 0
    longestAbove = Math.max(longestAbove, above)
    if (above > 0) secondsAbove++
    if (at > 0 && replicas !== history[at - 1]!.replicas) changes++
  }
  return {
    highestLag: history.reduce((most, { lag }) => Math.max(most, lag), 0),
    secondsAbove,
    longestAbove,
    replicaHours: history.reduce((sum, { replicas }) => sum + replicas, 0) / 3_600,
    most: history.reduce((most, { replicas }) => Math.max(most, replicas), 0),
    changes,
  }
}
