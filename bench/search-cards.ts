/**
 * As many cards as wanted, shaped like the real ones: their words, with other repositories, numbers and people. What is said
 * stays, so that a question finds its words in thousands of cards, as it does where a team works on few things; each card has
 * words of its own besides, so that the index has a vocabulary to hold.
 */
import type { Card } from '@weir/context-lifecycle/search/card'
import { randomFrom } from '../scripts/random.ts'

/** Repositories and people there are. */
const REPOSITORIES = 2_000
const PEOPLE = 3_000
/** Share of the words in a text that are others than in the example. */
const OTHER_WORDS = 0.3
const WORDS = 50_000
const DAY_MS = 86_400_000

const SYLLABLES =
  'ba be bi bo ce da de di do fa fe ga ge ha ka ke la le li lo ma me mi mo na ne ni no pa pe po ra re ri ro sa se si so ta te ti to va ve vi wa za'.split(
    ' ',
  )

/** The n-th made-up word. */
function wordOf(n: number): string {
  let word = ''
  for (let left = n + SYLLABLES.length; left > 0; left = Math.floor(left / SYLLABLES.length))
    word += SYLLABLES[left % SYLLABLES.length]
  return word
}

/** The n-th card: its subject is its own, and nothing happened to it later than `now`, ms. */
export function variedCard(examples: readonly Card[], n: number, now: number): Card {
  const card = examples[n % examples.length]!
  const random = randomFrom(`card ${n}`)
  const below = (max: number) => Math.floor(random() * max)
  const repository = below(REPOSITORIES)
  const name = `${wordOf(repository % 300)}/${wordOf(repository)}-${wordOf(below(20))}`
  const person = () => `${wordOf(below(PEOPLE))}${below(10)}`
  // Few words are common and most are rare, as in every language.
  const word = () => wordOf(Math.floor(WORDS * random() ** 4))
  const textOf = (text: string) =>
    text
      .replace(/\b[A-Za-z][a-z]{2,}\b/g, (same) => (random() < OTHER_WORDS ? word() : same))
      .replace(/\d+/g, (digits) => String(below(10 ** Math.min(9, digits.length))))
  const subject = `${card.subject.replace(/[\w.-]+\/[\w.-]+/, name)}`
    .replace(/[0-9a-f]{20,}/, () => n.toString(16).padStart(8, '0').repeat(5))
    .replace(/\d+$/, () => String(n))
  return {
    ...card,
    id: `ctx_${n.toString(36).padStart(21, '0')}A`,
    subject: /\d$/.test(subject) ? subject : `${subject}/${n}`,
    title: card.title === null ? null : textOf(card.title),
    people: card.people.map(person),
    text: textOf(card.text),
    importance: Math.round(random() * 1_000) / 1_000,
    lastAt: now - Math.floor(365 * DAY_MS * random() ** 3),
  }
}
