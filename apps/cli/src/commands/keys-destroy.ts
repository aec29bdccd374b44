import type { AuditDetail } from '@weir/core/audit/auditor'
import type { PartitionKeys } from '@weir/core/keys'
import type { RedisLink } from '@weir/core/redis/link'
import { audited, type Ended } from '../audited.ts'
import { commandOf, type Invocation } from '../command.ts'
import { confirmed, DESTROY } from '../confirm.ts'
import { CommandFailure, type ExitCode, NEGATIVE, OK } from '../exit.ts'
import {
  type CountingOptions,
  chosenEntries,
  countedUses,
  type OpenKeyring,
  type UsesDocument,
  usesDocument,
  usesText,
  withSessionKeyring,
} from '../keyring.ts'
import { nameOption } from '../options.ts'
import type { Session } from '../session.ts'
import { ageText, counted } from '../text.ts'

interface Options {
  readonly tenant: string
  readonly dryRun?: true
  readonly yes?: true
}

/** What is destroyed along with the keys. */
interface Learned {
  /** `tenant/tool` */
  readonly owners: readonly string[]
  readonly sealed: readonly {
    readonly link: RedisLink
    readonly keys: PartitionKeys
    readonly id: string
  }[]
}

export const keysDestroyCommand = commandOf<Options>(
  (command) =>
    command
      .requiredOption('--tenant <tenant>', 'whose keys', nameOption)
      .option('--dry-run', 'only say what would become unreadable')
      .option('--yes', 'do not ask for the name of the tenant')
      .addHelpText(
        'after',
        '\nIt cannot be undone, except with a copy of the keyring from before. Exit codes: 0 destroyed, 1 the tenant has no keys,' +
          '\nor the answer was not its name; 2 not done.',
      ),
  destroy,
)

async function destroy({ options, io, print, progress }: Invocation<Options>): Promise<ExitCode> {
  const { tenant, dryRun = false } = options
  const { withSession } = await import('../session.ts')
  return withSession(options, io, (session) =>
    withSessionKeyring(session, io, async (keyring): Promise<ExitCode> => {
      const [entry] = chosenEntries(keyring, tenant)
      const ids = entry?.keys.map(({ id }) => id) ?? []
      if (entry === undefined || ids.length === 0) {
        if (entry !== undefined && !dryRun) await clearAgain(keyring, tenant, io.clock.now())
        const gone = counted(entry?.destroyed.length ?? 0, 'key')
        throw new CommandFailure(
          `tenant ${tenant} has no keys (${gone} destroyed before); its next event makes one.`,
          NEGATIVE,
        )
      }
      const refresh = ageText(session.config.webhook.security.keyring_refresh)
      const { uses, spooled } = await lost(session, tenant, { signal: io.signal, progress, asOne: ids })
      const learned = await learnedOf(session, tenant, ids)
      const facts = {
        tenant,
        dry_run: dryRun,
        unreadable: uses,
        spooled,
        learned_dropped: learned.owners,
      }
      const warning = warningText(tenant, usesText(facts.unreadable), spooled, refresh)
      if (dryRun) {
        print.answer(
          { ...facts, destroyed: ids },
          () => `${warning}${counted(ids.length, 'key')} would be destroyed (dry run): ${ids.join(', ')}\n`,
        )
        return OK
      }
      if (!options.yes) io.err(warning)
      const what = `${counted(ids.length, 'key')} of tenant ${tenant}, for good`
      await confirmed(io, { deed: DESTROY, what, word: tenant, yes: options.yes })
      const detail = { keys: ids.length, ...idDetail(ids) }
      const action = { action: 'keys.destroy', target: `tenant ${tenant}`, detail }
      return audited(session, action, async (): Promise<Ended> => {
        const destroyed = await destroyAll(session, keyring, entry, learned, io.clock.now())
        print.answer({ ...facts, destroyed }, () =>
          [
            `tenant ${tenant}: ${counted(destroyed.length, 'key')} destroyed: ${destroyed.join(', ')}\n`,
            'What was encrypted for it is unreadable for ever. Consumers make dead letters of events that wait; `dlq purge` deletes those.\n',
            `Events accepted within ${refresh} from now (webhook.security.keyring_refresh) may be lost to it too; the next one after that gets a new key.\n`,
          ].join(''),
        )
        return { code: OK, outcome: 'done', detail: { keys: destroyed.length, ...idDetail(destroyed) } }
      })
    }),
  )
}

