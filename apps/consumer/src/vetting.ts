/**
 * Are the Redis servers fit for use? At the start an unfit one is refused, in the gateway's words (core/redis/suitability).
 * Later, when a failover or an operator's hand has put another server there, it is told loudly, once, and the work goes on:
 * an evicting server is endangered most by a backlog, and what a server cannot do fails by itself.
 */
import type { Clock } from '@weir/core/clock'
import { isFault, messageOf } from '@weir/core/faults'
import type { RedisLink } from '@weir/core/redis/link'
import { checkSuitability } from '@weir/core/redis/suitability'
import type { Logger } from 'pino'

export interface Vetting {
  /** Looks at the server of this link after every connect, from now on. */
  watch(link: RedisLink): void
  /**
   * Waits a moment for the first connection of the links watched so far, and looks at their servers. Throws Fault
   * REDIS_UNSUITABLE; where Redis does not answer, the start goes on without it.
   */
  first(): Promise<void>
}

export interface VettingOptions {
  readonly production: boolean
  readonly clock: Clock
  readonly log: Logger
}

/** How long a start waits for Redis before it goes on without, ms. */
const FIRST_CONNECT_MS = 2_000

export function createVetting({ production, clock, log }: VettingOptions): Vetting {
  const links: RedisLink[] = []
  /** What was said already; many links may lead to one server. */
  let told: ReadonlySet<string> = new Set()

  const tell = (level: 'warn' | 'error', sentence: string, facts: object) => {
    if (told.has(sentence)) return
    told = new Set([...told, sentence])
    log[level]({ event: 'redis', ...facts }, sentence)
  }
  const check = async (link: RedisLink) => {
    const { version, warnings } = await checkSuitability(link, production)
    // Repaired: said anew when it comes back.
    if (warnings.length === 0) told = new Set()
    for (const warning of warnings) tell('warn', warning, { version, server: link.peer })
  }
  let starting = false
  const checkLater = async (link: RedisLink) => {
    if (starting) return
    try {
      await check(link)
    } catch (error) {
      // Away again: the next connect asks anew.
      if (isFault(error, 'REDIS_UNAVAILABLE')) return
      tell('error', messageOf(error), { server: link.peer, ...(isFault(error) && { code: error.code }) })
    }
  }
  return {
    watch(link) {
      links.push(link)
      link.onConnect(() => void checkLater(link))
    },
    async first() {
      starting = true
      const enough = new AbortController()
      void clock.wait(FIRST_CONNECT_MS, enough.signal).then(() => enough.abort())
      try {
        await Promise.all(
          links.map(async (link) => {
            await link.ready(enough.signal)
            await check(link)
          }),
        )
      } catch (error) {
        if (!isFault(error, 'REDIS_UNAVAILABLE')) throw error
        log.warn({ event: 'redis', reason: error.message }, 'Redis does not answer; starting without it')
      } finally {
        enough.abort()
        starting = false
      }
    },
  }
}
