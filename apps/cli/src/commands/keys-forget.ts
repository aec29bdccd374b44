import type { StoredKeys, TenantKeys } from '@weir/core/keyring/key-store'
import { audited, type Ended } from '../audited.ts'
import { commandOf, type Invocation, type Printer } from '../command.ts'
import { confirmed, DESTROY } from '../confirm.ts'
import { CommandFailure, type ExitCode, FAILED, NEGATIVE, OK } from '../exit.ts'
import type { Io } from '../io.ts'
import {
  chosenEntries,
  countedUses,
  type MasterDocument,
  masterDocuments,
  type OpenKeyring,
  standingOf,
  usesDocument,
  usesText,
  withSessionKeyring,
} from '../keyring.ts'
import { durationFlag, nameOption } from '../options.ts'
import type { Session } from '../session.ts'
import { ageText, counted, tableOf } from '../text.ts'

interface Options {
  readonly tenant?: string
  readonly olderThan: number
  readonly dryRun?: true
  readonly yes?: true
}

const OLDER_THAN = '1d'

/** A key that is not for writing any more. */
interface OldKeyDocument {
  readonly tenant: string
  readonly id: string
  readonly master_key: string
  /** Why it stays; none: nothing needs it. */
  readonly stays: readonly string[]
}

export const keysForgetCommand = commandOf<Options>(
  (command) =>
    command
      .option('--tenant <tenant>', 'only keys of this tenant', nameOption)
      .addOption(
        durationFlag('--older-than <duration>', 'only keys whose successor is there for so long', OLDER_THAN),
      )
      .option('--dry-run', 'only say which could go, and why the others stay')
      .option('--yes', 'do not ask')
      .addHelpText(
        'after',
        '\nExit codes: 0 no old key is left (or would be), 1 some stay, and it says why; 2 not done.',
      ),
  forget,
)

async function forget(invocation: Invocation<Options>): Promise<ExitCode> {
  const { options, io, print } = invocation
  const { withSession } = await import('../session.ts')
  return withSession(options, io, (session) => {
    if (session.encryption === undefined) {
      throw new CommandFailure(
        'which keys are for writing shows only with the master keys: set ENCRYPTION_MASTER_KEY as the gateways have it.',
        FAILED,
      )
    }
    return withSessionKeyring(session, io, async (keyring): Promise<ExitCode> => {
      const { tenant, dryRun = false } = options
      const damaged = tenant === undefined ? [...keyring.stored.damaged.values()] : []
      const old = await look(session, keyring, invocation)
      const free = old.filter(({ stays }) => stays.length === 0)
      const end = (stored: StoredKeys, gone: readonly OldKeyDocument[], stay: readonly OldKeyDocument[]) => {
        const masters = masterDocuments(stored, keyring.cipher)
        const freed = stored.damaged.size > 0 ? [] : masters.filter((each) => isFree(each))
        const document = {
          dry_run: dryRun,
          destroyed: gone.map(({ tenant: of, id, master_key }) => ({ tenant: of, id, master_key })),
          stay,
          master_keys: masters,
          unused_master_keys: freed.map(({ id }) => id),
        }
        print.answer(document, () =>
          [
            oldText(gone, stay, dryRun, print),
            mastersText(masters, freed),
            ...damaged.map(({ message }) => `\nDAMAGED ${message}\n`),
          ].join(''),
        )
        return stay.length === 0 && damaged.length === 0 ? OK : NEGATIVE
      }
      if (dryRun || free.length === 0) {
        const stay = old.filter(({ stays }) => stays.length > 0)
        return end(keyring.stored, free, stay)
      }
      await confirmed(io, {
        deed: DESTROY,
        what: `${counted(free.length, 'key')}, for good`,
        yes: options.yes,
      })
      const target = tenant === undefined ? 'all tenants' : `tenant ${tenant}`
      const detail = { keys: free.length }
      return audited(session, { action: 'keys.forget', target, detail }, async (): Promise<Ended> => {
        // A second look, because events moved while the first one was counted, and while the user was asked.
        const now = { ...keyring, stored: await keyring.store.readAll() }
        const again = await look(session, now, invocation)
        const wanted = new Set(free.map(({ id }) => id))
        const chosen = again.filter(({ id, stays }) => stays.length === 0 && wanted.has(id))
        const gone = await destroyThem(session, now, chosen, io)
        const stay = again.filter((key) => !gone.includes(key))
        const code = end(await keyring.store.readAll(), gone, stay)
        return { code, outcome: 'done', detail: { destroyed: gone.length, stay: stay.length } }
      })
    })
  })
}

/** Every old key, with the reasons for which it stays. */
async function look(
  session: Session,
  keyring: OpenKeyring,
  { options, io, progress }: Invocation<Options>,
): Promise<readonly OldKeyDocument[]> {
  const entries = chosenEntries(keyring, options.tenant).filter(({ keys }) => keys.length > 1)
  if (entries.length === 0) return []
  const uses = await countedUses(session, { signal: io.signal, progress })
  const unseen = await unseenSpools(session)
  return entries.flatMap((entry) =>
    oldKeys(entry, keyring).map(({ id, master, successorAt, stays: known }): OldKeyDocument => {
      const stays = [...known]
      const age = Math.max(0, io.clock.now() - successorAt)
      if (age < options.olderThan)
        stays.push(
          `its successor was made ${ageText(age)} ago, and must be ${ageText(options.olderThan)} old (--older-than)`,
        )
      const used = usesDocument(uses.filter(({ key }) => key === id))
      const text = usesText(used)
      if (text !== '')
        stays.push(
          `${text} ${text.startsWith('1 ') && !text.includes(',') ? 'needs' : 'need'} it${hint(used)}`,
        )
      return { tenant: entry.tenant, id, master_key: master, stays: [...stays, ...unseen] }
    }),
  )
}

