import type { Command } from 'commander'
import { audited } from '../audited.ts'
import { type Context, commandOf } from '../command.ts'
import { OK } from '../exit.ts'
import { nameOption } from '../options.ts'
import { counted } from '../text.ts'
import { knownTool } from '../tools.ts'

interface Options {
  readonly tool: string
}

export function resetCircuitBreakerCommand(context: Context): Command {
  return commandOf<Options>(
    context,
    'reset-circuit-breaker',
    "close a tool's breaker and try its waiting events now",
    (command) => command.requiredOption('--tool <tool>', 'the tool, e.g. github', nameOption),
    async ({ options, io, print }) => {
      const tool = await knownTool(options.tool)
      const { withSession } = await import('../session.ts')
      return withSession(options, io, (session) =>
        audited(session, { action: 'breaker.reset', target: tool }, async () => {
          const { wasClosed, woken } = await session.view.resetBreaker(tool)
          print.answer({ tool, state: 'closed', was_closed: wasClosed, woken }, () => {
            const before = wasClosed ? 'was closed already' : 'is closed now'
            return `${tool}: the breaker ${before}; ${counted(woken, 'waiting event')} due now\n`
          })
          return { code: OK, outcome: 'done', detail: { was_closed: wasClosed, woken } }
        }),
      )
    },
  )
}
