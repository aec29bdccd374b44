/** Checks the chain and its checkpoints, in Redis or in an export (audit-check.ts judges). It reads, and repairs nothing. */
import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { messageOf } from '@weir/core/faults'
import type { ChainPoint } from '@weir/security/audit-chain'
import type { CheckpointKeys } from '@weir/security/audit-checkpoint'
import type { AuditCheck, AuditProblem, FoundCheckpoint } from '../audit-check.ts'
import { commandOf, type Invocation } from '../command.ts'
import { CommandFailure, NEGATIVE, OK } from '../exit.ts'
import type { GlobalOptions } from '../global-options.ts'
import type { Io } from '../io.ts'
import { oneLine, type Paint } from '../text.ts'

interface Options {
  readonly file?: string
  readonly checkpoints?: string
  readonly publicKey?: string
}

export const auditVerifyCommand = commandOf<Options>(
  (command) =>
    command
      .option('--file <export>', 'check what `audit export` wrote (- is standard input), not what Redis has')
      .option('--checkpoints <file>', 'checkpoints that were kept elsewhere; a cut-off end shows by them')
      .option('--public-key <pem>', 'file with the keys that checkpoints must be signed with')
      .addHelpText(
        'after',
        '\nExit codes: 0 intact; 1 broken; 2 it cannot be read.\nWithout --public-key the configured signing key counts, where it can be read; without any, signatures are not checked.',
      ),
  async (invocation) => {
    const { options, io, print, progress } = invocation
    const given: Given = {
      keys: await keysOf(options, io),
      checkpoints: options.checkpoints === undefined ? [] : await checkpointsIn(options.checkpoints, io),
    }
    const verified =
      options.file === undefined
        ? await verifyRedis(invocation, given)
        : await verifyFile(options.file, { io, progress }, given)
    print.answer(documentOf(verified), () => textOf(verified, print.paint))
    return verified.check.problems.length === 0 ? OK : NEGATIVE
  },
)

interface Given {
  readonly keys: CheckpointKeys | undefined
  readonly checkpoints: readonly FoundCheckpoint[]
}

interface Verified {
  /** `redis`, or the file. */
  readonly source: string
  /** What came before the first entry. */
  readonly anchor: ChainPoint
  readonly check: AuditCheck
  readonly keys: CheckpointKeys | undefined
}

async function keysOf(options: Options & GlobalOptions, io: Io): Promise<CheckpointKeys | undefined> {
  const { createCheckpointKeys } = await import('@weir/security/audit-checkpoint')
  if (options.publicKey !== undefined) {
    const pem = await readText(options.publicKey, io)
    try {
      return createCheckpointKeys(pem)
    } catch (error) {
      throw new CommandFailure(`--public-key ${options.publicKey}: ${messageOf(error)}.`)
    }
  }
  const { loadForCommand } = await import('../session.ts')
  const { config } = await loadForCommand(options, io)
  const file = config.webhook.security.audit_signing_key_file
  if (file === null) return undefined
  try {
    return createCheckpointKeys(await readFile(file, 'utf8'))
  } catch (error) {
    io.err(
      `note: signatures are not checked: webhook.security.audit_signing_key_file: ${messageOf(error)}; give the public key with --public-key\n`,
    )
    return undefined
  }
}

async function checkpointsIn(file: string, io: Io): Promise<FoundCheckpoint[]> {
  const { readCheckpoint } = await import('@weir/security/audit-checkpoint')
  const lines = (await readText(file, io)).split('\n').filter((line) => line !== '')
  return lines.map((line, at) => {
    const checkpoint = readCheckpoint(line)
    if (checkpoint === undefined)
      throw new CommandFailure(`--checkpoints ${file}: line ${at + 1} is no checkpoint.`)
    return { checkpoint, from: file }
  })
}

async function readText(file: string, io: Io): Promise<string> {
  try {
    return await readFile(resolve(io.cwd, file), 'utf8')
  } catch (error) {
    throw new CommandFailure(`${file} cannot be read (${messageOf(error)}).`)
  }
}

/** A run of entries that was exported: what came before its first entry, that entry says. */
async function verifyFile(
  file: string,
  { io, progress }: Pick<Invocation<Options>, 'io' | 'progress'>,
  given: Given,
): Promise<Verified> {
  const { readEntry, GENESIS } = await import('@weir/security/audit-chain')
  const { checkAudit } = await import('../audit-check.ts')
  const { linesIn, linesOf } = await import('../lines.ts')
  const input = file === '-' ? await io.readInput() : undefined
  const lines = () => (input === undefined ? linesIn(resolve(io.cwd, file)) : linesOf([input.toString()]))
  const bar = progress('bytes')
  try {
    const first = await lines().next()
    const entry = first.done ? undefined : readEntry(first.value)
    const anchor = entry === undefined ? GENESIS : { n: entry.n - 1, hash: entry.prev }
    const bytes = input?.length ?? (await stat(resolve(io.cwd, file))).size
    let read = 0
    const onLine = (line: string) => {
      read += Buffer.byteLength(line) + 1
      bar.show(Math.min(read, bytes), bytes)
    }
    const check = await checkAudit({ lines: lines(), anchor, marks: [], onLine, ...given }).finally(bar.end)
    return { source: file, anchor, keys: given.keys, check }
  } catch (error) {
    throw new CommandFailure(`${file} cannot be read (${messageOf(error)}).`, undefined, { cause: error })
  }
}

