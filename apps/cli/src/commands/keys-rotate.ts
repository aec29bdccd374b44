import type { Dictionary } from '@weir/core/dictionaries'
import { isFault, messageOf } from '@weir/core/faults'
import type { TenantKeys } from '@weir/core/keyring/key-store'
import type { Keyring } from '@weir/core/keyring/keyring'
import type { Partition } from '@weir/core/partition'
import { audited, type Ended } from '../audited.ts'
import { commandOf, type Invocation } from '../command.ts'
import { CommandFailure, type ExitCode, FAILED, NEGATIVE, OK } from '../exit.ts'
import { chosenEntries, type OpenKeyring, standingOf, withSessionKeyring } from '../keyring.ts'
import { nameOption } from '../options.ts'
import type { Session } from '../session.ts'
import { ageText, counted, tableOf } from '../text.ts'

interface Options {
  readonly tenant?: string
  readonly dryRun?: true
}

/** What became, or would become, of one tenant. */
interface RotatedDocument {
  readonly tenant: string
  /** What new events were encrypted with. */
  readonly before: string | null
  /** What they are encrypted with from now on; null when there is no new key. */
  readonly key: string | null
  /** Learned dictionaries that were encrypted anew, or would be. */
  readonly dictionaries: number
  readonly problem: string | null
}

/** A learned dictionary of a tenant, wherever it is published. */
interface Published {
  readonly id: string
  readonly partitions: readonly Partition[]
}

export const keysRotateCommand = commandOf<Options>(
  (command) =>
    command
      .option('--tenant <tenant>', 'only this tenant; default: all that have keys', nameOption)
      .option('--dry-run', 'only say what would be done')
      .addHelpText(
        'after',
        '\nLearned dictionaries are encrypted anew with the new key. The keys before stay, to read with, until `keys forget`.' +
          '\nIt may be repeated, also after it was stopped: tenants then get one more key. Exit codes: 0 done, 1 some tenants failed' +
          '\n(they are listed, and the others were done) or it was stopped, 2 not done.',
      ),
  rotate,
)

async function rotate({ options, io, print, progress }: Invocation<Options>): Promise<ExitCode> {
  const { tenant, dryRun = false } = options
  const { withSession } = await import('../session.ts')
  return withSession(options, io, async (session): Promise<ExitCode> => {
    const { encryption, config } = session
    if (encryption === undefined) {
      throw new CommandFailure(
        'keys are derived from a master key, and none is configured here: set ENCRYPTION_MASTER_KEY.',
        FAILED,
      )
    }
    return withSessionKeyring(session, io, async (keyring): Promise<ExitCode> => {
      const entries = chosenEntries(keyring, tenant).filter(
        ({ keys }) => keys.length > 0 || tenant !== undefined,
      )
      const damaged = tenant === undefined ? [...keyring.stored.damaged] : []
      const failed = damaged.map(([name, fault]) => failure(name, fault))
      const published = await dictionariesByTenant(session, entries)
      const answer = (results: readonly RotatedDocument[]): void => {
        const refresh = ageText(config.webhook.security.keyring_refresh)
        const tail = dryRun
          ? 'nothing was changed (dry run)'
          : `gateways and consumers follow within ${refresh} (webhook.security.keyring_refresh)`
        print.answer({ dry_run: dryRun, tenants: results }, () =>
          results.length === 0
            ? 'no tenant has a key\n'
            : `${tableOf(COLUMNS, results, print.style)}\n${tail}\n`,
        )
      }
      if (dryRun) {
        const results = entries.map((entry): RotatedDocument => {
          const { before, problem } = beforeOf(entry, keyring)
          const dictionaries = published.get(entry.tenant)?.length ?? 0
          return { tenant: entry.tenant, before, key: null, dictionaries, problem }
        })
        answer([...results, ...failed])
        return [...results, ...failed].some(({ problem }) => problem !== null) ? NEGATIVE : OK
      }
      const target = tenant === undefined ? 'all tenants' : `tenant ${tenant}`
      return audited(session, { action: 'keys.rotate', target }, async (): Promise<Ended> => {
        const results: RotatedDocument[] = []
        const bar = progress('tenants')
        for (const entry of entries) {
          if (io.signal.aborted) break
          bar.show(results.length, entries.length)
          const result = await rotateOne(entry, keyring, encryption.keyring, {
            published: published.get(entry.tenant) ?? [],
            at: io.clock.now(),
          })
          results.push(result)
          const { tenant: name, key, before, dictionaries, problem } = result
          const detail = { key, before, dictionaries, problem }
          const outcome = key === null ? 'failed' : 'rotated'
          session.audit.note({ action: 'keys.rotate', target: `tenant ${name}`, outcome, detail })
        }
        bar.end()
        const left = entries.length - results.length
        answer([...results, ...failed])
        if (left > 0) io.err(`stopped; ${counted(left, 'tenant')} left as they were\n`)
        const problems = [...results, ...failed].filter(({ problem }) => problem !== null).length
        const detail = { rotated: results.filter(({ key }) => key !== null).length, problems, left }
        if (left > 0) return { code: NEGATIVE, outcome: 'stopped', detail }
        return { code: problems > 0 ? NEGATIVE : OK, outcome: problems > 0 ? 'incomplete' : 'done', detail }
      })
    })
  })
}

