/** Whether every accepted event was settled, asked of the operations API: each by its id, not by counting. */
import type { Clock } from '@weir/core/clock'
import { messageOf } from '@weir/core/faults'

export interface SettledOptions {
  /** Base address of the operations API. */
  readonly operations: string
  readonly token: string
  readonly clock: Clock
  /** How long it is asked again, ms. */
  readonly withinMs: number
  readonly signal: AbortSignal
  /** Told how many are still to be seen settled. */
  readonly onLeft?: (left: number) => void
}

export interface SettledReport {
  readonly settled: number
  /** Events that are somewhere else when time is up: place → how many. `unknown` = nobody knows the event. */
  readonly elsewhere: Readonly<Record<string, number>>
  /** One of each place, to look at. */
  readonly examples: Readonly<Record<string, string>>
}

/** The operations API does not answer as it should; the message says what to do. */
export class NoAnswers extends Error {
  override readonly name = 'NoAnswers'
}

const AT_ONCE = 32
const ASK_TIMEOUT_MS = 10_000
const PAUSE_MS = 200
/** Where an event stays: asking again tells nothing new. */
const FINAL = new Set(['settled', 'dead'])

/** Throws NoAnswers. */
export async function untilSettled(ids: Iterable<string>, options: SettledOptions): Promise<SettledReport> {
  const { clock, withinMs, signal } = options
  const deadline = clock.monotonic() + withinMs
  const places = new Map<string, string>()
  let left = [...new Set(ids)]
  for (;;) {
    await eachAtOnce(left, async (id) => void places.set(id, await placeOf(id, options)))
    left = left.filter((id) => !FINAL.has(places.get(id) ?? ''))
    options.onLeft?.(left.length)
    if (left.length === 0 || clock.monotonic() >= deadline || signal.aborted) return report(places)
    await clock.wait(PAUSE_MS, signal)
  }
}

function report(places: ReadonlyMap<string, string>): SettledReport {
  const elsewhere: Record<string, number> = {}
  const examples: Record<string, string> = {}
  let settled = 0
  for (const [id, place] of places) {
    if (place === 'settled') settled++
    else {
      elsewhere[place] = (elsewhere[place] ?? 0) + 1
      examples[place] ??= id
    }
  }
  return { settled, elsewhere, examples }
}

async function eachAtOnce(ids: readonly string[], work: (id: string) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async () => {
    for (let id = ids[next++]; id !== undefined; id = ids[next++]) await work(id)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

async function placeOf(id: string, { operations, token }: SettledOptions): Promise<string> {
  let response: Response
  try {
    response = await fetch(`${operations}/events/${encodeURIComponent(id)}`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(ASK_TIMEOUT_MS),
    })
  } catch (error) {
    const why = messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error)
    throw new NoAnswers(
      `the operations API at ${operations} does not answer (${why}); --operations names another, --no-verify does without`,
    )
  }
  if (response.status === 404) {
    await response.body?.cancel()
    return 'unknown'
  }
  if (response.status === 401)
    throw new NoAnswers('the operations API refuses the token; pass it with --token or OPS_TOKEN')
  const answer: unknown = await response.json().catch(() => undefined)
  const place: unknown =
    typeof answer === 'object' && answer !== null ? Reflect.get(answer, 'place') : undefined
  if (response.status !== 200 || typeof place !== 'string')
    throw new NoAnswers(`${operations}/events/${id} answers ${response.status}: is this an operations API?`)
  return place
}
