/** Cold storage in memory, for tests of what stands above it; cold/*.test.ts have the real ones. */
import type { ColdStore } from '../../packages/context-lifecycle/src/cold/cold-store.ts'
import type { ContextPlace } from '../../packages/context-lifecycle/src/context-place.ts'
import type { Archive } from '../../packages/context-lifecycle/src/tiers/archive.ts'

export interface MemoryStore extends ColdStore {
  readonly objects: Map<string, Buffer>
}

export function memoryStore(): MemoryStore {
  const objects = new Map<string, Buffer>()
  return {
    place: 'memory',
    objects,
    async put(name, bytes) {
      objects.set(name, bytes)
    },
    get: async (name) => objects.get(name),
    async delete(name) {
      objects.delete(name)
    },
    async *list(prefix, after = '') {
      for (const name of [...objects.keys()].sort()) {
        const bytes = objects.get(name)
        if (name.startsWith(prefix) && name > after && bytes !== undefined)
          yield { name, bytes: bytes.length }
      }
    },
    close: () => undefined,
  }
}

/** Deletes what nothing refers to, as if it had been announced or superseded long ago. Resolves with how many objects. */
export async function collectOld({
  archive,
  place,
}: {
  readonly archive: Archive
  readonly place: ContextPlace
}): Promise<number> {
  const { link, keys } = place
  for (const name of (await link.call('ZRANGE', keys.puts, 0, -1)) as Buffer[])
    await link.call('ZADD', keys.puts, 1, name)
  return archive.collect(place)
}
