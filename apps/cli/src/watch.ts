/** Commands that look once or, with --watch, again and again. */
import { isFault, messageOf } from '@weir/core/faults'
import type { Command } from 'commander'
import type { Invocation } from './command.ts'
import { durationFlag } from './options.ts'

export interface WatchOptions {
  readonly watch?: true
  readonly interval: number
}

const INTERVAL = '2s'
const SHORTEST_INTERVAL_MS = 100
const CLEAR_SCREEN = '\u001b[H\u001b[2J'

export function addWatchOptions(command: Command): Command {
  return command
    .option('--watch', 'show it again and again, until Ctrl-C')
    .addOption(durationFlag('--interval <duration>', 'pause between two looks with --watch', INTERVAL))
}

/** Prints what is seen, and resolves with the last of it; undefined = Redis was away until Ctrl-C. */
export async function watched<Seen>(
  { options, io, print }: Pick<Invocation<WatchOptions>, 'options' | 'io' | 'print'>,
  look: () => Promise<Seen>,
  text: (seen: Seen) => string,
): Promise<Seen | undefined> {
  if (!options.watch) {
    const once = await look()
    print.answer(once, () => text(once))
    return once
  }
  let last: Seen | undefined
  while (!io.signal.aborted) {
    try {
      const seen = await look()
      print.line(seen, () => `${io.terminal ? CLEAR_SCREEN : ''}${text(seen)}\n`)
      last = seen
    } catch (error) {
      // Watching goes on: the outage is what the user wants to see the end of.
      if (!isFault(error, 'REDIS_UNAVAILABLE')) throw error
      io.err(`Redis does not answer (${messageOf(error)}); still watching\n`)
    }
    await io.clock.wait(Math.max(SHORTEST_INTERVAL_MS, options.interval), io.signal)
  }
  return last
}
