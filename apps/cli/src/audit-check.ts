/** What can be said of an audit trail: whether its chain holds, and how far somebody with a key vouches for it. */
import {
  type BreakKind,
  type ChainMark,
  type ChainPoint,
  createChainVerifier,
} from '@weir/security/audit-chain'
import type { Checkpoint, CheckpointKeys, CheckpointWorth } from '@weir/security/audit-checkpoint'

export type ProblemKind =
  | BreakKind
  /** A checkpoint in the name of a key that did not sign it. */
  | 'forged-checkpoint'
  /** A checkpoint signed with a key that was not given. */
  | 'foreign-checkpoint'
  /** There are entries that the record of the head does not know. */
  | 'unrecorded'
  /** Entries were removed where there is no checkpoint, or before their time. */
  | 'removed'

export interface AuditProblem {
  readonly n: number
  readonly kind: ProblemKind
  /** A sentence for people. */
  readonly why: string
}

/** A checkpoint, and where it was found. */
export interface FoundCheckpoint {
  readonly checkpoint: Checkpoint
  /** `Redis`, or the file. */
  readonly from: string
}

export interface AuditCheckInput {
  readonly lines: AsyncIterable<string>
  /** What the first line must follow on. */
  readonly anchor: ChainPoint
  /** Points that are known besides the checkpoints. */
  readonly marks: readonly ChainMark[]
  readonly checkpoints: readonly FoundCheckpoint[]
  /** undefined = signatures cannot be checked. */
  readonly keys: CheckpointKeys | undefined
  /** A line was looked at. */
  readonly onLine: (line: string) => void
}

export interface AuditCheck {
  readonly entries: number
  /** Up to here the chain holds. */
  readonly head: ChainPoint
  /** The first broken link, then what is wrong with checkpoints. */
  readonly problems: readonly AuditProblem[]
  /** How many checkpoints are of which worth; without keys, signed ones are `unchecked`. */
  readonly checkpoints: Readonly<Record<'signed' | 'unsigned' | 'unchecked', number>>
  /** The last entry that a signature vouches for; null = none does. */
  readonly coveredUpTo: number | null
}

export async function checkAudit(input: AuditCheckInput): Promise<AuditCheck> {
  const { anchor, keys } = input
  const counts = { signed: 0, unsigned: 0, unchecked: 0 }
  const problems: AuditProblem[] = []
  const marks: ChainMark[] = [...input.marks]
  const signed: number[] = []
  for (const { checkpoint, from } of input.checkpoints) {
    const { n, hash } = checkpoint
    const worth = worthOf(checkpoint, keys)
    if (worth === 'forged' || worth === 'foreign') {
      problems.push({ n, kind: `${worth}-checkpoint`, why: WORTHLESS[worth](checkpoint, from) })
      continue
    }
    counts[worth] += 1
    if (worth === 'signed') signed.push(n)
    marks.push({ n, hash, says: `the ${worth === 'unsigned' ? 'unsigned ' : ''}checkpoint ${n} (${from})` })
  }
  const verifier = createChainVerifier(anchor, marks)
  for await (const line of input.lines) {
    if (!verifier.take(line)) break
    input.onLine(line)
  }
  const broken = verifier.end()
  if (broken !== undefined) problems.unshift(broken)
  const { head } = verifier
  const covered = signed.filter((n) => n <= head.n && n > anchor.n)
  return {
    entries: head.n - anchor.n,
    head,
    problems,
    checkpoints: counts,
    coveredUpTo: covered.length === 0 ? null : Math.max(...covered),
  }
}

function worthOf(checkpoint: Checkpoint, keys: CheckpointKeys | undefined): CheckpointWorth | 'unchecked' {
  if (checkpoint.key === '') return 'unsigned'
  return keys === undefined ? 'unchecked' : keys.worthOf(checkpoint)
}

const WORTHLESS = {
  forged: ({ n, key }: Checkpoint, from: string) =>
    `checkpoint ${n} (${from}) says that key ${key} signed it, which is not so`,
  foreign: ({ n, key }: Checkpoint, from: string) =>
    `checkpoint ${n} (${from}) is signed with key ${key}, which was not given; where that is an earlier key of yours, give its public key too`,
} as const