const COLUMNS = [
  { head: 'tenant', cell: ({ tenant }: RotatedDocument) => tenant },
  { head: 'before', cell: ({ before }: RotatedDocument) => before },
  { head: 'new key', cell: ({ key }: RotatedDocument) => key },
  { head: 'dictionaries', cell: ({ dictionaries }: RotatedDocument) => dictionaries, align: 'right' },
  {
    head: 'problem',
    cell: ({ problem }: RotatedDocument) => problem,
    paint: ({ problem }: RotatedDocument) => (problem === null ? undefined : 'red'),
  },
] as const

function failure(tenant: string, error: unknown): RotatedDocument {
  return { tenant, before: null, key: null, dictionaries: 0, problem: messageOf(error) }
}

/** The key that is written with now, and why the tenant cannot be given another one. */
function beforeOf(
  entry: TenantKeys,
  { cipher }: OpenKeyring,
): { readonly before: string | null; readonly problem: string | null } {
  const { keys, closed } = standingOf(entry, cipher)
  const before = keys.find(({ writing }) => writing)?.id ?? null
  if (keys.length === 0) return { before, problem: 'it has no key; its next event makes one' }
  const problem = closed
    ? 'none of its keys can be derived from the master keys that are configured here; is it the right one?'
    : null
  return { before, problem }
}

async function rotateOne(
  entry: TenantKeys,
  keyring: OpenKeyring,
  sealing: Keyring,
  { published, at }: { readonly published: readonly Published[]; readonly at: number },
): Promise<RotatedDocument> {
  const { tenant } = entry
  const { before, problem } = beforeOf(entry, keyring)
  if (problem !== null || keyring.cipher === undefined)
    return { tenant, before, key: null, dictionaries: 0, problem }
  const { rotateKeys } = await import('@weir/core/keyring/changes')
  let key: string | null = null
  let dictionaries = 0
  try {
    const next = await rotateKeys(keyring.store, keyring.cipher, tenant, at)
    key = next?.keys.at(-1)?.id ?? null
    if (key === null) return { tenant, before, key, dictionaries, problem: 'its entry has just been removed' }
    await sealing.lookAgain(tenant)
    for (const each of published) {
      await sealAnew(each, tenant, sealing)
      dictionaries += 1
    }
    return { tenant, before, key, dictionaries, problem: null }
  } catch (error) {
    if (!isFault(error)) throw error
    return { ...failure(tenant, error), before, key, dictionaries }
  }
}

/** Publishes a dictionary sealed with the key that is for writing now, the same bytes in every partition that has it. */
async function sealAnew({ id, partitions }: Published, tenant: string, sealing: Keyring): Promise<void> {
  const { createDictionarySet, fetchDictionary, publishDictionary, sealDictionary } = await import(
    '@weir/core/dictionaries'
  )
  let sealed: Dictionary | undefined
  for (const { link, keys } of partitions) {
    if (sealed === undefined) {
      const found = await fetchDictionary(link, keys, createDictionarySet(new Map()), id, tenant, sealing)
      sealed = sealDictionary(sealing, tenant, found)
    }
    await publishDictionary(link, keys, sealed, true)
  }
}

/**
 * The dictionaries to encrypt anew: all that are encrypted with a key of the tenant, also those that only waiting events need,
 * and where events are encrypted the learned ones that are not yet.
 */
async function dictionariesByTenant(
  { partitions, config }: Session,
  entries: readonly TenantKeys[],
): Promise<Map<string, Published[]>> {
  const { readLearned } = await import('@weir/core/dictionaries')
  const { sealedDictionaries } = await import('@weir/core/view/sealed-counts')
  const { sealedWith } = await import('@weir/security/envelope')
  const tenantOf = new Map(entries.flatMap(({ tenant, keys }) => keys.map(({ id }) => [id, tenant])))
  const tenants = new Set(entries.map(({ tenant }) => tenant))
  const found = new Map<string, Map<string, Set<Partition>>>()
  const add = (tenant: string, id: string, partition: Partition): void => {
    const ids = found.get(tenant) ?? new Map<string, Set<Partition>>()
    found.set(tenant, ids.set(id, (ids.get(id) ?? new Set<Partition>()).add(partition)))
  }
  for (const partition of partitions) {
    const { link, keys } = partition
    for await (const { id, key } of sealedDictionaries(partition, sealedWith)) {
      const tenant = tenantOf.get(key)
      if (tenant !== undefined) add(tenant, id, partition)
    }
    if (!config.webhook.security.encryption_enabled) continue
    for (const [owner, { id }] of await readLearned(link, keys)) {
      const tenant = owner.slice(0, owner.indexOf('/'))
      const there = tenants.has(tenant) && (await link.call('EXISTS', keys.dictionary(id))) === 1
      if (there) add(tenant, id, partition)
    }
  }
  const published = (ids: Map<string, Set<Partition>>): Published[] =>
    [...ids].map(([id, of]) => ({ id, partitions: [...of] }))
  return new Map([...found].map(([tenant, ids]) => [tenant, published(ids)]))
}
