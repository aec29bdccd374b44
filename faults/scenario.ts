/** What can happen to an installation, and what is promised when it does. */
import type { Place } from './places.ts'
import type { Installed, Load, World } from './world.ts'

export interface Scenario {
  /** For `--only`. */
  readonly name: string
  /** One line for people. */
  readonly what: string
  /** False where this topology does not promise that nothing is lost: it is measured then. */
  readonly promised: boolean
  /**
   * True where consumers are killed from outside, again and again: an event that five of them held when they died is taken for poison
   * (`consumer.quarantine_after`), as nobody can tell. It is a dead letter then, and not lost.
   */
  readonly accuses: boolean
  /** Starts what it needs besides Weir; throws NotHere where this machine cannot. */
  prepare(): Promise<Prepared>
}

export interface Prepared<P extends Place = Place> {
  readonly place: P
  readonly installed?: Partial<Installed>
  readonly load?: Partial<Load>
  /** Lets it happen once; everything is well again when it resolves. */
  round(world: World<P>): Promise<void>
  /** Ends what `prepare` started besides the place. */
  stop?(): Promise<void>
}

/** This machine cannot have it happen; the message says why. */
export class NotHere extends Error {
  override readonly name = 'NotHere'
}

/** A scenario on a place of its own. */
export function scenario<P extends Place>(
  described: Pick<Scenario, 'name' | 'what'> & Partial<Pick<Scenario, 'promised' | 'accuses'>>,
  prepare: () => Promise<Prepared<P>>,
): Scenario {
  return {
    promised: true,
    accuses: false,
    ...described,
    // Its world is made on the place that it prepared itself.
    prepare: async () => (await prepare()) as unknown as Prepared,
  }
}

/** Events that come in while something is wrong, and after it is well again: fractions of a second of load. */
export const A_WHILE = 200
