import { commandOf } from '../command.ts'
import { OK } from '../exit.ts'
import { boundedArgument } from '../options.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const

export const completionCommand = commandOf(
  (command) =>
    command
      .addArgument(boundedArgument('<shell>', 'for which shell: bash, zsh or fish', 'shell', SHELLS))
      .addHelpText(
        'after',
        '\nFor this session: source <(webhook-cli completion bash), the same with zsh, webhook-cli completion fish | source.' +
          '\nFor every one: put that line into ~/.bashrc or ~/.zshrc; of fish the output into ~/.config/fish/completions/webhook-cli.fish.',
      ),
  async ({ args, print, whole }) => {
    const shell = args[0] as (typeof SHELLS)[number]
    const { outlineOf } = await import('../completion/outline.ts')
    const { scriptFor } = await import('../completion/scripts.ts')
    const script = scriptFor(shell, outlineOf(await whole()))
    print.answer({ shell, script }, () => script)
    return OK
  },
)
