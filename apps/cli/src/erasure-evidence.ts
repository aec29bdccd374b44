/** What an erasure tells: for each place what was found, removed and made unreadable, what is left, and what it cannot reach. */
import { createHash } from 'node:crypto'
import type { Config } from '@weir/core/config/schema'
import { type Counts, countsIn, type Holdings, PLACES, readableIn, waitingIn } from './erasure-survey.ts'
import { ageText, counted, pairs, type TableStyle, tableOf } from './text.ts'

/** What was done. Undefined = nothing: it was a dry run. */
export interface Done {
  readonly removed: Counts
  /** Ids of keys. */
  readonly destroyed: readonly string[]
  readonly after: Holdings
  /** Ids of all keys of the tenant that are gone, those from before too. */
  readonly gone: ReadonlySet<string>
  /** ms since the epoch */
  readonly verifiedAt: number
}

export interface EvidenceFacts {
  readonly config: Config
  readonly tenant: string
  /** ms since the epoch */
  readonly at: number
  readonly before: Holdings
  /** Ids of the tenant's keys that were there. */
  readonly keys: readonly string[]
  readonly destroyedBefore: readonly string[]
  readonly done: Done | undefined
}

export interface Evidence {
  readonly tenant: string
  readonly dry_run: boolean
  readonly at: string
  /** Events that were still to be worked on. */
  readonly waiting: number
  readonly places: readonly {
    readonly place: keyof Counts
    readonly found: number
    readonly removed: number
    /** There at the end, and encrypted with a key that is destroyed. */
    readonly shredded: number
    readonly readable: number
  }[]
  readonly keys: {
    readonly found: number
    readonly destroyed: readonly string[]
    readonly before: readonly string[]
  }
  /** When everything was read again; null for a dry run. */
  readonly verified_at: string | null
  /** What somebody could still read. */
  readonly left: readonly string[]
  readonly goes_by_itself: readonly string[]
  readonly out_of_reach: readonly string[]
  /** Hex SHA-256 of this document as JSON in one line, without this field. */
  readonly fingerprint: string
}

export function evidenceOf(facts: EvidenceFacts): Evidence {
  const { tenant, before, done } = facts
  const found = countsIn(before)
  const there = countsIn(done?.after ?? before)
  const readable = readableIn(done?.after ?? before, done?.gone ?? new Set(facts.destroyedBefore))
  const evidence = {
    tenant,
    dry_run: done === undefined,
    at: new Date(facts.at).toISOString(),
    waiting: waitingIn(done?.after ?? before),
    places: (Object.keys(PLACES) as (keyof Counts)[]).map((place) => ({
      place,
      found: found[place],
      removed: done?.removed[place] ?? 0,
      shredded: there[place] - readable[place],
      readable: readable[place],
    })),
    keys: {
      found: facts.keys.length,
      destroyed: done?.destroyed ?? [],
      before: facts.destroyedBefore,
    },
    verified_at: done === undefined ? null : new Date(done.verifiedAt).toISOString(),
    left: leftIn(facts, readable),
    goes_by_itself: goesByItself(facts),
    out_of_reach: outOfReach(facts.config, before, facts.keys.length + facts.destroyedBefore.length > 0),
  }
  return { ...evidence, fingerprint: createHash('sha256').update(JSON.stringify(evidence)).digest('hex') }
}

function leftIn({ config, done, before }: EvidenceFacts, readable: Counts): string[] {
  const now = done?.after ?? before
  const { stream_entries: entries, ...others } = readable
  const left: string[] = []
  for (const [place, count] of Object.entries(others) as [keyof typeof others, number][])
    if (count > 0) left.push(`${count} ${PLACES[place]}`)
  const waiting = now.events.unread + now.events.pending
  if (entries > 0 && waiting > 0)
    left.push(
      `${counted(Math.min(entries, waiting), 'waiting event')}: they will still be processed, and come into contexts again. Run it again after that`,
    )
  const { keep_settled: keep } = config.webhook.stream
  if (entries > waiting && now.events.kept > 0) {
    const from = new Date((now.events.newestKeptMs ?? 0) + keep).toISOString()
    left.push(
      `${Math.min(entries - waiting, now.events.kept)} settled entries of the stream: consumers trim them after ${ageText(keep)} (webhook.stream.keep_settled), so from ${from} on, and a part of a stream node only when later events have filled it. --trim takes them now`,
    )
  }
  if (now.cold.announced > 0)
    left.push(
      `${counted(now.cold.announced, 'object')} that somebody began to write to cold storage, perhaps this moment: deleted by themselves after an hour; run it again then`,
    )
  const { unknown } = now.dictionaries
  if (unknown.length > 0)
    left.push(
      `retired dictionaries in the clear of which nothing tells whose they are (\`dict list\` shows them): ${unknown.join(', ')}. If one was learned from events of this tenant, delete its key`,
    )
  const ownerless = now.events.ownerless + now.contexts.ownerless
  if (ownerless > 0)
    left.push(`${counted(ownerless, 'record')} that cannot be read, and do not say whose they are`)
  return left
}

