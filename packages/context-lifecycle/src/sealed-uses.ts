/**
 * With which keys contexts are encrypted: their subjects, their digests, their records, and their cards. It only reads, page by page, and
 * of each part only the first bytes, which name the key: records can be large.
 * While contexts are made, one may be counted twice.
 */
import { NAME_PATTERN } from '@weir/core/event'
import { defineScript } from '@weir/core/redis/script'
import { isSealed } from '@weir/core/sealing'
import type { KeyOf } from '@weir/core/view/sealed-counts'
import type { ContextPlace } from './context-place.ts'
import { contextsIn, countContexts } from './every-context.ts'
import { IDENTITY_AT } from './head.ts'
import { decodeRef } from './tiers/parts.ts'
import { sealedPayload } from './tiers/segment.ts'

/** In how many contexts of a tenant something is encrypted with a key, or is not. One context may be in several of these. */
export interface ContextUses {
  /** `damaged`: said to be encrypted, or not to be read at all, and naming no key. */
  readonly kind: 'sealed' | 'plain' | 'damaged'
  /** Id of the key; '' where there is none. */
  readonly key: string
  /** '' where it is not known. */
  readonly tenant: string
  readonly contexts: number
}

export interface ContextCounts {
  readonly uses: readonly ContextUses[]
  /** False: the signal stopped it before the end. */
  readonly complete: boolean
}

/** Enough of sealed bytes to see their key. */
const FIRST_BYTES = 64
/** Events of a context looked at in one script, and bytes after which it takes no more: about a millisecond either way. */
const PAGE = 100
const PAGE_BYTES = 1 << 20
/** Records that Redis hands to the script at once. */
const STEP = 10
/** Contexts looked at before Redis turns to somebody else. */
const AT_ONCE = 20

/*
 * KEYS  1 head, 2 log, 3 raw, 4 parts, 5 card
 * ARGV  1 how many events were looked at before
 * Reply {how many were now, or -1 after the last, tenant, sealed: 0 or 1, first bytes of the subject,
 *        {first bytes of a digest…}, {encoding of a record, first bytes of its body…},
 *        {first bytes of a warm segment, or the reference to a cold object…},
 *        card sealed: 0, 1, or ? where it cannot be read, first bytes of its sealed part}
 *
 * Tenant, sealed, subject, parts and card are said with the first events only, and are '' where there is none, or none to be read.
 */
const CONTEXT_PARTS = defineScript(
  'context-parts',
  `
local call = redis.call
local at = tonumber(ARGV[1])
local reply = {-1, '', '', '', {}, {}, {}, '', ''}
local length = at == 0 and call('GETRANGE', KEYS[1], ${IDENTITY_AT - 2}, ${IDENTITY_AT - 1}) or ''
if #length == 2 then
  local identity = call('GETRANGE', KEYS[1], ${IDENTITY_AT}, ${IDENTITY_AT - 1} + struct.unpack('>I2', length))
  local line = string.find(identity, '\\n', 1, true) or 1
  local readable, clear = pcall(cjson.decode, string.sub(identity, 1, line - 1))
  if readable and type(clear) == 'table' and type(clear[1]) == 'string' then
    reply[2], reply[3] = clear[1], tostring(clear[4])
    reply[4] = string.sub(identity, line + 1, line + ${FIRST_BYTES})
  end
end
if at == 0 then
  for _, field in ipairs(call('HKEYS', KEYS[4])) do
    local part = call('HGET', KEYS[4], field)
    if string.sub(field, -5) == ':warm' then part = string.sub(part, 1, ${2 * FIRST_BYTES}) end
    reply[7][#reply[7] + 1] = part
  end
end
local line = at == 0 and call('GETRANGE', KEYS[5], 5, 6) or ''
if #line == 2 then
  local rest = 7 + struct.unpack('>I2', line)
  local readable, clear = pcall(cjson.decode, call('GETRANGE', KEYS[5], 7, rest - 1))
  reply[8] = readable and type(clear) == 'table' and clear[6] and tostring(clear[6]) or '?'
  reply[9] = call('GETRANGE', KEYS[5], rest, rest + ${FIRST_BYTES - 1})
end
local left, bytes = ${PAGE}, 0
while left > 0 and bytes < ${PAGE_BYTES} do
  local digests = call('LRANGE', KEYS[2], at, at + ${STEP - 1})
  local records = call('LRANGE', KEYS[3], at, at + ${STEP - 1})
  for _, digest in ipairs(digests) do
    reply[5][#reply[5] + 1] = string.sub(digest, 17, ${16 + FIRST_BYTES})
  end
  for _, record in ipairs(records) do
    local line = string.find(record, '\\n', 17, true) or 17
    local readable, clear = pcall(cjson.decode, string.sub(record, 17, line - 1))
    local encoding = readable and type(clear) == 'table' and clear[3]
    reply[6][#reply[6] + 1] = type(encoding) == 'string' and encoding or ''
    reply[6][#reply[6] + 1] = string.sub(record, line + 1, line + ${FIRST_BYTES})
    bytes = bytes + #record
  end
  if #digests < ${STEP} and #records < ${STEP} then return reply end
  at = at + ${STEP}
  left = left - ${STEP}
end
reply[1] = at
return reply
`,
)