function hint({ dictionaries }: ReturnType<typeof usesDocument>): string {
  return dictionaries > 0 ? ' (`keys rotate` encrypts dictionaries anew)' : ''
}

interface OldKey {
  readonly id: string
  readonly master: string
  readonly successorAt: number
  readonly stays: readonly string[]
}

/** All but the last one. Whether that is what everybody writes with is known only where it can be derived. */
function oldKeys(entry: TenantKeys, { cipher }: OpenKeyring): OldKey[] {
  const { keys } = standingOf(entry, cipher)
  const last = keys.at(-1)
  const stays =
    last?.writing === true
      ? []
      : [`the newest key ${last?.id} cannot be derived here, so which one is written with is not known`]
  return keys.slice(0, -1).map(({ id, master }, at) => {
    const successorAt = keys[at + 1]?.at ?? 0
    return { id, master, successorAt, stays }
  })
}

/** What may wait in spools, where nobody can count by key. */
async function unseenSpools({ partitions, plan }: Session): Promise<string[]> {
  const { ALIVE_MS, readGateways } = await import('@weir/core/view/status')
  const active = partitions.slice(0, plan?.partitions ?? partitions.length)
  const reasons: string[] = []
  const names = new Set<string>()
  const perPartition = new Map<number, Set<string>>()
  for (const partition of partitions) {
    const { partition: number } = partition.keys
    const where = partitions.length === 1 ? '' : ` in partition ${number}`
    const gateways = await readGateways([partition])
    perPartition.set(number, new Set(gateways.map(({ name }) => name)))
    for (const { name, spooled, seen_ms: seen } of gateways) {
      names.add(name)
      if (spooled > 0) reasons.push(`gateway ${name} reports ${counted(spooled, 'spooled event')}${where}`)
      else if (seen >= ALIVE_MS)
        reasons.push(
          `gateway ${name} has not reported for ${ageText(seen)}${where}, and may have spooled events`,
        )
    }
  }
  if (names.size === 0) reasons.push('no gateway reports, so whether one has spooled events is not known')
  for (const { keys } of active) {
    for (const name of names) {
      if (perPartition.get(keys.partition)?.has(name)) continue
      reasons.push(`gateway ${name} does not report what it has spooled for partition ${keys.partition}`)
    }
  }
  return reasons
}

/** Returns those that are gone. */
async function destroyThem(
  { audit }: Session,
  { store }: OpenKeyring,
  chosen: readonly OldKeyDocument[],
  { clock }: Io,
): Promise<OldKeyDocument[]> {
  const { forgetKeys } = await import('@weir/core/keyring/changes')
  const gone: OldKeyDocument[] = []
  for (const [tenant, keys] of Map.groupBy(chosen, (key) => key.tenant)) {
    const next = await forgetKeys(store, tenant, new Set(keys.map(({ id }) => id)), clock.now())
    const destroyed = new Set(next?.destroyed.map(({ id }) => id))
    for (const key of keys) {
      if (!destroyed.has(key.id)) continue
      gone.push(key)
      const detail = { tenant, master_key: key.master_key }
      audit.note({ action: 'keys.forget', target: `key ${key.id}`, outcome: 'destroyed', detail })
    }
  }
  return gone
}

const isFree = ({ for_new_keys: first, keys }: MasterDocument): boolean => !first && keys === 0

function oldText(
  gone: readonly OldKeyDocument[],
  stay: readonly OldKeyDocument[],
  dryRun: boolean,
  { style }: Printer,
): string {
  if (gone.length + stay.length === 0) return 'no tenant has a key that is not for writing any more\n'
  const done = dryRun ? 'could be destroyed (dry run)' : 'destroyed'
  const rows = [
    ...gone.map(({ tenant, id }) => ({ tenant, id, what: done })),
    ...stay.flatMap(({ tenant, id, stays }) =>
      (stays.length > 0 ? stays : ['nothing needs it any more; run the command again']).map((why) => ({
        tenant,
        id,
        what: `stays: ${why}`,
      })),
    ),
  ]
  return tableOf(
    [
      { head: 'tenant', cell: ({ tenant }) => tenant },
      { head: 'old key', cell: ({ id }) => id },
      { head: 'what', cell: ({ what }) => what },
    ],
    rows,
    style,
  )
}

function mastersText(masters: readonly MasterDocument[], freed: readonly MasterDocument[]): string {
  const lines = masters.slice(1).map((master) => {
    const { id, keys } = master
    if (freed.includes(master))
      return `master key ${id}: no key in the keyring depends on it any more; it can be taken out of ENCRYPTION_PREVIOUS_MASTER_KEYS`
    if (keys === 0) return `master key ${id}: whether entries that cannot be read depend on it is not known`
    return `master key ${id}: still needed by ${counted(keys, 'key')}`
  })
  return lines.length === 0 ? '' : `\n${lines.join('\n')}\n`
}
