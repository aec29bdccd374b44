/**
 * Who names whom. A context's events name other subjects; whoever reads one of those wants to know by whom it was named: the ticket its pull
 * requests, the alert its incident. Both lie in places of their own, so the names are noted when the card is made, and not when an
 * event comes.
 */
import { defineScript } from '@weir/core/redis/script'
import { type Context, LISTED_MAX } from './compose.ts'
import { type ContextId, contextIdOf } from './context-id.ts'
import type { ContextPlace } from './context-place.ts'

/** Names of a subject of which nothing was ever received are kept so long after the last one, s. */
const UNKNOWN_KEPT_S = 365 * 86_400

/*
 * KEYS  1 named, 2 head of the context that is named
 * ARGV  1 context that names it, 2 when something happened there last, ms; 3 kept at most; 4 s to keep it where there is no such context
 */
const NAME = defineScript(
  'name-context',
  `
local call = redis.call
call('ZADD', KEYS[1], ARGV[2], ARGV[1])
call('ZREMRANGEBYRANK', KEYS[1], 0, -ARGV[3] - 1)
if call('EXISTS', KEYS[2]) == 1 then call('PERSIST', KEYS[1]) else call('EXPIRE', KEYS[1], ARGV[4]) end
return 1
`,
)

/** Notes with each subject that this context names that it does. Repeating it changes nothing. Throws Fault REDIS_UNAVAILABLE, REDIS_OUT_OF_MEMORY. */
export async function noteNames(
  placeOf: (id: ContextId) => ContextPlace,
  { id, tenant, references, lastAt }: Pick<Context, 'id' | 'tenant' | 'references' | 'lastAt'>,
): Promise<void> {
  await Promise.all(
    references.map(async ({ tool, key }) => {
      const named = contextIdOf(tenant, tool, key)
      const { link, keys } = placeOf(named)
      await link.run(
        NAME,
        [keys.named(named), keys.head(named)],
        [id, lastAt ?? 0, LISTED_MAX, UNKNOWN_KEPT_S],
      )
    }),
  )
}

/** Contexts that name this one, where something happened last first. Some may be gone. Throws Fault REDIS_UNAVAILABLE. */
export async function namedBy({ link, keys }: ContextPlace, id: ContextId): Promise<readonly ContextId[]> {
  const found = (await link.call('ZREVRANGE', keys.named(id), 0, LISTED_MAX - 1)) as Buffer[]
  return found.map(String)
}
