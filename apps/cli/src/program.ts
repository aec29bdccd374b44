/** webhook-cli's commands as commander sees them: stubs with a name and a summary, each completed when it is needed. */
import { VERSION } from '@weir/core/version'
import { Command } from 'commander'
import type { Context } from './command.ts'
import { addGlobalOptions } from './global-options.ts'
import type { Io } from './io.ts'
import { TREE } from './tree.ts'

export interface Program {
  readonly command: Command
  /** The same with every command completed, as for completion scripts and tests. */
  whole(): Promise<Command>
}

export function createProgram(context: Context): Program {
  const complete = new Map<Command, () => Promise<void>>()
  const stub = (name: string, summary: string): Command =>
    prepared(new Command(name).summary(summary).description(summary), context.io)
  const leafOf = (leaf: Extract<(typeof TREE)[number], { load: unknown }>, path: string): Command => {
    const command = stub(leaf.name, leaf.summary)
    complete.set(command, async () => {
      complete.delete(command)
      const [{ examplesText }, body] = await Promise.all([import('./examples.ts'), leaf.load()])
      body.complete(command, { ...context, whole })
      command.addHelpText('after', examplesText(path))
    })
    return command
  }
  const completeBefore = (parent: Command): Command =>
    parent.hook('preSubcommand', async (_parent, child) => complete.get(child)?.())

  const whole = async (): Promise<Command> => {
    await Promise.all([...complete.values()].map((each) => each()))
    return program
  }
  const program: Command = completeBefore(prepared(addGlobalOptions(new Command('webhook-cli')), context.io))
    .description("The operators' commands of Weir. They talk to Redis directly; no app needs to run.")
    .version(VERSION, '--version', 'show the version of Weir')
    .helpCommand(false)
  for (const node of TREE) {
    if ('load' in node) {
      program.addCommand(leafOf(node, node.name))
      continue
    }
    const parent = completeBefore(stub(node.name, node.summary)).helpCommand(false)
    for (const child of node.children) parent.addCommand(leafOf(child, `${node.name} ${child.name}`))
    program.addCommand(parent)
  }
  program.addHelpText(
    'after',
    '\n`webhook-cli <command> --help` shows examples. Exit codes: 0 done, 1 the answer is a no, 2 wrong usage or nobody answers.',
  )
  return { command: program, whole }
}

/** Commander must neither exit nor write by itself. */
function prepared(command: Command, io: Io): Command {
  return command
    .helpOption('-h, --help', 'show this help')
    .exitOverride()
    .configureOutput({
      writeOut: io.out,
      writeErr: io.err,
      getOutHelpWidth: () => io.columns ?? 100,
      getErrHelpWidth: () => io.columns ?? 100,
      getOutHasColors: () => io.colour,
      getErrHasColors: () => false,
    })
}
