/** A tenant's own dictionary, as `webhook-cli dict train` makes it. */
import { randomUUID } from 'node:crypto'
import { createContentMaker } from '@weir/core/packing'
import { trainDictionary } from '@weir/core/training/train'
import { randomFrom } from '../scripts/random.ts'
import { DEFAULT_LEVEL, type GithubEvent, githubHeaders } from './records.ts'

const DICTIONARY_BYTES = 112 * 1024

export function learn(lessons: readonly GithubEvent[]): Buffer {
  const contentOf = createContentMaker()
  const contents = lessons.map(({ type, body }) =>
    Buffer.from(contentOf('github', githubHeaders(type, randomUUID()), body).bytes),
  )
  const training = trainDictionary(contents, {
    level: DEFAULT_LEVEL,
    maxBytes: DICTIONARY_BYTES,
    before: undefined,
    random: randomFrom('lessons'),
  })
  if (training.kind !== 'trained') throw new Error(`${lessons.length} events are too few to learn from`)
  return training.dictionary.bytes
}
