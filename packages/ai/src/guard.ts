/** Every request to a provider goes through here: the breaker is asked, and whoever counts is told. */
import type { Clock } from '@weir/core/clock'
import { isFault } from '@weir/core/faults'
import type { Breaker } from './breaker.ts'
import type { Observe, Purpose, RequestOutcome } from './observation.ts'
import { isUnavailable, retryAfterOf, Unavailable } from './unavailable.ts'

/** Prices of a million tokens; undefined = unknown. */
export interface Prices {
  readonly input: number | undefined
  readonly output: number | undefined
}

export interface GuardOptions {
  readonly purpose: Purpose
  readonly provider: 'local' | 'openai'
  readonly model: string
  readonly prices: Prices
  /** undefined where nothing can fail. */
  readonly breaker: Breaker | undefined
  readonly clock: Clock
  readonly observe: Observe
}

interface Tokens {
  readonly input: number
  readonly output: number
}

export interface Guard {
  /** What `work` resolves with. Throws Fault AI_UNAVAILABLE while the breaker is open, and what `work` throws. */
  run<T>(texts: number, tokensOf: (result: T) => Tokens, work: () => Promise<T>): Promise<T>
  /** In the currency of the prices; undefined where a price that it takes is unknown. */
  costOf(tokens: Tokens): number | undefined
}

export function createGuard(options: GuardOptions): Guard {
  const { purpose, provider, model, prices, breaker, clock, observe } = options

  function costOf({ input, output }: Tokens): number | undefined {
    const read = part(input, prices.input)
    const written = part(output, prices.output)
    return read === undefined || written === undefined ? undefined : read + written
  }

  return {
    costOf,
    async run(texts, tokensOf, work) {
      const entry = breaker?.enter()
      if (entry?.kind === 'refused') {
        throw new Unavailable(`${provider} has failed too often; it is left alone for now`, {
          retryAfterMs: entry.waitMs,
        })
      }
      const began = clock.monotonic()
      const tell = (outcome: RequestOutcome, { input, output }: Tokens) => {
        const ms = clock.monotonic() - began
        const cost = outcome === 'ok' ? costOf({ input, output }) : 0
        observe({
          kind: 'request',
          purpose,
          provider,
          model,
          outcome,
          texts,
          ms,
          inputTokens: input,
          outputTokens: output,
          cost,
        })
      }
      try {
        const result = await work()
        entry?.succeeded()
        tell('ok', tokensOf(result))
        return result
      } catch (error) {
        if (isUnavailable(error)) entry?.failed(retryAfterOf(error))
        else if (isFault(error, 'AI_REFUSED')) entry?.failed()
        else if (isFault(error)) entry?.succeeded()
        else entry?.left()
        tell(isFault(error) ? error.code : 'aborted', { input: 0, output: 0 })
        throw error
      }
    },
  }
}

function part(tokens: number, price: number | undefined): number | undefined {
  if (tokens === 0) return 0
  return price === undefined ? undefined : (tokens * price) / 1_000_000
}
