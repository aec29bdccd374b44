import type { Command } from 'commander'
import { audited } from '../audited.ts'
import { type Context, commandOf } from '../command.ts'
import { NEGATIVE, OK } from '../exit.ts'
import { nameOption } from '../options.ts'
import { knownTool } from '../tools.ts'

interface Options {
  readonly tool: string
  readonly tenant: string
}

export function dictDropCommand(context: Context): Command {
  return commandOf<Options>(
    context,
    'drop',
    'pack new events of a tenant and tool with the starter again; what is packed already stays readable',
    (command) =>
      command
        .requiredOption('--tool <tool>', 'whose events, e.g. github', nameOption)
        .option('--tenant <tenant>', 'of which tenant', nameOption, 'default'),
    async ({ options, io, print }) => {
      const { tenant } = options
      const tool = await knownTool(options.tool)
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
}
