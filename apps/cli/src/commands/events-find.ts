import type { FoundEvent } from '@weir/context-lifecycle/event-lookup'
import { type Command, Option } from 'commander'
import { commandOf, type Invocation } from '../command.ts'
import { CommandFailure, type ExitCode, NEGATIVE, OK } from '../exit.ts'
import type { LookDocument } from '../find-events.ts'
import { BoundedOption, integerOption, type Moment, momentOption, nameOption, toolFlag } from '../options.ts'
import { counted, tableOf } from '../text.ts'

interface Options {
  readonly tool?: string
  readonly tenant?: string
  readonly type?: string
  readonly state?: FoundEvent['place']
  readonly deliveryId?: string
  readonly subject?: string
  readonly since?: Moment
  readonly until?: Moment
  readonly limit: number
  readonly look: number
}

const STATES = ['unread', 'pending', 'parked', 'dead', 'settled'] as const
const LIMIT = 20
const MOST = 10_000
/** Records looked at in each place: half a second where tool, tenant or type tell, 9 s where each has to be asked for its state. */
const LOOK = 10_000

export const eventsFindCommand = commandOf<Options>(define, run)

function define(command: Command): void {
  command
    .addOption(toolFlag('only events of this tool'))
    .option('--tenant <tenant>', 'only events of this tenant', nameOption)
    .option('--type <type>', 'only events of this type: pull_request, or pull_request.opened')
    .addOption(
      new BoundedOption('--state <state>', `only events that are: ${STATES.join(', ')}`, 'state', STATES),
    )
    .option('--delivery-id <id>', "only the event with this delivery id of its sender's")
    .option('--subject <text>', 'only events whose subject or its title has this text in it')
    .option('--since <time>', 'received at or after (RFC 3339, or how long ago: 2h)', momentOption)
    .option('--until <time>', 'received at or before', momentOption)
    .option('--limit <n>', 'so many at most, newest first', integerOption(1, MOST), LIMIT)
    .addOption(
      new Option('--look <n>', 'records to look at in each place, newest first')
        .argParser(integerOption(1))
        .default(LOOK),
    )
    .addHelpText(
      'after',
      '\nIt looks in the stream, the parked events, the dead letters and the contexts that are not cold, and says how far it looked.' +
        '\nExit codes: 0 found, 1 nothing found, 2 not done.',
    )
}

async function run({ options, io, print, progress }: Invocation<Options>): Promise<ExitCode> {
  const { tool, tenant, type, state, deliveryId, subject, since, until, limit, look } = options
  const wanted = [tool, tenant, type, state, deliveryId, subject, since, until]
  if (wanted.every((each) => each === undefined))
    throw new CommandFailure(
      'say what is known of the event: --tool, --tenant, --type, --state, --delivery-id, --subject, --since, --until. `tail --last 20` shows the newest.',
    )
  const { withSession } = await import('../session.ts')
  const { findEvents } = await import('../find-events.ts')
  const now = io.clock.now()
  return withSession(options, io, async (session): Promise<ExitCode> => {
    const { contexts } = await session.contexts()
    const bar = progress('records')
    const query = {
      ...{ tool, tenant, type, state, deliveryId, subject, limit, look },
      since: since?.at(now),
      until: until?.at(now),
    }
    const found = await findEvents(
      { view: session.view, partitions: session.partitions, contexts, onProgress: bar.show },
      query,
      io.signal,
    ).finally(bar.end)
    print.answer(found, () => {
      const looked = found.looked.map(lookText).join('')
      if (found.events.length === 0) return `nothing found\n${print.paint(looked, 'dim')}`
      return `${tableOf(COLUMNS, found.events, print.style)}\n${print.paint(looked, 'dim')}`
    })
    return found.events.length > 0 ? OK : NEGATIVE
  })
}

function lookText({ place, looked, complete, back_to: backTo, cold }: LookDocument): string {
  const far = complete ? 'all of it' : backTo === null ? 'not all of it' : `back to ${backTo}`
  const left = cold > 0 ? `; ${cold} cold ones not looked into` : ''
  return `looked in ${place}: ${counted(looked, 'event')}, ${far}${complete ? '' : ' (--look looks further)'}${left}\n`
}

const COLUMNS = [
  { head: 'received', cell: (event: FoundEvent) => event.received_at },
  { head: 'event', cell: (event: FoundEvent) => event.event_id },
  { head: 'state', cell: (event: FoundEvent) => event.place },
  { head: 'tool', cell: (event: FoundEvent) => event.tool },
  { head: 'tenant', cell: (event: FoundEvent) => event.tenant },
  { head: 'type', cell: (event: FoundEvent) => event.event ?? event.type },
  { head: 'subject', cell: (event: FoundEvent) => event.subject?.key ?? null },
  { head: 'title', cell: (event: FoundEvent) => event.subject?.title ?? null },
] as const
