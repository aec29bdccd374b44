import { messageOf } from '@weir/core/faults'
import { commandOf, type Printer } from '../command.ts'
import { type ExitCode, NEGATIVE, OK } from '../exit.ts'
import {
  chosenEntries,
  countedUses,
  type KeyStanding,
  type KeyUses,
  type MasterDocument,
  masterDocuments,
  type OpenKeyring,
  standingOf,
  type UsesDocument,
  usesDocument,
  withKeyring,
  withSessionKeyring,
} from '../keyring.ts'
import { nameOption } from '../options.ts'
import { counted, pairs, tableOf } from '../text.ts'

interface Options {
  readonly tenant?: string
  readonly count?: true
}

interface KeyDocument {
  readonly id: string
  readonly made_at: string
  readonly master_key: string
  readonly has_master_key: boolean
  readonly damaged: boolean
  readonly writing: boolean
  readonly uses: UsesDocument | null
}

interface DestroyedDocument {
  readonly id: string
  readonly destroyed_at: string
  readonly uses: UsesDocument | null
}

interface TenantDocument {
  readonly tenant: string
  readonly closed: boolean
  readonly keys: readonly KeyDocument[]
  readonly destroyed: readonly DestroyedDocument[]
}

interface StatusDocument {
  readonly place: string
  readonly master_keys: readonly MasterDocument[]
  readonly tenants: readonly TenantDocument[]
  /** Entries that cannot be read. */
  readonly damaged: readonly { readonly tenant: string; readonly problem: string }[]
  readonly count: CountDocument | null
}

/** What no key of the keyring stands for. */
interface CountDocument {
  readonly not_encrypted: UsesDocument
  /** Said to be encrypted, and naming no key. */
  readonly damaged: UsesDocument
  /** Encrypted with keys that the keyring neither has nor had. */
  readonly unknown_keys: readonly {
    readonly id: string
    readonly tenants: readonly string[]
    readonly uses: UsesDocument
  }[]
  /** As the gateways report. */
  readonly spooled: number
}

export const keysStatusCommand = commandOf<Options>(
  (command) =>
    command
      .option('--tenant <tenant>', 'only this tenant', nameOption)
      .option('--count', 'also count in Redis what is encrypted with each key')
      .addHelpText(
        'after',
        '\nExit codes: 0 all can be opened here; 1 a tenant has keys of which none can be derived here (closed), a key or an entry is' +
          '\ndamaged, or something was counted whose key is neither in the keyring nor destroyed; 2 the keyring cannot be read.',
      ),
  async ({ options, io, print, progress }): Promise<ExitCode> => {
    const { loadForCommand, withSession } = await import('../session.ts')
    const { tenant } = options
    const document = options.count
      ? await withSession(options, io, (session) =>
          withSessionKeyring(session, io, async (keyring) => {
            const { readGateways } = await import('@weir/core/view/status')
            const uses = await countedUses(session, { signal: io.signal, progress })
            const gateways = await readGateways(session.partitions)
            const spooled = gateways.reduce((sum, gateway) => sum + gateway.spooled, 0)
            return statusOf(keyring, tenant, { uses, spooled })
          }),
        )
      : await withKeyring((await loadForCommand(options, io)).config, async (keyring) =>
          statusOf(keyring, tenant, undefined),
        )
    print.answer(document, () => statusText(document, print))
    return isWell(document) ? OK : NEGATIVE
  },
)

interface Counted {
  readonly uses: readonly KeyUses[]
  readonly spooled: number
}

function statusOf(
  keyring: OpenKeyring,
  tenant: string | undefined,
  count: Counted | undefined,
): StatusDocument {
  const { store, cipher, stored } = keyring
  const damaged = [...stored.damaged].filter(([name]) => tenant === undefined || name === tenant)
  const entries = damaged.length > 0 && tenant !== undefined ? [] : chosenEntries(keyring, tenant)
  const uses = count?.uses.filter((each) => tenant === undefined || each.tenant === tenant)
  const usesOf = (id: string) =>
    count === undefined ? null : usesDocument(count.uses.filter(({ key }) => key === id))
  const known = new Set(
    [...stored.tenants.values()]
      .flatMap(({ keys, destroyed }) => [...keys, ...destroyed])
      .map(({ id }) => id),
  )
  const unknown = Map.groupBy(uses?.filter(isSealedWithOther(known)) ?? [], ({ key }) => key)
  const allOf = (kind: KeyUses['kind']) => usesDocument(uses?.filter((each) => each.kind === kind) ?? [])
  return {
    place: store.place,
    master_keys: masterDocuments(stored, cipher),
    tenants: entries.map((entry) => {
      const { keys, destroyed, closed } = standingOf(entry, cipher)
      return {
        tenant: entry.tenant,
        closed,
        keys: keys.map((key) => keyDocument(key, usesOf(key.id))),
        destroyed: destroyed.map(({ id, at }) => ({ id, destroyed_at: timeOf(at), uses: usesOf(id) })),
      }
    }),
    damaged: damaged.map(([name, fault]) => ({ tenant: name, problem: messageOf(fault) })),
    count:
      count === undefined
        ? null
        : {
            not_encrypted: allOf('plain'),
            damaged: allOf('damaged'),
            unknown_keys: [...unknown].map(([id, of]) => ({
              id,
              tenants: [...new Set(of.map((each) => each.tenant || 'unknown'))],
              uses: usesDocument(of),
            })),
            spooled: count.spooled,
          },
  }
}

