import type { ConfiguredLimits } from '@weir/core/config/limits'
import type { Tool } from '@weir/core/config/tools'
import type { RateLimit } from '@weir/core/stream/limits'
import { type Command, InvalidArgumentError } from 'commander'
import { audited } from '../audited.ts'
import { commandOf } from '../command.ts'
import { CommandFailure, type ExitCode, OK } from '../exit.ts'
import { limitDocument, limitName } from '../limits.ts'
import { nameOption, toolFlag } from '../options.ts'

interface Options {
  readonly all?: true
  readonly tool?: Tool
  readonly tenant?: string
  readonly address?: string
  readonly dryRun?: true
}

export const limitsResetCommand = commandOf<Options>(
  (command: Command) =>
    command
      .option('--all', 'the limit of all events together')
      .addOption(toolFlag('the limit of this tool'))
      .option('--tenant <tenant>', 'the limit of this tenant', nameOption)
      .option('--address <address>', 'the limit of this address (IPv4 or IPv6)', addressOption)
      .option('--dry-run', 'only say what is counted')
      .addHelpText(
        'after',
        '\nGateways that were told of a limit that is used up believe it for up to a sixteenth of its period longer.',
      ),
  async ({ options, io, print }): Promise<ExitCode> => {
    const { withSession } = await import('../session.ts')
    const { configuredLimits } = await import('@weir/core/config/limits')
    const { readLimitUse, resetLimit } = await import('@weir/core/stream/limit-uses')
    const { dryRun = false } = options
    return withSession(options, io, async (session): Promise<ExitCode> => {
      const { config, partitions, plan } = session
      const chosen = await limitsOf(configuredLimits(config), options)
      const uses = await Promise.all(
        chosen.map((limit) => readLimitUse(partitions, plan?.partitions ?? 1, limit)),
      )
      const documents = uses.map(limitDocument)
      const answer = () =>
        print.answer({ dry_run: dryRun, limits: documents }, () =>
          documents
            .map((each) => {
              const done = dryRun ? 'would be forgotten (dry run)' : 'forgotten'
              return `${limitName(each)}: ${each.used} of ${each.limit} ${done}\n`
            })
            .join(''),
        )
      if (dryRun) {
        answer()
        return OK
      }
      const target = documents.map(limitName).join(', ')
      return audited(session, { action: 'limits.reset', target }, async () => {
        for (const limit of chosen) await resetLimit(partitions, limit)
        answer()
        return {
          code: OK,
          outcome: 'done',
          detail: { used: documents.reduce((sum, { used }) => sum + used, 0) },
        }
      })
    })
  },
)

/** Throws a CommandFailure where nothing was named, or what was named has no limit. */
async function limitsOf(limits: ConfiguredLimits, options: Options): Promise<RateLimit[]> {
  const { all, tool, tenant, address } = options
  const named: [string, RateLimit | undefined][] = []
  if (all) named.push(['all events together (webhook.security.global_rate_limit)', limits.global])
  if (tool !== undefined)
    named.push([`${tool} (webhook.security.per_tool_rate_limits.${tool})`, limits.tool(tool)])
  if (tenant !== undefined)
    named.push([`tenant ${tenant} (RATE_LIMIT_RPM, webhook.security.rate_limit_rpm)`, limits.tenant(tenant)])
  if (address !== undefined) {
    const { canonicalAddress } = await import('@weir/security/address')
    const canonical = canonicalAddress(address)
    if (canonical === undefined)
      throw new CommandFailure(`--address ${address}: not an IP address, such as 192.0.2.7 or 2001:db8::7.`)
    named.push([
      `address ${address} (RATE_LIMIT_RPM, webhook.security.rate_limit_rpm)`,
      limits.address(canonical),
    ])
  }
  if (named.length === 0)
    throw new CommandFailure(
      'say whose limit: --tool, --tenant, --address, or --all for that of all events together.',
    )
  return named.map(([what, limit]) => {
    if (limit === undefined) throw new CommandFailure(`there is no limit for ${what} in this configuration.`)
    return limit
  })
}

function addressOption(text: string): string {
  if (!/^[0-9A-Fa-f:.]{2,45}$/.test(text))
    throw new InvalidArgumentError('Write an IP address, such as 192.0.2.7 or 2001:db8::7.')
  return text
}
