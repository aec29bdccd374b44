/** How the dlq commands choose letters. */
import type { LetterQuery } from '@weir/core/view/dead-letters'
import type { Command } from 'commander'
import { CommandFailure } from './exit.ts'
import { type Moment, momentOption, nameOption, OfferingOption, toolFlag } from './options.ts'

/** Those that consumers of this version give (docs/consumer.md); another version may have others. */
const REASONS = ['handler', 'timeout', 'permanent', 'malformed', 'poison', 'corrupt', 'key-destroyed']

export interface LetterFilters {
  readonly tool?: string
  readonly tenant?: string
  readonly reason?: string
  readonly since?: Moment
  readonly until?: Moment
  readonly after?: string
}

export function addLetterFilters(command: Command): Command {
  return command
    .addOption(toolFlag('only letters of this tool'))
    .option('--tenant <tenant>', 'only letters of this tenant', nameOption)
    .addOption(
      new OfferingOption(
        '--reason <reason>',
        'only letters with this reason, e.g. handler, timeout, malformed, poison',
        REASONS,
      ),
    )
    .option(
      '--since <time>',
      'only letters that died at or after this time (RFC 3339, or how long ago: 2h)',
      momentOption,
    )
    .option('--until <time>', 'only letters that died at or before this time', momentOption)
    .option('--after <letter>', 'only letters after this one: goes on where a listing or a replay ended')
}

/** Throws a CommandFailure when `--after` is not the id of a letter. */
export async function queryOf(filters: LetterFilters, now: number): Promise<LetterQuery> {
  const { tool, tenant, reason, since, until, after } = filters
  const { isLetterId } = await import('@weir/core/view/dead-letters')
  if (after !== undefined && !isLetterId(after)) {
    throw new CommandFailure(
      `--after ${after}: not the id of a dead letter; dlq list shows them, such as 1700000000000-0.`,
    )
  }
  return { tool, tenant, reason, since: since?.at(now), until: until?.at(now), after }
}

/** The filters in words, for the audit trail. */
export function queryText({ tool, tenant, reason, since, until, after }: LetterQuery): string {
  const time = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString())
  const given = { tool, tenant, reason, since: time(since), until: time(until), after }
  const words = Object.entries(given).filter(([, value]) => value !== undefined)
  return words.length === 0 ? 'all dead letters' : words.map(([name, value]) => `${name} ${value}`).join(', ')
}

/** Does anything narrow the choice down? */
export function isFiltered({ tool, tenant, reason, since, until, after }: LetterFilters): boolean {
  return [tool, tenant, reason, since, until, after].some((filter) => filter !== undefined)
}
