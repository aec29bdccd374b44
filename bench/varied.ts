/**
 * The GitHub examples as other repositories would send them: the same structure, other values. 329 payloads that
 * mostly speak of one person and one repository would flatter any compression; here every event has ids, commits,
 * times and sentences of its own, and every tenant its own repository, people and addresses.
 *
 * What stays the same from event to event of one tenant is what stays the same in life: its repository, its people
 * (twelve of them), its organisation. What is new in each event: numbers, commits, times, run ids, titles, messages.
 * Deterministic: the same tenant and number give the same bytes.
 */
import { randomFrom } from '../scripts/random.ts'
import { githubPayloads } from './payloads.ts'

export interface VariedEvent {
  readonly type: string
  readonly body: Buffer
}

export interface VariedSource {
  /** How many examples there are; `example` below is a position among them. */
  readonly examples: number
  /** The example at that position, with the values of this tenant and this event. */
  event(example: number, tenant: number, number: number): VariedEvent
}

/** People of one tenant: whoever sends, opens and reviews is one of them. */
const PEOPLE = 12
/** Shares of the people's events whose author is also the sender. */
const SAME_PERSON = 0.5
/** Times further apart than this are not part of one story; they get values of their own, ms. */
const STORY_MS = 86_400_000
/** The events happen within the year after this, ms since the epoch. */
const EPOCH_MS = Date.UTC(2026, 0, 1)
const YEAR_MS = 31_536_000_000

/** Parts of a payload that a tenant's events have in common. */
const STANDING = new Set(['repository', 'repo', 'organization', 'installation', 'enterprise', 'org'])
/** Parts in which an account is the repository's owner, not somebody who does something. */
const OWNED = new Set([...STANDING, 'base', 'head'])
/** Members of those that change all the same. */
const CHANGING = new Set(['pushed_at', 'updated_at'])
/** Members that people write by hand. */
const PROSE = new Set(
  [
    'title,body,message,description,summary,text,note,zen,help,full_description,body_html,payload,signature,diff_hunk',
    'display_title,dismissed_comment,output,raw,short_description,dismiss_reason,bullets',
  ].flatMap((line) => line.split(',')),
)
/** Members that name a branch or tag. */
const REFS = new Set(['ref', 'head_ref', 'head_branch', 'branch', 'tag_name'])
const USUAL_REF = /^(refs\/(heads|tags)\/)?(main|master|\d[\d.]*)?$/
/** Accounts that are everybody's. */
const COMMON_NAMES = /^(github|username|web-flow|octocat|.*\[bot\]|github-actions|.{0,4})$/i