function warningText(tenant: string, uses: string, spooled: number, refresh: string): string {
  return [
    `Without its keys, what was encrypted for tenant ${tenant} is unreadable for ever: in Redis, in spools, in copies, and in backups that do not hold the keyring.`,
    `In Redis that is now: ${uses || 'nothing'} (settled events that are still kept are among the stream entries). Gateways report ${counted(spooled, 'spooled event')} of all tenants.`,
    `Events accepted within ${refresh} afterwards (webhook.security.keyring_refresh) may be lost to it too; the next one after that gets a new key.`,
    '',
  ].join('\n')
}

/** What is in Redis now that nobody could read any more. */
async function lost(
  session: Session,
  tenant: string,
  counting: CountingOptions & { readonly asOne: readonly string[] },
): Promise<{ readonly uses: UsesDocument; readonly spooled: number }> {
  const { readGateways } = await import('@weir/core/view/status')
  // As one: a context may need several of them.
  const uses = (await countedUses(session, counting)).filter(
    (each) => each.key === counting.asOne[0] && (each.tenant === tenant || each.tenant === ''),
  )
  const gateways = await readGateways(session.partitions)
  return { uses: usesDocument(uses), spooled: gateways.reduce((sum, gateway) => sum + gateway.spooled, 0) }
}

async function learnedOf({ partitions }: Session, tenant: string, ids: readonly string[]): Promise<Learned> {
  const { readLearned } = await import('@weir/core/dictionaries')
  const { sealedDictionaries } = await import('@weir/core/view/sealed-counts')
  const { sealedWith } = await import('@weir/security/envelope')
  const owners = new Set<string>()
  const sealed: Learned['sealed'][number][] = []
  for (const partition of partitions) {
    const { link, keys } = partition
    for (const owner of (await readLearned(link, keys)).keys())
      if (owner.startsWith(`${tenant}/`)) owners.add(owner)
    for await (const { id, key } of sealedDictionaries(partition, sealedWith))
      if (ids.includes(key)) sealed.push({ link, keys, id })
  }
  return { owners: [...owners].sort(), sealed }
}

/** A destruction that was broken off may have left something in the place of the keyring. */
async function clearAgain({ store }: OpenKeyring, tenant: string, at: number): Promise<void> {
  const { destroyKeys } = await import('@weir/core/keyring/changes')
  await destroyKeys(store, tenant, at)
}

/** First nobody is told to use the dictionaries any more, then the keys go, then what they leave behind. Returns their ids. */
async function destroyAll(
  { partitions }: Session,
  { store }: OpenKeyring,
  before: { readonly tenant: string; readonly destroyed: readonly { readonly id: string }[] },
  { owners, sealed }: Learned,
  at: number,
): Promise<string[]> {
  const { takeLearned } = await import('@weir/core/dictionaries')
  const { destroyKeys } = await import('@weir/core/keyring/changes')
  for (const owner of owners) await takeLearned(partitions, owner)
  const next = await destroyKeys(store, before.tenant, at)
  if (next === undefined)
    throw new CommandFailure(`somebody has just removed the keyring's entry of ${before.tenant}.`, NEGATIVE)
  for (const { link, keys, id } of sealed) await link.call('DEL', keys.dictionary(id))
  const known = new Set(before.destroyed.map(({ id }) => id))
  return next.destroyed.map(({ id }) => id).filter((id) => !known.has(id))
}

/** Values of the audit trail have at most 300 characters, so many ids. */
const IDS_IN_DETAIL = 16

/** Ids for the audit trail: they are the evidence of what was destroyed. */
function idDetail(ids: readonly string[]): AuditDetail {
  const detail: Record<string, string> = {}
  for (let at = 0; at < ids.length; at += IDS_IN_DETAIL) {
    const part = at === 0 ? '' : `_${at / IDS_IN_DETAIL + 1}`
    detail[`ids${part}`] = ids.slice(at, at + IDS_IN_DETAIL).join(' ')
  }
  return detail
}
