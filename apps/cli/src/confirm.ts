/** Asking before something is gone for good. */
import { CommandFailure, NEGATIVE } from './exit.ts'
import type { Io } from './io.ts'

/** How it is said: `this deletes …`, `Delete …?`, `nothing was deleted`. */
type Deed = readonly [does: string, ask: string, done: string]

export const DELETE: Deed = ['deletes', 'Delete', 'deleted']
export const DESTROY: Deed = ['destroys', 'Destroy', 'destroyed']
export const REMOVE: Deed = ['removes', 'Remove', 'removed']

export interface Question {
  readonly deed: Deed
  /** `3 dead letters, for good` */
  readonly what: string
  /** What has to be typed; default `yes`. */
  readonly word?: string
  /** `--yes` was given. */
  readonly yes: boolean | undefined
}

/** Throws a CommandFailure unless the user says yes. */
export async function confirmed(
  io: Pick<Io, 'ask' | 'signal'>,
  { deed: [does, asks, done], what, word = 'yes', yes = false }: Question,
): Promise<void> {
  if (yes) return
  if (io.ask === undefined)
    throw new CommandFailure(`this ${does} ${what}: pass --yes where nobody can be asked.`)
  let answer = ''
  try {
    answer = await io.ask(`${asks} ${what}? Type ${word}: `)
  } catch (error) {
    if (!io.signal.aborted) throw error // Ctrl-C is an answer too
  }
  if (answer.trim().toLowerCase() !== word) throw new CommandFailure(`nothing was ${done}.`, NEGATIVE)
}
