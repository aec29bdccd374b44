/**
 * A slot on its way from one node to another, step by step as redis-cli does it:
 * https://redis.io/docs/latest/commands/cluster-setslot/
 *
 *   importing   the target takes commands that come with ASKING
 *   migrating   the source answers ASK for keys that it has not, TRYAGAIN for a script of which it has some
 *   moving      after each MIGRATE: some keys here, some there
 *   emptied     all keys are with the target, but the slot is still the source's
 *   handed-over the target owns the slot; whoever has not heard it from the target yet asks the source in vain
 */
import type { RedisServer } from '../../scripts/private-redis.ts'
import { ask, askBuffer, type RedisAccess, type RedisWord } from './access.ts'

export type MigrationStep =
  | { readonly kind: 'importing' | 'migrating' | 'emptied' | 'handed-over' }
  | { readonly kind: 'moving'; readonly moved: number }

export interface MigrateOptions {
  /** Called after each step; `stop` leaves the slot as it is then. */
  readonly onStep?: (step: MigrationStep) => Promise<'go on' | 'stop'>
  /** Keys per MIGRATE. Default: 10. */
  readonly batch?: number
}

export interface Migration {
  readonly slot: number
  readonly from: RedisServer & { readonly id: string }
  readonly to: RedisServer & { readonly id: string }
  /** The other masters, told at the end. */
  readonly others: readonly RedisServer[]
  readonly access: RedisAccess
}

/** ms until MIGRATE gives up on a target that does not answer. */
const MIGRATE_TIMEOUT_MS = 5_000

/** Moves the slot, or goes on where an earlier call stopped. */
export async function migrateSlot(
  { slot, from, to, others, access }: Migration,
  { onStep = async () => 'go on', batch = 10 }: MigrateOptions = {},
): Promise<'moved' | 'stopped'> {
  const setSlot = (node: RedisServer, ...words: RedisWord[]) =>
    ask({ port: node.port, access }, 'CLUSTER', 'SETSLOT', slot, ...words)

  await setSlot(to, 'IMPORTING', from.id)
  if ((await onStep({ kind: 'importing' })) === 'stop') return 'stopped'
  await setSlot(from, 'MIGRATING', to.id)
  if ((await onStep({ kind: 'migrating' })) === 'stop') return 'stopped'
  for (let moved = 0; ; ) {
    const source = { port: from.port, access }
    const keys = (await askBuffer(source, 'CLUSTER', 'GETKEYSINSLOT', slot, batch)) as Buffer[]
    if (keys.length === 0) break
    const auth = access.password === undefined ? [] : ['AUTH', access.password]
    const target = ['127.0.0.1', to.port, '', 0, MIGRATE_TIMEOUT_MS]
    await ask(source, 'MIGRATE', ...target, ...auth, 'KEYS', ...keys)
    moved += keys.length
    if ((await onStep({ kind: 'moving', moved })) === 'stop') return 'stopped'
  }
  if ((await onStep({ kind: 'emptied' })) === 'stop') return 'stopped'
  await setSlot(to, 'NODE', to.id)
  if ((await onStep({ kind: 'handed-over' })) === 'stop') return 'stopped'
  for (const node of [from, ...others]) await setSlot(node, 'NODE', to.id)
  return 'moved'
}
