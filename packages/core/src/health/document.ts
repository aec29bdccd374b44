/**
 * The answer of `/health/webhook`, the same shape from every process: what it knows of each part, and how old that knowledge is.
 * It is made of what was seen in passing: asking S3 or a provider for the sake of a health page would cost money, and take them down
 * together with what watches them.
 */

/**
 * ok        it works
 * degraded  it works less well than it should, or somebody should look
 * failing   it does not work
 * unknown   nobody has seen it yet, or whoever would know cannot be asked
 * off       it is not used here
 */
export const CHECK_STATES = ['ok', 'degraded', 'failing', 'unknown', 'off'] as const
export type CheckState = (typeof CHECK_STATES)[number]

export const HEALTH_STATES = ['ok', 'degraded', 'failing'] as const

/** One part. Beside these fields there are facts of its own: numbers, words, lists; times in whole ms. */
export interface Check {
  readonly state: CheckState
  /** How old the observation is, ms; 0 = just now, null = there was none. */
  readonly age_ms: number | null
  /** Why it is not ok, one sentence. */
  readonly detail?: string
  readonly [fact: string]: unknown
}

export type Checks = Readonly<Record<string, Check>>

export interface HealthDocument {
  readonly status: (typeof HEALTH_STATES)[number]
  readonly checks: Checks
}

/**
 * failing: a vital part fails. degraded: any part fails or is degraded, or nobody knows of a vital one. Of the others it is no
 * trouble that nobody knows: cold storage that was not needed yet may be in the best of health.
 * @param vital names of the checks without which the work cannot be done
 */
export function healthDocument(checks: Checks, vital: readonly string[]): HealthDocument {
  const isVital = (name: string) => vital.includes(name)
  const all = Object.entries(checks)
  const fails = all.some(([name, { state }]) => isVital(name) && state === 'failing')
  const troubled = all.some(
    ([name, { state }]) =>
      state === 'failing' || state === 'degraded' || (isVital(name) && state === 'unknown'),
  )
  return { status: fails ? 'failing' : troubled ? 'degraded' : 'ok', checks }
}

/** What an HTTP answer with it says: watchers that look at nothing else must see that the work is not done. */
export function healthStatusCode({ status }: Pick<HealthDocument, 'status'>): 200 | 503 {
  return status === 'failing' ? 503 : 200
}