const isSealedWithOther =
  (known: ReadonlySet<string>) =>
  ({ kind, key }: KeyUses): boolean =>
    kind === 'sealed' && !known.has(key)

function keyDocument(key: KeyStanding, uses: UsesDocument | null): KeyDocument {
  const { id, at, master, hasMaster, damaged, writing } = key
  return {
    id,
    made_at: timeOf(at),
    master_key: master,
    has_master_key: hasMaster,
    damaged,
    writing,
    uses,
  }
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString()
}

function isWell({ tenants, damaged, count }: StatusDocument): boolean {
  const broken = tenants.some(({ closed, keys }) => closed || keys.some((key) => key.damaged))
  return !broken && damaged.length === 0 && (count?.unknown_keys.length ?? 0) === 0
}

interface Row {
  readonly tenant: string | null
  readonly key: string
  readonly state: 'writing' | 'reading' | 'DAMAGED' | 'destroyed' | 'UNKNOWN' | null
  readonly master: string | null
  readonly here: boolean | null
  readonly since: string | null
  readonly uses: UsesDocument | null
}

const COLOURS = {
  writing: 'green',
  reading: undefined,
  DAMAGED: 'red',
  destroyed: 'dim',
  UNKNOWN: 'red',
} as const
const NOT_A_KEY = { tenant: null, state: null, master: null, here: null, since: null }

function rowsOf({ tenants, count }: StatusDocument): Row[] {
  const rows = tenants.flatMap(({ tenant, keys, destroyed }): Row[] => [
    ...keys.map((key): Row => {
      const state = key.damaged ? 'DAMAGED' : key.writing ? 'writing' : 'reading'
      const { id, master_key: master, has_master_key: here, made_at: since, uses } = key
      return { tenant, key: id, state, master, here, since, uses }
    }),
    ...destroyed.map(
      ({ id, destroyed_at: since, uses }): Row => ({
        ...NOT_A_KEY,
        tenant,
        key: id,
        state: 'destroyed',
        since,
        uses,
      }),
    ),
  ])
  if (count === null) return rows
  for (const { id, tenants: of, uses } of count.unknown_keys)
    rows.push({ ...NOT_A_KEY, tenant: of.join(', '), key: id, state: 'UNKNOWN', uses })
  if (Object.values(count.damaged).some((each) => each > 0))
    rows.push({ ...NOT_A_KEY, key: 'damaged', uses: count.damaged })
  rows.push({ ...NOT_A_KEY, key: 'not encrypted', uses: count.not_encrypted })
  return rows
}

function statusText(status: StatusDocument, { style, paint }: Printer): string {
  const { place, master_keys: masters, damaged, tenants, count } = status
  const mastersText = masters.map(
    ({ id, for_new_keys: first, keys }) => `${id} (${first ? 'for new keys; ' : ''}${counted(keys, 'key')})`,
  )
  const head = pairs(
    [
      ['keyring', place],
      ['master keys', mastersText.join(', ') || 'none is configured here (ENCRYPTION_MASTER_KEY)'],
    ],
    style,
  )
  const rows = rowsOf(status)
  const number = (what: keyof UsesDocument, name: string) => ({
    head: name,
    cell: ({ uses }: Row) => uses?.[what] ?? null,
    align: 'right' as const,
  })
  const table = tableOf<Row>(
    [
      { head: 'tenant', cell: ({ tenant }) => tenant },
      { head: 'key', cell: ({ key }) => key },
      {
        head: 'state',
        cell: ({ state }) => state,
        paint: ({ state }) => (state === null ? undefined : COLOURS[state]),
      },
      { head: 'master', cell: ({ master }) => master },
      {
        head: 'here',
        cell: ({ here }) => (here === null ? null : here ? 'yes' : 'no'),
        paint: ({ here }) => (here === false ? 'red' : undefined),
      },
      { head: 'since', cell: ({ since }) => since },
      ...(count === null
        ? []
        : [
            number('entries', 'entries'),
            number('parked', 'parked'),
            number('dead_letters', 'dead'),
            number('dictionaries', 'dictionaries'),
            number('contexts', 'contexts'),
          ]),
    ],
    rows,
    style,
  )
  const notes = [
    ...tenants.filter(({ closed }) => closed).map(({ tenant }) => paint(closedText(tenant, masters), 'red')),
    ...damaged.map(({ problem }) => paint(`DAMAGED ${problem}`, 'red')),
    ...(count === null
      ? []
      : [`spooled by gateways, as they report, and not counted here: ${counted(count.spooled, 'event')}`]),
  ]
  const empty = `no tenant has a key: the first event that is encrypted makes one\n`
  const body = rows.length === 0 ? (damaged.length > 0 ? '' : empty) : table
  return [head, body, notes.map((note) => `${note}\n`).join('')].filter((block) => block !== '').join('\n')
}

function closedText(tenant: string, masters: readonly MasterDocument[]): string {
  const why =
    masters.length === 0
      ? 'no master key is configured here (ENCRYPTION_MASTER_KEY)'
      : 'none of its keys can be derived from the master keys that are configured here (ENCRYPTION_MASTER_KEY, ENCRYPTION_PREVIOUS_MASTER_KEYS)'
  return `CLOSED ${tenant}: ${why}`
}
