import { parseSize } from '@weir/core/config/size'
import type { Training } from '@weir/core/training/train'
import { InvalidArgumentError } from 'commander'
import { audited } from '../audited.ts'
import { commandOf, type Invocation } from '../command.ts'
import { CommandFailure, type ExitCode, FAILED, NEGATIVE, OK } from '../exit.ts'
import { integerOption, nameOption, toolFlag } from '../options.ts'
import { counted, pairs, sizeText } from '../text.ts'

interface Options {
  readonly tool: string
  readonly tenant: string
  readonly events: number
  readonly size: number
  readonly minGain: number
  readonly dryRun?: true
}

const EVENTS = 2_000
const SIZE = '112KiB'
/** Percent by which frames must become smaller, so that a dictionary is worth the memory that it takes everywhere. */
const MIN_GAIN = 10
const LARGEST = 1024 * 1024

export const dictTrainCommand = commandOf<Options>(
  (command) =>
    command
      .addOption(toolFlag('whose events, e.g. github').makeOptionMandatory())
      .option('--tenant <tenant>', 'of which tenant', nameOption, 'default')
      .option('--events <n>', 'events to learn from, newest first', integerOption(1), EVENTS)
      .option('--size <size>', `size of the dictionary at most (default: ${SIZE})`, sizeOption)
      .option('--min-gain <percent>', 'keep what there is, if it is less', integerOption(0, 99), MIN_GAIN)
      .option('--dry-run', 'only measure')
      .addHelpText(
        'after',
        '\nIt learns from events that the stream still holds: waiting ones, and settled ones for webhook.stream.keep_settled.\nThe dictionary holds pieces of these events, and belongs to that tenant and tool. Exit codes: 0 in use (or would be),\n1 too few events or too little gain, 2 Redis cannot be reached.',
      ),
  train,
)

function sizeOption(text: string): number {
  const bytes = parseSize(text)
  if (bytes === undefined || bytes < 1024 || bytes > LARGEST)
    throw new InvalidArgumentError(`Write a size from 1KiB to ${sizeText(LARGEST)}, such as ${SIZE}.`)
  return bytes
}

async function train({ options, io, print, progress }: Invocation<Options>): Promise<ExitCode> {
  const { tenant, events, minGain, dryRun = false } = options
  const { tool } = options
  const maxBytes = options.size ?? (parseSize(SIZE) as number)
  const { withSession } = await import('../session.ts')
  return withSession(options, io, async (session): Promise<ExitCode> => {
    const { view, config } = session
    const { level } = config.webhook.compression
    const looking = progress('records')
    const learning = progress('ways of learning')
    const training = await view.dictionaries
      .train({
        ...{ tenant, tool, events, level, maxBytes, random: Math.random, signal: io.signal },
        onLook: looking.show,
        onStep(done, of) {
          looking.end()
          learning.show(done, of)
        },
      })
      .finally(() => {
        looking.end()
        learning.end()
      })
    if (training.kind === 'too-few') {
      const { found, needed } = training
      print.answer(
        { tenant, tool, used: false, reason: 'too_few_events', found, needed },
        () =>
          `${tenant}/${tool}: the stream holds ${counted(found, 'event')} to learn from, and ${needed} are needed; try again when more are there\n`,
      )
      return NEGATIVE
    }
    const gain = 100 * (1 - training.after.packedBytes / training.before.packedBytes)
    const worth = gain >= minGain
    const used = worth && !dryRun
    const document = {
      tenant,
      tool,
      used,
      reason: worth ? (dryRun ? 'dry_run' : null) : 'too_little_gain',
      dictionary: training.dictionary.id,
      bytes: training.dictionary.bytes.length,
      learned_from: training.learnedFrom,
      measured_on: training.measuredOn,
      ratio_before: training.before.ratio,
      ratio_after: training.after.ratio,
      gain_percent: gain,
    }
    const answer = () =>
      print.answer(document, () => {
        const verdict = used
          ? 'in use: gateways pack with it within webhook.compression.refresh_interval'
          : worth
            ? 'not published (dry run)'
            : `not used: less than --min-gain ${minGain} %`
        return `${factsText(training, gain, print.style)}\n${verdict}\n`
      })
    if (!used) {
      answer()
      return worth ? OK : NEGATIVE
    }
    if (config.webhook.security.encryption_enabled && session.encryption === undefined) {
      throw new CommandFailure(
        'events are encrypted (webhook.security.encryption_enabled), so what is learned of them has to be, and no master key is configured here: set ENCRYPTION_MASTER_KEY.',
        FAILED,
      )
    }
    const detail = { dictionary: document.dictionary, bytes: document.bytes }
    return audited(session, { action: 'dictionary.use', target: `${tenant}/${tool}`, detail }, async () => {
      await view.dictionaries.use(tenant, tool, training)
      answer()
      return { code: OK, outcome: 'done' }
    })
  })
}

function factsText(
  { dictionary, learnedFrom, measuredOn, before, after }: Extract<Training, { kind: 'trained' }>,
  gain: number,
  style: Parameters<typeof pairs>[1],
): string {
  const bytes = ({ packedBytes, ratio }: typeof before) =>
    `${packedBytes.toFixed(0)} B, ${ratio.toFixed(1)} times smaller`
  return pairs(
    [
      ['dictionary', `${dictionary.id}, ${sizeText(dictionary.bytes.length)}`],
      ['learned from', counted(learnedFrom, 'event')],
      ['measured on', `${counted(measuredOn, 'other event')}, ${before.plainBytes.toFixed(0)} B on average`],
      ['before', bytes(before)],
      ['with it', bytes(after)],
      ['gain', `${gain.toFixed(1)} %`],
    ],
    style,
  )
}
