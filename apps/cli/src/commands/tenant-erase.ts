import { isFault } from '@weir/core/faults'
import type { KeyStore } from '@weir/core/keyring/key-store'
import { audited, type Ended } from '../audited.ts'
import { commandOf, type Invocation } from '../command.ts'
import { confirmed, DESTROY } from '../confirm.ts'
import { evidenceOf, evidenceText } from '../erasure-evidence.ts'
import { type Counts, countsIn, type Holdings, surveyOf, waitingIn } from '../erasure-survey.ts'
import { CommandFailure, type ExitCode, FAILED, NEGATIVE, OK } from '../exit.ts'
import { type OpenKeyring, withSessionKeyring } from '../keyring.ts'
import { nameOption } from '../options.ts'
import type { Session } from '../session.ts'
import { ageText, counted } from '../text.ts'
import { requireWholeS3 } from '../whole-s3.ts'

interface Options {
  readonly force?: true
  readonly trim?: true
  readonly dryRun?: true
  readonly yes?: true
}

export const tenantEraseCommand = commandOf<Options>(
  (command) =>
    command
      .argument('<tenant>', 'whose', nameOption)
      .option('--force', 'also while events of the tenant wait; encrypted ones are lost, others come back')
      .option('--trim', 'also remove settled entries that the streams still keep, of all tenants')
      .option('--dry-run', 'only say what there is')
      .option('--yes', 'do not ask for the name of the tenant')
      .addHelpText(
        'after',
        '\nStop its senders first (take its secrets out of the configuration): events that come later begin anew, with new keys. It may be\n' +
          'run again, and goes on where it was stopped. Exit codes: 0 nothing readable is left, 1 something is, and is told; 2 not done.',
      ),
  erase,
)

async function erase({ options, args, io, print, progress }: Invocation<Options>): Promise<ExitCode> {
  const [tenant = ''] = args
  const { dryRun = false, force = false, trim = false } = options
  const { withSession } = await import('../session.ts')
  return withSession(options, io, (session) =>
    withSessionKeyring(session, io, async (keyring): Promise<ExitCode> => {
      requireWholeS3(session.config)
      const { keys, destroyed } = keysIn(keyring, tenant)
      const at = io.clock.now()
      const before = await surveyOf(session, tenant, new Set([...keys, ...destroyed]), io.signal).catch(
        (cause: unknown) => {
          if (!io.signal.aborted) throw cause
          throw new CommandFailure('stopped before all was looked at; nothing was erased.', FAILED, { cause })
        },
      )
      const facts = { config: session.config, tenant, at, before, keys, destroyedBefore: destroyed }
      if (dryRun) {
        const evidence = evidenceOf({ ...facts, done: undefined })
        print.answer(evidence, () => evidenceText(evidence, print.style))
        return OK
      }
      if (waitingIn(before) > 0 && !force) throw new CommandFailure(waitingText(session, tenant, before))
      await askFor(io, tenant, options.yes === true)
      const action = { action: 'tenant.erase', target: `tenant ${tenant}`, detail: countsIn(before) }
      return audited(session, action, async (): Promise<Ended> => {
        const bar = progress('kinds of things')
        const removed = await removeAll(session, {
          tenant,
          before,
          trim,
          signal: io.signal,
          onStep: bar.show,
        })
          .catch((error: unknown) => {
            // Cold storage rejects with what the signal says.
            if (io.signal.aborted && !isFault(error)) return undefined
            throw error
          })
          .finally(bar.end)
        if (removed === undefined) {
          io.err('stopped before the end; the keys are still there. Run it again: it goes on.\n')
          return { code: NEGATIVE, outcome: 'stopped' }
        }
        const shredded = await destroyNow(keyring.store, tenant, destroyed, io.clock.now())
        const gone = new Set([...destroyed, ...shredded])
        // It is the proof, so it is not stopped half-way.
        const after = await surveyOf(session, tenant, gone, new AbortController().signal)
        const done = { removed, destroyed: shredded, after, gone, verifiedAt: io.clock.now() }
        const evidence = evidenceOf({ ...facts, done })
        print.answer(evidence, () => evidenceText(evidence, print.style))
        const readable = evidence.places.reduce((sum, place) => sum + place.readable, 0)
        const detail = { ...removed, keys: shredded.length, readable, left: evidence.left.length }
        return { code: evidence.left.length === 0 ? OK : NEGATIVE, outcome: 'done', detail }
      }).catch((error: unknown) => {
        if (!isFault(error)) throw error
        const done = 'what was removed until then is removed; run it again, and it goes on'
        throw new CommandFailure(`${error.message} (${error.code}): ${done}.`, FAILED, { cause: error })
      })
    }),
  )
}

