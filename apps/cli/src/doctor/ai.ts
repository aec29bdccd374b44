/** Does the AI provider answer, with our key, what is configured? */
import { configuredClient, configuredEmbedder } from '@weir/ai/configured'
import type { Clock } from '@weir/core/clock'
import type { Config } from '@weir/core/config/schema'
import { type Finding, ok, skip } from './finding.ts'

const CHECK = 'ai provider'
/** A person waits: one attempt, ms. */
const LIMIT_MS = 10_000
const PROBE = 'webhook-cli doctor'

export const AI_FIX =
  'check OPENAI_API_KEY, AI_BASE_URL, webhook.ai.embedding and the account; events do not wait for it'

export async function examineAi(config: Config, clock: Clock): Promise<Finding[]> {
  const { ai } = config.webhook
  if (!ai.enabled) return [skip(CHECK, 'enrichment is switched off (webhook.ai.enabled)')]
  const model = ai.summarization.model
  if (ai.embedding.provider === 'local' && model === null)
    return [ok(CHECK, 'what is built in: no network, no key')]
  const quick: Config = structuredClone(config)
  Object.assign(quick.webhook.ai, { attempts: 1, request_timeout: Math.min(ai.request_timeout, LIMIT_MS) })
  const deps = { clock, random: Math.random }
  const findings: Finding[] = []
  if (ai.embedding.provider !== 'local') {
    const embedder = configuredEmbedder(quick, deps)
    const { vectors, tokens } = await embedder.embed([PROBE])
    findings.push(
      ok(CHECK, `${embedder.model}: a vector of ${vectors[0]?.length ?? 0} numbers, for ${tokens} tokens`),
    )
  }
  if (model !== null) {
    await configuredClient(quick, deps).ask(model, (api, ending) => api.models.retrieve(model, ending))
    findings.push(ok(CHECK, `${model}: the provider has it`))
  }
  return findings
}
