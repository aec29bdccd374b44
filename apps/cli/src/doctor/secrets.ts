/** Are there secrets, and are they any? None is ever shown: findings name the setting. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '@weir/core/config/schema'
import { TOOLS, type Tool } from '@weir/core/config/tools'
import { messageOf } from '@weir/core/faults'
import { type Finding, fail, ok, skip, warn } from './finding.ts'

/** A shorter one can be guessed, characters. */
const SHORT = 16
/** What examples and manuals have in its place. */
const DEFAULTS =
  /^(?:change[-_ ]?(?:me|it)|your[-_ ].*|my[-_ ]?secret.*|secret\d*|password\d*|passw0rd|test(?:ing)?\d*|example|default|webhook[-_ ]?(?:secret)?|token|admin|weir|xxx+|1234567?8?9?0?|todo|replace[-_ ]?me|placeholder|<.*>|\*+)$/i
const HOW = 'use what `openssl rand -hex 32` makes, here and at the sender'

/** Of whose secret we speak, and its text. */
interface Held {
  /** `GITHUB_WEBHOOK_SECRET`, `webhook.security.tenant_secrets.acme.github`. */
  readonly where: string
  readonly tool: Tool | undefined
  readonly text: string
}

/** @param made the secret that `start` made for this variable */
export async function examineSecrets(
  config: Config,
  made: (variable: string) => string | undefined,
): Promise<Finding[]> {
  const { security, tools, ops } = config.webhook
  const held: Held[] = []
  const findings: Finding[] = []
  for (const tool of TOOLS) {
    const variable = `${tool.toUpperCase()}_WEBHOOK_SECRET`
    const configured = listOf(security.signature_secrets[tool])
    const texts = configured.length > 0 ? configured : listOf(made(variable) ?? null)
    for (const text of texts)
      held.push({ where: isShared(config, tool, text) ? 'HMAC_SECRET' : variable, tool, text })
  }
  for (const [tenant, own] of Object.entries(security.tenant_secrets ?? {}))
    for (const [tool, secrets] of Object.entries(own ?? {}))
      for (const text of listOf(secrets as string | readonly string[] | null))
        held.push({ where: `webhook.security.tenant_secrets.${tenant}.${tool}`, tool: tool as Tool, text })
  let elsewhere = false
  if (security.secrets_directory !== null) {
    try {
      held.push(...(await secretsIn(security.secrets_directory)))
    } catch (error) {
      elsewhere = (error as NodeJS.ErrnoException).code === 'ENOENT'
      if (elsewhere)
        findings.push(
          skip(
            'secrets',
            `${security.secrets_directory} (webhook.security.secrets_directory) is not here: ask doctor where a gateway runs, or correct the path where one does not start`,
          ),
        )
      else
        findings.push(
          fail(
            'secrets',
            `webhook.security.secrets_directory cannot be read: ${messageOf(error)}`,
            'correct the path, or its permissions',
          ),
        )
    }
  }
  if (!security.enable_signature_verification)
    findings.push(
      fail(
        'secrets',
        'webhook.security.enable_signature_verification is false: every request is believed',
        'set it to true (WEBHOOK_SIGNATURE_VERIFICATION)',
      ),
    )
  const enabled = TOOLS.filter((tool) => tools[tool].enabled && tools[tool].signature !== 'none')
  const without = enabled.filter((tool) => !held.some((each) => each.tool === tool))
  const believed = enabled.filter((tool) => !without.includes(tool))
  const variables = without.map((tool) => `${tool.toUpperCase()}_WEBHOOK_SECRET`)
  if (believed.length === 0 && enabled.length > 0) {
    // Only gateways need them: where their directory is not, nothing is known of them.
    if (!elsewhere)
      findings.push(
        fail(
          'secrets',
          'no tool has a secret, so every request is refused',
          `set that of the tools that send, e.g. ${variables[0]}`,
        ),
      )
  } else {
    const refused = without.length === 0 ? '' : `; refused for want of one: ${without.join(', ')}`
    findings.push(ok('secrets', `there for ${believed.join(', ') || 'no tool'}${refused}`))
  }
  const token = ops.token ?? made('OPS_TOKEN') ?? null
  if (token === null)
    findings.push(
      warn(
        'secrets',
        'OPS_TOKEN is not set: the operations API and /metrics ask for one that nobody has',
        `set OPS_TOKEN to what \`openssl rand -hex 32\` makes`,
      ),
    )
  else held.push({ where: 'OPS_TOKEN', tool: undefined, text: token })
  if (security.encryption_master_key !== null)
    held.push({ where: 'ENCRYPTION_MASTER_KEY', tool: undefined, text: security.encryption_master_key })
  return [...findings, ...weaknessesOf(held)]
}

/** HMAC_SECRET is that of generic senders and of Alertmanager, where these have none of their own: the same twice, on purpose. */
function isShared({ webhook: { security } }: Config, tool: Tool, text: string): boolean {
  const both = ['generic', 'alertmanager'] as const
  return (
    both.some((each) => each === tool) &&
    both.every((each) => listOf(security.signature_secrets[each]).includes(text))
  )
}

function weaknessesOf(held: readonly Held[]): Finding[] {
  const findings: Finding[] = []
  for (const { where, tool, text } of held) {
    if (DEFAULTS.test(text.trim()) || text === tool || new Set(text).size === 1)
      findings.push(fail('secrets', `${where} is a word that everybody tries first`, HOW))
    else if (text.length < SHORT)
      findings.push(warn('secrets', `${where} has fewer than ${SHORT} characters`, HOW))
  }
  const owners = Map.groupBy(held, ({ text }) => text)
  for (const [, same] of owners) {
    const where = [...new Set(same.map((each) => each.where))]
    if (where.length > 1)
      findings.push(
        warn(
          'secrets',
          `${where.join(' and ')} are the same`,
          'give each a secret of its own: who knows one of them knows all',
        ),
      )
  }
  return findings
}

/** The files of secrets, as the gateway reads them: `<tool>` or `<tenant>.<tool>`, one secret a line. */
async function secretsIn(directory: string): Promise<Held[]> {
  const held: Held[] = []
  for (const name of await readdir(directory)) {
    const tool = TOOLS.find((each) => name === each || name.endsWith(`.${each}`))
    if (tool === undefined) continue
    const lines = (await readFile(join(directory, name), 'utf8')).split('\n')
    for (const text of lines.map((line) => line.trim()).filter((line) => line !== ''))
      held.push({ where: join(directory, name), tool, text })
  }
  return held
}

function listOf(secrets: string | readonly string[] | null): readonly string[] {
  if (secrets === null) return []
  return typeof secrets === 'string' ? [secrets] : secrets
}