const ISO_TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d`
const UUID = String.raw`\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`
const HASH = String.raw`\b[0-9a-f]{32,}\b`
const NUMBERED = String.raw`(?<=/(?:issues|pulls?|milestones|discussions|alerts|projects)/)\d{1,3}\b`
const NUMBER = String.raw`\d{4,}`

const letters = (from: string, count: number, random: () => number): string => {
  let text = ''
  for (let i = 0; i < count; i++) text += from[Math.floor(random() * from.length)]
  return text
}
const hexOf = (text: string, seed: string): string =>
  letters('0123456789abcdef', text.length, randomFrom(seed))
const digitsOf = (text: string, seed: string): string => {
  const random = randomFrom(seed)
  return letters('123456789', 1, random) + letters('0123456789', text.length - 1, random)
}

/** A word that can be spoken; hyphens, digits and capitals stay where they are. */
function wordLike(text: string, seed: string): string {
  const random = randomFrom(seed)
  let vowel = random() < 0.4
  return text.replace(/[a-zA-Z]/g, (letter) => {
    vowel = !vowel
    const other = vowel ? letters('aeiou', 1, random) : letters('bcdfghklmnprstvw', 1, random)
    return letter < 'a' ? other.toUpperCase() : other
  })
}

/**
 * A name of another length, half to one and a half times as long: offsets into a dictionary must not fit by accident,
 * as they do where every repository's name is as long as the one that the dictionary learned from.
 */
function nameLike(text: string, seed: string): string {
  const length = Math.max(3, Math.round(text.length * (0.5 + randomFrom(`${seed} length`)())))
  return wordLike(text.repeat(2).slice(0, length), seed)
}

/** Logins and repositories that the examples are about, as a regular expression. */
function namesIn(payloads: readonly unknown[]): string {
  const names = new Set<string>()
  const add = (value: unknown): void => {
    if (typeof value !== 'string' || value.includes(' ')) return
    for (const part of value.split('/')) {
      if (COMMON_NAMES.test(part)) continue
      names.add(part)
      names.add(part.toLowerCase())
    }
  }
  const look = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    for (const [key, member] of Object.entries(value)) {
      if (key === 'login' || key === 'username' || key === 'full_name') add(member)
      look(member)
    }
  }
  for (const payload of payloads) look(payload)
  const longestFirst = [...names].sort((a, b) => b.length - a.length)
  const escaped = longestFirst.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return `(?<![A-Za-z0-9])(?:${escaped.join('|')})(?![A-Za-z0-9])`
}

/** What a value's replacement is decided by. */
interface Scope {
  /** Of ids, commits and sentences. */
  readonly values: string
  /** Of names: whose they are. */
  readonly names: string
  readonly owned: boolean
  readonly standing: boolean
}

export function createVariedSource(): VariedSource {
  const examples = githubPayloads().map(({ type, body }) => ({
    type,
    json: JSON.parse(body.toString()) as unknown,
  }))
  const names = namesIn(examples.map(({ json }) => json))
  const isName = new RegExp(`^${names}$`)
  const value = new RegExp(`${ISO_TIME}|${UUID}|${HASH}|${names}|${NUMBERED}|${NUMBER}`, 'g')
  const ends = examples.map(({ json }) => lastTimeIn(JSON.stringify(json)))

  return {
    examples: examples.length,
    event(example, tenant, number) {
      const { type, json } = examples[example % examples.length]!
      const end = ends[example % examples.length]!
      const home = `t${tenant}`
      const story = `${home}e${number}`
      const random = randomFrom(story)
      const now = EPOCH_MS + Math.floor(random() * YEAR_MS)
      const sender = Math.floor(random() * PEOPLE)
      const author = random() < SAME_PERSON ? sender : Math.floor(random() * PEOPLE)

      const timeOf = (text: string, scope: Scope): string => {
        const before = end - Date.parse(`${text}Z`)
        const inStory = !scope.standing && before < STORY_MS
        const at = inStory
          ? now - before
          : EPOCH_MS - Math.floor(randomFrom(scope.values + text)() * 5 * YEAR_MS)
        return new Date(at).toISOString().slice(0, 19)
      }
      const replaced = (text: string, scope: Scope): string =>
        text.replace(value, (found) => {
          if (isName.test(found)) return nameLike(found, scope.names + found.toLowerCase())
          if (found.includes('T')) return timeOf(found, scope)
          if (/^0+$/.test(found)) return found
          if (/^\d+$/.test(found)) {
            return found.length < 4 ? numberOf(found, story) : digitsOf(found, scope.values + found)
          }
          if (found.includes('-'))
            return found.replace(/[0-9a-f]+/g, (part) => hexOf(part, scope.values + part))
          return hexOf(found, scope.values + found)
        })
      const textOf = (text: string, key: string, scope: Scope): string => {
        if (key.endsWith('node_id')) return nodeIdOf(text, (plain) => replaced(plain, scope), scope.values)
        if (key === 'color') return hexOf(text, scope.values + text)
        if (PROSE.has(key)) {
          return replaced(text, scope).replace(/[A-Za-z]{3,}/g, (word, at) =>
            wordLike(word, `${scope.values}${key}${at}`),
          )
        }
        if (REFS.has(key) && !USUAL_REF.test(text)) {
          return text.replace(/[^/]+$/, (name) => wordLike(name, scope.values + name))
        }
        return replaced(text, scope)
      }
      const walk = (node: unknown, key: string, scope: Scope): unknown => {
        if (typeof node === 'string') return textOf(node, key, scope)
        if (typeof node === 'number') {
          if (key === 'number') return Number(numberOf(String(node), story))
          return Number.isSafeInteger(node) && node >= 1000
            ? Number(digitsOf(String(node), scope.values + node))
            : node
        }
        if (typeof node !== 'object' || node === null) return node
        if (Array.isArray(node)) return node.map((element) => walk(element, key, scope))
        const inside = scopeOf(node, key, scope)
        const members = Object.entries(node).map(([name, member]) => [
          name,
          walk(member, name, CHANGING.has(name) && inside.standing ? moving : inside),
        ])
        return Object.fromEntries(members)
      }
      const moving: Scope = { values: story, names: `${home}owner`, owned: false, standing: false }
      const scopeOf = (node: object, key: string, scope: Scope): Scope => {
        const owned = scope.owned || OWNED.has(key)
        if ('login' in node) {
          const person = owned ? 'owner' : `person${key === 'sender' ? sender : author}`
          return { values: `${home}${person}`, names: `${home}${person}`, owned, standing: true }
        }
        if (STANDING.has(key))
          return { values: `${home}repo`, names: `${home}owner`, owned: true, standing: true }
        return owned === scope.owned ? scope : { ...scope, owned }
      }
      return { type, body: Buffer.from(JSON.stringify(walk(json, '', moving))) }
    },
  }
}

/** Issue and pull request numbers: small, but not always 2. */
function numberOf(text: string, seed: string): string {
  return String(1 + Math.floor(randomFrom(`${seed}#${text}`)() * 9999))
}

/** `MDQ6VXNlcjIxMDMxMDY3` is base64 of `04:User21031067`; the newer ids are opaque behind their kind (`PR_kwDO…`). */
function nodeIdOf(text: string, replaced: (plain: string) => string, seed: string): string {
  const plain = Buffer.from(text, 'base64').toString('latin1')
  if (/^\d+:[A-Za-z]+\d+/.test(plain)) return Buffer.from(replaced(plain), 'latin1').toString('base64')
  const kind = /^[A-Z]+_[a-z]{1,4}/.exec(text)?.[0] ?? ''
  const base64url = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return kind + letters(base64url, text.length - kind.length, randomFrom(seed + text))
}

/** The latest time in a payload, ms since the epoch: the moment that the event tells of. */
function lastTimeIn(text: string): number {
  const times = text.match(new RegExp(ISO_TIME, 'g')) ?? []
  return Math.max(0, ...times.map((time) => Date.parse(`${time}Z`)))
}
