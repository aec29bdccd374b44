import { audited } from '../audited.ts'
import { commandOf } from '../command.ts'
import { OK } from '../exit.ts'
import { toolFlag } from '../options.ts'
import { counted } from '../text.ts'

interface Options {
  readonly tool: string
}

export const resetCircuitBreakerCommand = commandOf<Options>(
  (command) => command.addOption(toolFlag('the tool, e.g. github').makeOptionMandatory()),
  async ({ options, io, print }) => {
    const { tool } = options
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
