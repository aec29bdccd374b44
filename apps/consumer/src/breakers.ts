/**
 * This consumer's view of the tools' breakers. The state lives in Redis (core/stream/breaker.ts); here is a copy that
 * the hot path can ask without a round trip: a closed breaker without failures costs a map look-up.
 */
import type { PartitionKeys } from '@weir/core/keys'
import type { RedisLink } from '@weir/core/redis/link'
import {
  acquireProbe,
  type BreakerSettings,
  type BreakerState,
  readBreaker,
  releaseProbe,
  reportBreaker,
} from '@weir/core/stream/breaker'

export type Gate =
  /** Run it. */
  | { readonly kind: 'pass' }
  /** Run it as the half-open probe. */
  | { readonly kind: 'probe' }
  /** Do not run it before so many ms. */
  | { readonly kind: 'wait'; readonly waitMs: number }

export interface Breakers {
  /** undefined = pass, without a promise: the common case. The first event of a tool asks Redis. */
  gate(tool: string): Promise<Gate> | undefined
  /** Reports an outcome; resolves when Redis knows. undefined when it need not: a success while closed. */
  report(tool: string, outcome: 'success' | 'failure', probe: boolean): Promise<void> | undefined
  /** Gives the probe back: its event said nothing of the tool. */
  release(tool: string): Promise<void>
  /** Reads the state of every tool seen so far. */
  refresh(): Promise<void>
  states(): ReadonlyMap<string, BreakerState>
}

export interface BreakersOptions {
  readonly link: RedisLink
  readonly keys: PartitionKeys
  readonly settings: BreakerSettings
  readonly monotonic: () => number
  /** Called when this consumer's report opened or closed one. */
  readonly onChange: (tool: string, state: BreakerState) => void
  /** Called when one that was open is seen closed, whoever closed it: another consumer, an operator. */
  readonly onClosed: (tool: string) => void
}

export function createBreakers(options: BreakersOptions): Breakers {
  const { link, keys, settings, monotonic } = options
  const views = new Map<string, BreakerState & { readonly readAt: number }>()
  /** No wait is longer by right; one may be when Redis' clock was set back, until that is repaired (clock-repair.ts). */
  const longestMs = Math.max(settings.openDurationMs, settings.probeLeaseMs)
  const keep = (tool: string, state: BreakerState) => {
    const before = views.get(tool)
    views.set(tool, { ...state, waitMs: Math.min(state.waitMs, longestMs), readAt: monotonic() })
    if (state.state === 'closed' && before !== undefined && before.state !== 'closed') options.onClosed(tool)
  }
  const firstLooks = new Map<string, Promise<void>>()
  const firstLook = (tool: string): Promise<void> => {
    let look = firstLooks.get(tool)
    if (look === undefined) {
      look = readBreaker(link, keys, tool)
        .then((state) => keep(tool, state))
        .finally(() => firstLooks.delete(tool))
      firstLooks.set(tool, look)
    }
    return look
  }
  const gate = (tool: string): Promise<Gate> | undefined => {
    const view = views.get(tool)
    // A consumer that starts while the breaker is open must not run what the others let wait.
    if (view === undefined) return firstLook(tool).then(() => gate(tool) ?? { kind: 'pass' })
    if (view.state === 'closed') return undefined
    const waitMs = view.waitMs - (monotonic() - view.readAt)
    if (view.state === 'open' && waitMs > 0) return Promise.resolve({ kind: 'wait', waitMs })
    return acquireProbe(link, keys, tool, settings).then((state) => {
      keep(tool, state)
      if (state.state === 'closed') return { kind: 'pass' }
      if (state.state === 'half-open' && state.waitMs === 0) return { kind: 'probe' }
      return { kind: 'wait', waitMs: Math.min(state.waitMs, longestMs) }
    })
  }
  /** The last reports that Redis has not answered yet: what they change the view does not show. */
  const underWay = new Map<string, { readonly outcome: 'success' | 'failure' }>()
  const report = async (tool: string, outcome: 'success' | 'failure', probe: boolean) => {
    const mine = { outcome }
    underWay.set(tool, mine)
    try {
      const state = await reportBreaker(link, keys, tool, settings, outcome === 'failure' ? 1 : 0, probe)
      keep(tool, state)
      if (state.changed) options.onChange(tool, state)
    } finally {
      if (underWay.get(tool) === mine) underWay.delete(tool)
    }
  }
  /** Whether a success would change nothing. One between two failures does, or five of a hundred would be five in a row. */
  const isQuiet = (tool: string): boolean => {
    const view = views.get(tool)
    const last = underWay.get(tool)
    if (last?.outcome === 'failure') return false
    return view === undefined || (view.state === 'closed' && (view.failures === 0 || last !== undefined))
  }
  return {
    gate,
    report(tool, outcome, probe) {
      if (outcome === 'success' && !probe && isQuiet(tool)) return undefined
      return report(tool, outcome, probe)
    },
    release: (tool) => releaseProbe(link, keys, tool),
    async refresh() {
      await Promise.all(
        [...views.keys()].map(async (tool) => keep(tool, await readBreaker(link, keys, tool))),
      )
    },
    states: () => views,
  }
}