/** Throws the Fault of an entry that is damaged: its keys cannot be destroyed. */
function keysIn({ stored }: OpenKeyring, tenant: string) {
  const damaged = stored.damaged.get(tenant)
  if (damaged !== undefined) throw damaged
  const entry = stored.tenants.get(tenant)
  return {
    keys: entry?.keys.map(({ id }) => id) ?? [],
    destroyed: entry?.destroyed.map(({ id }) => id) ?? [],
  }
}

/**
 * What waits would be worked on after everything is gone: encrypted it is lost, which nobody may do to accepted events by
 * mistake, and in the clear it makes contexts anew, so that nothing was erased. Waiting until it is done costs minutes.
 */
function waitingText(session: Session, tenant: string, { events }: Holdings): string {
  const { unread, pending, held } = events
  const refresh = ageText(session.config.webhook.security.keyring_refresh)
  return [
    `tenant ${tenant} has ${counted(unread, 'event')} that nobody has read, ${pending} with consumers, and ${held} parked and in hand: nothing was erased.`,
    'Stop its senders, let consumers finish (at most some minutes), and run it again. With --force it erases all the same: where events are encrypted these are lost and become dead letters that a further run purges, also those accepted within',
    `${refresh} afterwards; where they are not, they will be processed and have to be erased again.`,
  ].join(' ')
}

async function askFor(io: Invocation<Options>['io'], tenant: string, yes: boolean): Promise<void> {
  try {
    await confirmed(io, {
      deed: DESTROY,
      what: `everything of tenant ${tenant}, for good`,
      word: tenant,
      yes,
    })
  } catch (error) {
    // That nobody agreed is no answer about what is left.
    if (error instanceof CommandFailure) throw new CommandFailure(error.message, FAILED, { cause: error })
    throw error
  }
}

interface Removal {
  readonly tenant: string
  readonly before: Holdings
  readonly trim: boolean
  readonly signal: AbortSignal
  /** So many kinds of things are gone. */
  onStep(done: number, of: number): void
}

const KINDS = 6

/**
 * Everything but the keys, which say whose dictionaries are whose. Each step leaves what a further run finds its way by: dictionaries
 * go before what names them. undefined when it was stopped.
 */
async function removeAll(
  session: Session,
  { tenant, before, trim, signal, onStep }: Removal,
): Promise<Counts | undefined> {
  const { enrichmentKeysOf, removeEnrichment } = await import('@weir/ai/tenant-keys')
  const { eraseContexts, eraseObjects } = await import('@weir/context-lifecycle/erasure')
  const { trimAllSettled } = await import('@weir/core/stream/trim')
  const { deleteTenantDictionaries } = await import('@weir/core/view/tenant-dictionaries')
  const { partitions, view } = session
  const { places, archive, store } = await session.contexts()
  const { dictionaries, cold, events } = before

  onStep(0, KINDS)
  await deleteTenantDictionaries(partitions, dictionaries)
  onStep(1, KINDS)
  const parked = await view.purgeParked(tenant, signal)
  if (!parked.complete) return undefined
  onStep(2, KINDS)
  const letters = await view.deadLetters.purge({ tenant }, { signal })
  if (letters.stopped) return undefined
  onStep(3, KINDS)
  const contexts = await eraseContexts(places, tenant, signal)
  if (!contexts.complete) return undefined
  onStep(4, KINDS)
  const objects = await eraseObjects({ store: await store(), archive }, places, tenant, signal)
  onStep(5, KINDS)
  // After the contexts: nobody begins to embed or to sum up one that is gone.
  const { link: home, keys: homeKeys } = partitions[0]
  const enrichment = await enrichmentKeysOf(home, homeKeys.ai, tenant)
  await removeEnrichment(home, enrichment)
  if (signal.aborted) return undefined
  if (trim) for (const { link, keys } of partitions) await trimAllSettled(link, keys)
  const left = trim ? await view.tenantEvents(tenant) : events
  return {
    contexts: contexts.contexts,
    cold_objects: cold.objects,
    cold_dictionaries: objects.dictionaries,
    dictionaries: Math.max(dictionaries.ids.length, dictionaries.owners.length),
    parked: parked.purged,
    dead_letters: letters.done,
    stream_entries: Math.max(0, events.kept - left.kept),
    ai_cache: enrichment.cached.length,
    ai_budget: enrichment.budget.length,
  }
}

/** Returns the ids of the keys that this run destroyed. Where there are none left, what a broken-off change left behind goes. */
async function destroyNow(
  store: KeyStore,
  tenant: string,
  before: readonly string[],
  at: number,
): Promise<string[]> {
  const { destroyKeys } = await import('@weir/core/keyring/changes')
  const next = await destroyKeys(store, tenant, at)
  return next?.destroyed.map(({ id }) => id).filter((id) => !before.includes(id)) ?? []
}
