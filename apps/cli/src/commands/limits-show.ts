import { commandOf, type Printer } from '../command.ts'
import { type ExitCode, OK } from '../exit.ts'
import { type LimitDocument, limitDocument, limitName } from '../limits.ts'
import { integerOption } from '../options.ts'
import { ageText, counted, tableOf } from '../text.ts'

interface Options {
  readonly near: number
  readonly limit: number
}

const LIMIT = 50
/** From this share on somebody is near the limit, %. */
const NEAR = 80
const FULL = 100

export const limitsShowCommand = commandOf<Options>(
  (command) =>
    command
      .option('--near <percent>', 'only who has used at least this share', integerOption(0, FULL), 0)
      .option('--limit <n>', 'so many at most, who has used most first', integerOption(1), LIMIT)
      .addHelpText(
        'after',
        '\nOf addresses only a hash is stored; `limits reset --address <address> --dry-run` tells which one somebody has.',
      ),
  async ({ options, io, print }): Promise<ExitCode> => {
    const { withSession } = await import('../session.ts')
    const { configuredLimits } = await import('@weir/core/config/limits')
    const { readLimitUses } = await import('@weir/core/stream/limit-uses')
    const { TOOLS } = await import('@weir/core/config/tools')
    return withSession(options, io, async ({ config, partitions, plan }): Promise<ExitCode> => {
      const limits = configuredLimits(config)
      const uses = await readLimitUses(partitions, plan?.partitions ?? 1, limits.named, io.signal)
      const found = uses
        .map(limitDocument)
        .filter(({ share }) => share * FULL >= options.near)
        .sort((a, b) => b.share - a.share)
      const shown = found.slice(0, options.limit)
      const { security } = config.webhook
      const configured = {
        enabled: security.enable_rate_limiting,
        global_per_second: limits.global?.limit ?? null,
        tool_per_second: Object.fromEntries(TOOLS.map((tool) => [tool, limits.tool(tool)?.limit ?? null])),
        tenant_per_minute: limits.tenant('any')?.limit ?? null,
        address_per_minute: limits.address('any')?.limit ?? null,
      }
      print.answer({ configured, used: shown, more: found.length - shown.length }, () =>
        textOf(configured, shown, found.length, print),
      )
      return OK
    })
  },
)

interface Configured {
  readonly enabled: boolean
  readonly global_per_second: number | null
  readonly tool_per_second: Readonly<Record<string, number | null>>
  readonly tenant_per_minute: number | null
  readonly address_per_minute: number | null
}

function textOf(
  configured: Configured,
  shown: readonly LimitDocument[],
  found: number,
  print: Printer,
): string {
  const { style } = print
  if (!configured.enabled)
    return 'there are no limits: webhook.security.enable_rate_limiting is false (WEBHOOK_RATE_LIMITING)\n'
  const number = (limit: number | null) => (limit === null ? 'none' : limit)
  const rows = [
    { limit: 'all events together', events: number(configured.global_per_second), in: '1 s' },
    ...Object.entries(configured.tool_per_second)
      .filter(([, limit]) => limit !== null)
      .map(([tool, limit]) => ({ limit: `tool ${tool}`, events: number(limit), in: '1 s' })),
    { limit: 'each tenant', events: number(configured.tenant_per_minute), in: '1 min' },
    { limit: 'each address', events: number(configured.address_per_minute), in: '1 min' },
  ]
  const table = tableOf(
    [
      { head: 'limit', cell: (row) => row.limit },
      { head: 'events', cell: (row) => row.events, align: 'right' },
      { head: 'in', cell: (row) => row.in },
    ],
    rows,
    style,
  )
  if (shown.length === 0) return `${table}\nnothing is counted now\n`
  const used = tableOf<LimitDocument>(
    [
      { head: 'counted', cell: limitName },
      { head: 'used', cell: (row) => row.used, align: 'right' },
      { head: 'of', cell: (row) => row.limit, align: 'right' },
      { head: 'in', cell: (row) => ageText(row.period_ms) },
      {
        head: 'share',
        cell: (row) => `${Math.floor(row.share * FULL)} %`,
        align: 'right',
        paint: (row) => (row.share >= 1 ? 'red' : row.share * FULL >= NEAR ? 'yellow' : undefined),
      },
    ],
    shown,
    style,
  )
  const more =
    found > shown.length ? `${counted(found - shown.length, 'more limit')} used: --limit ${found}\n` : ''
  return `${table}\n${used}${more}`
}
