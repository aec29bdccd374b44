/**
 * Builds that are broken on purpose: the sources as they are, with a change made when they are loaded. A harness that does not notice
 * these would notice nothing.
 */

export const BROKEN_BUILDS = ['ack-first', 'other-bytes', 'key-per-process', 'no-dedupe'] as const

export type BrokenBuild = (typeof BROKEN_BUILDS)[number]

export interface Change {
  /** Path of the source from the root of the repository. */
  readonly file: string
  /** Stands there exactly once. */
  readonly from: string
  readonly to: string
}

export const CHANGES: Readonly<Record<BrokenBuild, readonly Change[]>> = {
  // Every event is acknowledged before its handler runs, as a queue with auto-ack does.
  'ack-first': [
    {
      file: 'apps/consumer/src/executor.ts',
      from: '    const handlers = fanOut.handlersFor(event)\n',
      to: "    const handlers = fanOut.handlersFor(event)\n    settle(run.item, { kind: 'settled' })\n",
    },
    {
      file: 'apps/consumer/src/executor.ts',
      from: '      settle(item, outcome)\n    }\n    run.event?.release()',
      to: '    }\n    run.event?.release()',
    },
  ],
  // The last byte is lost on the way to the handler.
  'other-bytes': [
    {
      file: 'apps/consumer/src/decode.ts',
      from: 'this.#desk.scanner.memory.subarray(here.start, here.end))',
      to: 'this.#desk.scanner.memory.subarray(here.start, here.end - 1))',
    },
  ],
  // What is to happen once happens once in each process that tries.
  'key-per-process': [
    {
      file: 'apps/consumer/src/stages.ts',
      from: '`${this.#event.id}:${this.#handler.name}`',
      to: '`${this.#event.id}:${this.#handler.name}:${process.pid}`',
    },
  ],
  // A delivery that is sent again is another event.
  'no-dedupe': [
    {
      file: 'packages/core/src/event.ts',
      from: 'const parts = `${tenant.length}',
      to: 'const parts = `${Math.random()}${tenant.length}',
    },
  ],
}

/** Applies the changes of a build to a source. Throws an Error when one of them does not fit it any more. */
export function changed(build: BrokenBuild, file: string, source: string): string {
  return CHANGES[build]
    .filter((change) => change.file === file)
    .reduce((text, { from, to }) => {
      if (text.split(from).length !== 2)
        throw new Error(`the broken build ${build} does not fit ${file}: ${from} is not there exactly once`)
      return text.replace(from, () => to)
    }, source)
}
