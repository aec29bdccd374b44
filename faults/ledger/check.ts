/**
 * Decides from the files of a run alone whether everything that was accepted happened once: it asks no gateway, no consumer and no Redis,
 * and shares no code with them.
 *
 *     node faults/ledger/check.ts <directory>      prints the verdict as JSON; exit code 1 when something is wrong
 */
import { createReadStream, existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ATTEMPTS_FILE, DEAD_LETTERS_FILE, EFFECTS_DIRECTORY } from './files.ts'

/** What is wrong, by kind; each a list of deliveries (or of what stands for one that nobody sent). */
export interface Findings {
  /** Accepted, and neither an effect nor a dead letter. */
  readonly lost: readonly string[]
  /** Two effects, two dead letters, or one of each. */
  readonly doubled: readonly string[]
  /** A handler saw other bytes than were sent. */
  readonly altered: readonly string[]
  /** An effect or a dead letter of what was never sent, or was refused each time. */
  readonly unasked: readonly string[]
  /** A dead letter of what is not poison. */
  readonly condemned: readonly string[]
}

export interface LedgerVerdict extends Findings {
  readonly deliveries: number
  readonly attempts: number
  /** Deliveries that were answered 202 or 200 at least once. */
  readonly accepted: number
  /** Deliveries that were answered with an error or not at all, each time: nobody knows what became of them. */
  readonly unknown: number
  readonly effects: number
  readonly deadLetters: number
  /** Runs of the handler. */
  readonly runs: number
}

/** Whether nothing is wrong. */
export function isSound({ lost, doubled, altered, unasked, condemned }: Findings): boolean {
  return [lost, doubled, altered, unasked, condemned].every((each) => each.length === 0)
}

interface Delivery {
  readonly hash: string
  accepted: boolean
  /** An attempt of it may have been accepted although nobody said so. */
  uncertain: boolean
  /** Attempts without a line for their answer. */
  open: number
  ends: number
}

/** Reads the files of a run. Throws an Error that names the line when one is not as files.ts has it. */
export async function checkLedger(directory: string): Promise<LedgerVerdict> {
  const { deliveries, deliveryOf, poison, attempts } = await readAttempts(join(directory, ATTEMPTS_FILE))
  const altered = new Set<string>()
  const unasked = new Set<string>()
  const keys = new Map<string, string>()
  let runs = 0
  for (const name of readdirSync(directory).filter((each) => /^runs-\d+\.log$/.test(each))) {
    for await (const [, event, delivery, hash, key] of linesOf(join(directory, name), { R: 4 })) {
      runs++
      keys.set(key!, delivery!)
      deliveryOf.set(event!, delivery!)
      const sent = deliveries.get(delivery!)
      if (sent !== undefined && sent.hash !== hash) altered.add(delivery!)
    }
  }
  const end = (delivery: string | undefined, otherwise: string): void => {
    const sent = delivery === undefined ? undefined : deliveries.get(delivery)
    if (sent === undefined || !(sent.accepted || sent.uncertain)) unasked.add(delivery ?? otherwise)
    if (sent !== undefined) sent.ends++
  }
  const effects = effectsIn(join(directory, EFFECTS_DIRECTORY))
  for (const key of effects) end(keys.get(key), key)
  const condemned: string[] = []
  let deadLetters = 0
  for await (const [, event] of linesOf(join(directory, DEAD_LETTERS_FILE), { D: 1 })) {
    deadLetters++
    const delivery = deliveryOf.get(event!)
    end(delivery, event!)
    if (!poison.has(delivery ?? '')) condemned.push(delivery ?? event!)
  }
  const all = [...deliveries]
  const those = (which: (delivery: Delivery) => boolean) =>
    all.filter(([, delivery]) => which(delivery)).map(([number]) => number)
  return {
    deliveries: deliveries.size,
    attempts,
    accepted: those(({ accepted }) => accepted).length,
    unknown: those(({ accepted, uncertain }) => !accepted && uncertain).length,
    effects: effects.length,
    deadLetters,
    runs,
    lost: those(({ accepted, ends }) => accepted && ends === 0),
    doubled: those(({ ends }) => ends > 1),
    altered: [...altered],
    unasked: [...unasked],
    condemned,
  }
}

async function readAttempts(file: string) {
  const deliveries = new Map<string, Delivery>()
  const deliveryOf = new Map<string, string>()
  const poison = new Set<string>()
  let attempts = 0
  for await (const [kind, delivery, second, third] of linesOf(file, { S: 2, A: 3, P: 1 })) {
    const known = deliveries.get(delivery!)
    if (kind === 'P') poison.add(delivery!)
    else if (kind === 'S') {
      attempts++
      if (known === undefined)
        deliveries.set(delivery!, { hash: second!, accepted: false, uncertain: false, open: 1, ends: 0 })
      else {
        if (known.hash !== second) throw new Error(`delivery ${delivery} was sent with two bodies`)
        known.open++
      }
    } else {
      if (known === undefined) throw new Error(`delivery ${delivery} was answered, but never sent`)
      known.open--
      const status = Number(second)
      if (status === 202 || status === 200) {
        known.accepted = true
        deliveryOf.set(third!, delivery!)
      } else if (status === 0 || status >= 500) known.uncertain = true
    }
  }
  // Whoever wrote it was ended before the answer came.
  for (const delivery of deliveries.values()) if (delivery.open > 0) delivery.uncertain = true
  return { deliveries, deliveryOf, poison, attempts }
}

/** The words of each line; the first one says what it is, and so how many follow. */
async function* linesOf(file: string, kinds: Readonly<Record<string, number>>): AsyncGenerator<string[]> {
  if (!existsSync(file)) return
  let number = 0
  for await (const line of createInterface({ input: createReadStream(file) })) {
    number++
    const words = line.split(' ')
    if (kinds[words[0]!] !== words.length - 1)
      throw new Error(`${file}:${number} is no line of such a file: ${line}`)
    yield words
  }
}

function effectsIn(directory: string): string[] {
  return readdirSync(directory).flatMap((shard) => readdirSync(join(directory, shard)))
}

if (import.meta.main) {
  const [directory] = process.argv.slice(2)
  if (directory === undefined) {
    console.error('usage: node faults/ledger/check.ts <directory of a run>')
    process.exitCode = 2
  } else {
    const verdict = await checkLedger(directory)
    console.log(JSON.stringify(verdict))
    process.exitCode = isSound(verdict) ? 0 : 1
  }
}
