/** The options of every command. Apart from the others, because help needs nothing else of them. */
import { type Command, Option } from 'commander'

export interface GlobalOptions {
  readonly json?: true
  readonly config?: string
  readonly redisUrl?: string
  readonly debug?: true
}

const GLOBAL = 'Options of every command:'

/** Every command takes these, before and after its name. */
export function addGlobalOptions(command: Command): Command {
  for (const option of [
    new Option('--json', 'print JSON instead of tables'),
    new Option(
      '--config <file>',
      'configuration file (default: $CONFIG_FILE, else config.yaml where it exists)',
    ),
    new Option(
      '--redis-url <url>',
      'Redis to talk to (default: the configured one, else that of a running start)',
    ),
    new Option('--debug', 'show where in the program an error came from'),
  ]) {
    command.addOption(option.helpGroup(GLOBAL))
  }
  return command
}
