/**
 * Prints the addresses that a sender publishes, for `webhook.tools.<tool>.allow_from`. It reads a file that you have
 * downloaded; it never connects to anything itself.
 *
 *   curl -o meta.json https://api.github.com/meta
 *   node scripts/run.mjs scripts/refresh-address-ranges.ts github meta.json
 *
 *   curl -o ip-ranges.json https://ip-ranges.atlassian.com/
 *   node scripts/run.mjs scripts/refresh-address-ranges.ts atlassian ip-ranges.json [jira | bitbucket]
 */
import { readFileSync } from 'node:fs'
import { messageOf } from '@weir/core/faults'
import { isIPv4 } from '@weir/security/address'
import { aggregateRanges, parseCidr } from '@weir/security/cidr'

/**
 * No sender owns as much as a /8, or an IPv6 /16; a file that says so (0.0.0.0/0 is a valid range) would let in everybody.
 * In bits of 128, as `parseCidr` has them.
 */
const SHORTEST_PREFIX = { ipv4: 96 + 9, ipv6: 17 }

interface Published {
  readonly tool: string
  readonly source: string
  readonly ranges: readonly string[]
}

/** GitHub: `{ "hooks": ["192.0.2.0/24", …], … }`; the other members are for other purposes. */
function readGithub(document: unknown): Published {
  const hooks = membersOf(document).hooks
  if (!Array.isArray(hooks)) throw new TypeError('has no list "hooks"; download https://api.github.com/meta')
  return { tool: 'github', source: 'https://api.github.com/meta, hooks', ranges: hooks.map(rangeOf) }
}

/**
 * Atlassian: `{ "items": [{ "cidr": "192.0.2.0/24", "product": ["jira", …], "direction": ["egress", …], … }, …] }`.
 * Only what it sends from counts, and only for the product: the list also has the networks that a provider shares
 * among all its customers to send mail (product "email"). Items that do not say are for all.
 */
function readAtlassian(document: unknown, product: string): Published {
  const items = membersOf(document).items
  if (!Array.isArray(items))
    throw new TypeError('has no list "items"; download https://ip-ranges.atlassian.com/')
  const ranges = items
    .map(membersOf)
    .filter((item) => says(item.direction, 'egress') && says(item.product, product))
    .map((item) => rangeOf(item.cidr))
  return { tool: product, source: `https://ip-ranges.atlassian.com/, egress of ${product}`, ranges }
}

/** Does a list (or a single text) of a document hold the word, or is it not there? */
function says(value: unknown, word: string): boolean {
  if (value === undefined || value === null) return true
  return Array.isArray(value) ? value.includes(word) : value === word
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`has ${JSON.stringify(value)} where an object is expected`)
  return value as Readonly<Record<string, unknown>>
}

function rangeOf(value: unknown): string {
  if (typeof value !== 'string')
    throw new TypeError(`has ${JSON.stringify(value)} where an address range is expected`)
  const { words, prefix } = parseCidrOf(value)
  const shortest = isIPv4(words) ? SHORTEST_PREFIX.ipv4 : SHORTEST_PREFIX.ipv6
  if (prefix < shortest) throw new TypeError(`has the range ${value}, which is wider than any sender's`)
  return value
}

function parseCidrOf(value: string): ReturnType<typeof parseCidr> {
  try {
    return parseCidr(value)
  } catch (error) {
    throw new TypeError(`is wrong: ${messageOf(error)}`, { cause: error })
  }
}

/** YAML; all ranges quoted, because an unquoted `1:2` is a number in base 60 to some readers. */
function snippet({ tool, source, ranges }: Published): string {
  if (ranges.length === 0) throw new TypeError(`has no range for ${tool}`)
  const lines = aggregateRanges(ranges).map((range) => `        - '${range}'\n`)
  return `# ${source}: ${ranges.length} published, ${lines.length} aggregated
webhook:
  tools:
    ${tool}:
      allow_from:
${lines.join('')}`
}

function read(sender: string, file: string, product: string): Published {
  const document: unknown = JSON.parse(readFileSync(file, 'utf8'))
  return sender === 'github' ? readGithub(document) : readAtlassian(document, product)
}

const [sender = '', file, product = 'jira', ...rest] = process.argv.slice(2)
if (
  file === undefined ||
  rest.length > 0 ||
  !['github', 'atlassian'].includes(sender) ||
  !['jira', 'bitbucket'].includes(product)
) {
  console.error(
    'weir: usage: refresh-address-ranges.ts github <meta.json> | atlassian <ip-ranges.json> [jira | bitbucket]',
  )
  process.exitCode = 1
} else {
  try {
    process.stdout.write(snippet(read(sender, file, product)))
  } catch (error) {
    console.error(`weir: ${file} ${sentenceOf(error)}`)
    process.exitCode = 1
  }
}

function sentenceOf(error: unknown): string {
  if (error instanceof SyntaxError) return `is no JSON: ${error.message}`
  return error instanceof TypeError ? error.message : `cannot be read: ${messageOf(error)}`
}
