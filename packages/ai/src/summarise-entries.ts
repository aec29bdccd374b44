/**
 * A summary of what a summary said before and what has happened since.
 *
 *   redacted ──▶ more than one chunk? ──▶ each chunk is summarised, then their summaries are, until one chunk is left
 *
 * Every single summary is cached, so that one that broke off in the middle (the budget, the provider) goes on where it stopped and pays for nothing twice.
 */
import type { Budget, OverBudget } from './budget.ts'
import { type Cache, cacheName } from './cache.ts'
import { beginning, chunksOf } from './chunks.ts'
import type { Guard } from './guard.ts'
import { normalised } from './normalise.ts'
import type { Observe } from './observation.ts'
import type { Source } from './outcome.ts'
import { spending } from './spending.ts'
import type { Summariser, Summary, SummaryRequest } from './summariser.ts'
import { estimateTokens } from './tokens.ts'

export interface SummaryDeps {
  readonly summariser: Summariser
  /** Adds fewer entries than `modelFrom` to the summary, whatever the other one is: most bursts are small, and a model adds little to them. */
  readonly local: Summariser
  readonly modelFrom: number
  readonly guard: Guard
  readonly cache: Cache
  readonly budget: Budget
  /** Tokens that are summarised at once, as estimated. */
  readonly maxChunkTokens: number
  redact(text: string): string
  readonly observe: Observe
}

export interface SummarisedEntries {
  readonly kind: 'done'
  readonly text: string
  readonly source: Source
}

/** Throws what {@link embedTexts} throws. */
export async function summariseEntries(
  deps: SummaryDeps,
  tenant: string,
  request: SummaryRequest,
  signal: AbortSignal | undefined,
): Promise<SummarisedEntries | OverBudget> {
  const redacted = (text: string) => normalised(deps.redact(text))
  const entries = request.entries.map(redacted).filter((entry) => entry !== '')
  // Its lines are the local summariser's sentences.
  const previous = request.previous === undefined ? undefined : deps.redact(request.previous).trim()
  if (entries.length === 0) return { kind: 'done', text: previous ?? '', source: 'nothing' }
  const asked = { subject: redacted(request.subject), previous: previous || undefined, entries }
  if (deps.summariser.provider === 'local')
    return { kind: 'done', text: (await ask(deps, asked, signal)).text, source: 'provider' }
  if (entries.length < deps.modelFrom)
    return { kind: 'done', text: (await deps.local.summarise(asked, signal)).text, source: 'local' }
  return condense(deps, tenant, asked, signal)
}

async function condense(
  deps: SummaryDeps,
  tenant: string,
  request: SummaryRequest,
  signal: AbortSignal | undefined,
): Promise<SummarisedEntries | OverBudget> {
  const { maxChunkTokens } = deps
  // Half of a chunk is for entries at least, however long the rest is.
  const subject = beginning(request.subject, Math.floor(maxChunkTokens / 4))
  const previous = request.previous && beginning(request.previous, Math.floor(maxChunkTokens / 4))
  const room = maxChunkTokens - estimateTokens(subject) - estimateTokens(previous ?? '')
  const chunks = chunksOf(request.entries, room)
  const [only] = chunks
  if (chunks.length === 1 && only !== undefined)
    return summarised(deps, tenant, { subject, previous, entries: only }, signal)
  const parts: string[] = []
  for (const entries of chunks) {
    const part = await summarised(deps, tenant, { subject, previous: undefined, entries }, signal)
    if (part.kind === 'over-budget') return part
    // Two of them fit into a chunk, so that there are fewer chunks each time.
    parts.push(beginning(part.text, Math.floor(room / 2)))
  }
  return condense(deps, tenant, { subject, previous, entries: parts }, signal)
}

/** One chunk. */
async function summarised(
  deps: SummaryDeps,
  tenant: string,
  request: SummaryRequest,
  signal: AbortSignal | undefined,
): Promise<SummarisedEntries | OverBudget> {
  const { summariser, guard, cache, budget, observe } = deps
  const { subject, previous = '', entries } = request
  const name = cacheName(summariser.model, subject, previous, ...entries)
  const [kept] = await cache.get(tenant, 'summary', [name])
  observe({ kind: 'lookup', purpose: 'summary', found: kept === undefined ? 'miss' : 'hit', count: 1 })
  if (kept !== undefined) return { kind: 'done', text: kept.toString(), source: 'cache' }
  const texts = [subject, previous, ...entries]
  // Two more for what stands before an entry.
  const estimate = texts.reduce((sum, text) => sum + estimateTokens(text) + 2, summariser.overheadTokens)
  const plan = { purpose: 'summary' as const, tenant, estimate }
  const outcome = await spending(budget, observe, plan, async (spent) => {
    const summary = await ask(deps, request, signal)
    spent({ tokens: summary.tokens, cost: guard.costOf(partsOf(summary)) ?? 0 })
    return summary.text
  })
  if (outcome.kind === 'over-budget') return outcome
  await cache.put(tenant, 'summary', new Map([[name, Buffer.from(outcome.result)]]))
  return { kind: 'done', text: outcome.result, source: 'provider' }
}

function ask(
  { summariser, guard }: SummaryDeps,
  request: SummaryRequest,
  signal: AbortSignal | undefined,
): Promise<Summary> {
  return guard.run(request.entries.length, partsOf, () => summariser.summarise(request, signal))
}

function partsOf({ tokens, outputTokens }: Summary) {
  return { input: tokens - outputTokens, output: outputTokens }
}