type Parts = [number, Buffer, Buffer, Buffer, Buffer[], Buffer[], Buffer[], Buffer, Buffer]

type Seal = Pick<ContextUses, 'kind' | 'key'>

/** What the parts of one context are sealed with, each once. */
interface Seals {
  readonly tenant: string
  readonly seals: ReadonlyMap<string, Seal>
}

const PLAIN: Seal = { kind: 'plain', key: '' }
const DAMAGED: Seal = { kind: 'damaged', key: '' }
/** What a digest begins with that is not encrypted. */
const OPEN_BRACKET = 0x5b
const OPEN_BRACE = 0x7b

/**
 * Throws Fault REDIS_UNAVAILABLE.
 * @param onProgress so many contexts are looked at, of about so many
 */
export async function countSealedContexts(
  places: readonly ContextPlace[],
  keyOf: KeyOf,
  signal?: AbortSignal,
  onProgress?: (looked: number, of: number) => void,
): Promise<ContextCounts> {
  const all = onProgress === undefined ? 0 : await countContexts(places)
  let looked = 0
  const uses = new Map<string, { -readonly [Name in keyof ContextUses]: ContextUses[Name] }>()
  for (const place of places) {
    for await (const some of contextsIn(place, AT_ONCE, signal)) {
      const found = await Promise.all(some.map(({ id }) => sealsOf(place, id, keyOf, signal)))
      looked += some.length
      onProgress?.(looked, Math.max(all, looked))
      for (const { tenant, seals } of found) {
        for (const [name, seal] of seals) {
          const row = uses.get(`${name} ${tenant}`) ?? { ...seal, tenant, contexts: 0 }
          row.contexts += 1
          uses.set(`${name} ${tenant}`, row)
        }
      }
    }
  }
  return { uses: [...uses.values()], complete: signal?.aborted !== true }
}

async function sealsOf(
  { link, keys }: ContextPlace,
  id: string,
  keyOf: KeyOf,
  signal?: AbortSignal,
): Promise<Seals> {
  const seals = new Map<string, Seal>()
  const add = (seal: Seal) => seals.set(`${seal.kind} ${seal.key}`, seal)
  const sealedOr = (otherwise: Seal, first: Buffer): Seal => {
    const key = keyOf(first)
    return key === undefined ? otherwise : { kind: 'sealed', key }
  }
  const names = [keys.head(id), keys.log(id), keys.raw(id), keys.parts(id), keys.card(id)]
  let owner: string | undefined
  for (let at = 0; at >= 0 && !signal?.aborted; ) {
    const reply = await link.run(CONTEXT_PARTS, names, [at])
    const [next, tenant, sealed, subject, digests, records, parts, cardSealed, card] = reply as Parts
    // A context that has just gone has no parts, and so no owner that is missed.
    const gone = at === 0 && tenant.length + digests.length + records.length + parts.length === 0
    if (gone) break
    if (owner === undefined) {
      owner = NAME_PATTERN.test(String(tenant)) ? String(tenant) : ''
      const flag = String(sealed)
      add(flag === '0' && owner !== '' ? PLAIN : sealedOr(DAMAGED, subject))
    }
    if (cardSealed.length > 0) add(String(cardSealed) === '0' ? PLAIN : sealedOr(DAMAGED, card))
    for (const digest of digests) add(digest[0] === OPEN_BRACKET ? PLAIN : sealedOr(DAMAGED, digest))
    for (let each = 0; each < records.length; each += 2) {
      const encoding = String(records[each])
      const body = records[each + 1] as Buffer
      if (isSealed({ encoding })) add(sealedOr(DAMAGED, body))
      else add(encoding === '' ? DAMAGED : PLAIN)
    }
    for (const part of parts) for (const seal of sealsOfPart(id, part, sealedOr)) add(seal)
    at = next
  }
  return { tenant: owner ?? '', seals }
}

/** @param part the beginning of a warm segment, or the reference to a cold object, which is JSON */
function sealsOfPart(
  id: string,
  part: Buffer,
  sealedOr: (otherwise: Seal, first: Buffer) => Seal,
): readonly Seal[] {
  if (part[0] === OPEN_BRACE) {
    const { sealedWith } = decodeRef(id, String(part))
    return sealedWith.length === 0 ? [PLAIN] : sealedWith.map((key) => ({ kind: 'sealed', key }))
  }
  const payload = sealedPayload(part)
  return [payload === undefined ? PLAIN : sealedOr(DAMAGED, payload)]
}
