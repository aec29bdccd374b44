/**
 * How many dead letters there are of each tool, counted by reading each letter once, and not by every script that writes or
 * removes one: so it is right also for letters that were there before, and while several versions of Weir run.
 *
 * A stream grows at its end alone, and what was ever added less what there is was removed. So as long as that difference
 * stays, only the letters after the last one that was counted are new; when it changes, all are counted anew. A count that is
 * not the length of the stream is none: it is of another stream, and begun again.
 */
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'

/** Letters looked at in one script: about a millisecond. */
const PAGE = 100

/*
 * KEYS  1 dead letters
 * ARGV  1 start of the range, 2 how many
 * Reply {how many were ever added, how many there are, id of the last one of this page or '', how many are on it, {tool, letters…}}
 */
const LETTER_TOOLS = defineScript(
  'letter-tools',
  `
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, 0, '', 0, {}} end
local info = redis.call('XINFO', 'STREAM', KEYS[1])
local added, length = 0, 0
for i = 1, #info, 2 do
  if info[i] == 'entries-added' then added = info[i + 1] end
  if info[i] == 'length' then length = info[i + 1] end
end
local page = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
local counts = {}
for _, entry in ipairs(page) do
  local tool = ''
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'tool' then tool = entry[2][i + 1] end
  end
  counts[tool] = (counts[tool] or 0) + 1
end
local reply = {}
for tool, count in pairs(counts) do
  reply[#reply + 1] = tool
  reply[#reply + 1] = count
end
return {added, length, page[#page] and page[#page][1] or '', #page, reply}
`,
)

export interface LettersByTool {
  /**
   * How many there are now, under '' those that name no tool; undefined when it took longer than `budgetMs` to read those that are not counted yet. Then the next call
   * goes on where this one ended, unless letters were removed meanwhile. Throws Fault REDIS_UNAVAILABLE.
   */
  read(budgetMs: number): Promise<ReadonlyMap<string, number> | undefined>
}

export interface LettersByToolOptions {
  readonly link: RedisLink
  readonly keys: Pick<PartitionKeys, 'deadLetters'>
  /** Monotonic, ms. */
  now(): number
}

interface Count {
  readonly tools: Map<string, number>
  readonly removed: number
  /** The last letter that was counted; '' before the first. */
  last: string
  sum: number
}

/** The count of one partition's letters. */
export function createLettersByTool({ link, keys, now }: LettersByToolOptions): LettersByTool {
  let count: Count | undefined
  let running: Promise<unknown> = Promise.resolve()

  const readNow = async (budgetMs: number): Promise<ReadonlyMap<string, number> | undefined> => {
    const until = now() + budgetMs
    for (let first = true; first || now() < until; first = false) {
      const last = count?.last ?? ''
      const start = last === '' ? '-' : `(${last}`
      const reply = (await link.run(LETTER_TOOLS, [keys.deadLetters], [start, PAGE])) as RedisReply[]
      const [added, length, end, letters] = reply as [number, number, Buffer, number]
      const removed = added - length
      if (count !== undefined && count.removed !== removed) {
        count = undefined
        continue
      }
      count ??= { tools: new Map(), removed, last: '', sum: 0 }
      const found = reply[4] as (Buffer | number)[]
      for (let i = 0; i < found.length; i += 2) {
        const tool = String(found[i])
        count.tools.set(tool, (count.tools.get(tool) ?? 0) + Number(found[i + 1]))
      }
      count.sum += letters
      if (letters > 0) count.last = String(end)
      if (letters === PAGE) continue
      if (count.sum === length) return new Map(count.tools)
      count = undefined
    }
    return undefined
  }

  return {
    read(budgetMs) {
      // One after the other: two at once would count the same letters twice.
      const read = running.then(() => readNow(budgetMs))
      running = read.catch(() => undefined)
      return read
    },
  }
}
