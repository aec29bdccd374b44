import { audited } from '../audited.ts'
import { commandOf } from '../command.ts'
import { NEGATIVE, OK } from '../exit.ts'
import { nameOption, toolFlag } from '../options.ts'

interface Options {
  readonly tool: string
  readonly tenant: string
}

export const dictDropCommand = commandOf<Options>(
  (command) =>
    command
      .addOption(toolFlag('whose events, e.g. github').makeOptionMandatory())
      .option('--tenant <tenant>', 'of which tenant', nameOption, 'default'),
  async ({ options, io, print }) => {
    const { tenant } = options
    const { tool } = options
    const { withSession } = await import('../session.ts')
    return withSession(options, io, (session) =>
      audited(session, { action: 'dictionary.drop', target: `${tenant}/${tool}` }, async () => {
        const dropped = await session.view.dictionaries.drop(tenant, tool)
        print.answer({ tenant, tool, dropped }, () =>
          dropped
            ? `${tenant}/${tool}: new events are packed with the starter again; the dictionary stays published for those that need it\n`
            : `${tenant}/${tool}: there is no learned dictionary\n`,
        )
        return dropped ? { code: OK, outcome: 'done' } : { code: NEGATIVE, outcome: 'absent' }
      }),
    )
  },
)