function goesByItself({ config, done }: EvidenceFacts): string[] {
  const { deduplication, security } = config.webhook
  const waiting = done === undefined || done.destroyed.length === 0 ? 0 : waitingIn(done.after)
  return [
    ...(waiting > 0
      ? [
          `${counted(waiting, 'waiting event')}: where they are encrypted consumers make dead letters of them (key-destroyed), which a further run purges`,
        ]
      : []),
    `hashes and ids that recognise duplicates, which hold no content: within ${ageText(deduplication.horizon)} (webhook.deduplication.horizon) and two days`,
    'rate limits with the name of the tenant: after two of their periods',
    `what running processes have in memory (keys, dictionaries, what search knows): keys within ${ageText(security.keyring_refresh)} (webhook.security.keyring_refresh), the rest as they follow, at the latest when they are restarted`,
  ]
}

function outOfReach({ webhook }: Config, { spooled, dictionaries }: Holdings, hasKeys: boolean): string[] {
  const { security, context_lifecycle: tiers } = webhook
  const shredded = hasKeys ? 'unreadable where it was encrypted' : 'readable, because nothing was encrypted'
  return [
    spooled > 0
      ? `spools of the gateways: they report ${counted(spooled, 'event')} of all tenants; those of this one come in later${security.encryption_enabled ? ', and are unreadable when they were encrypted with the keys from before' : ''}`
      : 'spools of the gateways: they report none; copies of learned dictionaries lie beside them',
    `backups and snapshots of Redis, and its append-only file until it is rewritten (BGREWRITEAOF): ${shredded}`,
    tiers.s3.bucket === null
      ? `backups of the directory of cold storage: ${shredded}`
      : `earlier versions of objects in bucket ${tiers.s3.bucket}, where versioning or object lock is on: ${shredded}`,
    'copies of the keyring from before: they open it all again',
    'logs, traces, and what handlers and subscribers were given',
    ...(dictionaries.shared.length > 0
      ? [
          `${dictionaries.shared.length} learned dictionaries that other tenants use too, and that stay for them`,
        ]
      : []),
  ]
}

export function evidenceText(evidence: Evidence, style: TableStyle): string {
  const { tenant, dry_run: dryRun, keys, left, verified_at: verified } = evidence
  const table = tableOf(
    [
      { head: 'place', cell: ({ place }) => PLACES[place] },
      { head: 'found', cell: ({ found }) => found, align: 'right' },
      { head: 'removed', cell: ({ removed }) => removed, align: 'right' },
      { head: 'shredded', cell: ({ shredded }) => shredded, align: 'right' },
      { head: 'readable', cell: ({ readable }) => readable, align: 'right' },
    ],
    evidence.places,
    style,
  )
  const list = (title: string, lines: readonly string[]) =>
    lines.length === 0 ? '' : `\n${title}\n${lines.map((line) => `  ${line}\n`).join('')}`
  const facts = pairs(
    [
      ['tenant', tenant],
      ['at', evidence.at],
      ['waiting events', evidence.waiting],
      [dryRun ? 'keys' : 'keys destroyed', dryRun ? keys.found : keys.destroyed.join(', ') || 'none'],
      ['destroyed before', keys.before.join(', ')],
      ['read again', verified],
      ['fingerprint', evidence.fingerprint],
    ],
    style,
  )
  const end = dryRun
    ? `\nnothing was changed (dry run)\n`
    : left.length === 0
      ? `\nnothing of tenant ${tenant} can be read any more in any place that Weir reaches\n`
      : ''
  return [
    facts,
    `\n${table}`,
    dryRun ? '' : list('LEFT, and readable:', left),
    list('goes by itself:', evidence.goes_by_itself),
    list('out of reach:', evidence.out_of_reach),
    end,
  ].join('')
}