/** Retention may remove entries while they are read: then it is done once more, from the new beginning. */
const TRIES = 3

async function verifyRedis({ options, io, progress }: Invocation<Options>, given: Given): Promise<Verified> {
  const { withSession } = await import('../session.ts')
  const { auditCheckpoints, auditLines, readAuditState } = await import('@weir/core/stream/audit-log')
  const { readCheckpoint } = await import('@weir/security/audit-checkpoint')
  const { checkAudit } = await import('../audit-check.ts')
  return withSession(options, io, async ({ partitions: [{ link, keys }], config }) => {
    for (let tries = 1; ; tries++) {
      const { floor, head, last } = await readAuditState(link, keys)
      const problems: AuditProblem[] = []
      const kept: FoundCheckpoint[] = []
      for (const line of await auditCheckpoints(link, keys)) {
        const checkpoint = readCheckpoint(line)
        if (checkpoint !== undefined) kept.push({ checkpoint, from: 'Redis' })
        else problems.push(noCheckpoint(kept.at(-1)?.checkpoint.n ?? floor.n))
      }
      const end = Math.max(head.n, last)
      const bar = progress('entries')
      let looked = 0
      const check = await checkAudit({
        lines: auditLines(link, keys, floor.n, end),
        anchor: floor,
        marks: head.n === 0 ? [] : [{ ...head, says: 'the record of the head' }],
        checkpoints: [...kept, ...given.checkpoints],
        keys: given.keys,
        onLine: () => bar.show(++looked, end - floor.n),
      }).finally(bar.end)
      if (check.problems.length > 0 && tries < TRIES) {
        const now = await readAuditState(link, keys)
        if (now.floor.n !== floor.n) continue
      }
      if (head.n < last) problems.push(unrecorded(head.n, last))
      const { audit_retention: retention } = config.webhook.security
      problems.push(...removedTooEarly(floor, kept, io.clock.now() - retention))
      return {
        source: 'redis',
        anchor: floor,
        keys: given.keys,
        check: { ...check, problems: [...check.problems, ...problems] },
      }
    }
  })
}

/** Entry and record are written in one step. */
function unrecorded(recorded: number, last: number): AuditProblem {
  const why = `the log goes to entry ${last}, but its record of the head says ${recorded}: somebody set that back`
  return { n: recorded + 1, kind: 'unrecorded', why }
}

function noCheckpoint(after: number): AuditProblem {
  const why = `among the checkpoints in Redis, after that of entry ${after}, is a line that is none`
  return { n: after, kind: 'forged-checkpoint', why }
}

/** Retention leaves the checkpoint at which it stopped, and that one is as old as the retention. */
function removedTooEarly(
  floor: ChainPoint,
  kept: readonly FoundCheckpoint[],
  before: number,
): AuditProblem[] {
  if (floor.n === 0) return []
  const at = kept.find(({ checkpoint: { n, hash } }) => n === floor.n && hash === floor.hash)?.checkpoint.at
  const removed = `entries up to ${floor.n} were removed`
  if (at === undefined) {
    return [{ n: floor.n, kind: 'removed', why: `${removed}, and not by retention: no checkpoint says so` }]
  }
  if (at <= before) return []
  const why = `${removed}, though the checkpoint there is of ${new Date(at).toISOString()}, younger than webhook.security.audit_retention`
  return [{ n: floor.n, kind: 'removed', why }]
}

function documentOf({ source, anchor, check, keys }: Verified) {
  const { entries, head, problems, checkpoints, coveredUpTo } = check
  return {
    verdict: problems.length === 0 ? 'intact' : 'broken',
    source,
    entries,
    first: entries === 0 ? null : anchor.n + 1,
    last: entries === 0 ? null : head.n,
    head: head.hash,
    problems,
    checkpoints,
    keys: keys?.ids ?? [],
    covered_up_to: coveredUpTo,
  }
}

const NO_ENTRY = 'no entry (there are some where webhook.security.enable_audit_logging is true)'

function textOf(verified: Verified, paint: Paint): string {
  const { anchor, check } = verified
  const { entries, head, problems } = check
  const range = entries === 0 ? NO_ENTRY : `entries ${anchor.n + 1} to ${head.n}`
  const lines = problems.map(({ n, kind, why }) => paint(`BROKEN at ${n}, ${kind}: ${oneLine(why)}`, 'red'))
  lines.push(problems.length === 0 ? paint(`intact: ${range}`, 'green') : `Holds: ${range}.`)
  if (entries > 0) lines.push(coverText(verified))
  return `${lines.join('\n')}\n`
}

/** How far one need not take Redis' word for it. */
function coverText({ check: { checkpoints, coveredUpTo, head }, keys }: Verified): string {
  if (coveredUpTo !== null) {
    const rest = head.n - coveredUpTo
    const signers = `signed with ${keys?.ids.join(' or ')}`
    return rest === 0
      ? `A checkpoint ${signers} covers all of it.`
      : `A checkpoint ${signers} covers it up to entry ${coveredUpTo}; of the ${rest} after that, nothing outside of the chain is known.`
  }
  if (keys === undefined && checkpoints.unchecked > 0)
    return 'Its checkpoints are signed, but nothing was there to check them with: give --public-key.'
  return 'No signed checkpoint covers any of it: it is whole, but whoever could write to Redis could have written all of it.'
}
