/** A file system that stops before every step, so that tests choose what happens between two of them. */
import * as systemFiles from 'node:fs/promises'

/** Called before a step, which is not done when this rejects. */
export type BeforeStep = (what: string, args: readonly unknown[]) => Promise<void>

export function steppingFiles(before: BeforeStep): typeof systemFiles {
  const stepping = <Target extends object>(target: Target, prefix = ''): Target =>
    new Proxy(target, {
      get(_, name) {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return async (...args: unknown[]) => {
          // The end of a process closes its files too.
          if (name !== 'close') await before(`${prefix}${String(name)}`, args)
          const result: unknown = await Reflect.apply(value, target, args)
          return name === 'open' && typeof result === 'object' && result !== null
            ? stepping(result, 'file.')
            : result
        }
      },
    })
  return stepping({ ...systemFiles })
}

/** The files of a process that dies before its step number `last`, and does nothing any more. `steps` are those it did. */
export function dyingFiles(last: number) {
  const steps: string[] = []
  const files = steppingFiles(async (what) => {
    if (steps.length >= last) throw Object.assign(new Error('the process is dead'), { code: 'EDEAD' })
    steps.push(what)
  })
  return { files, steps }
}

/** Files of a process that is held up before its step number `at`, while `meanwhile` is done. `steps` are those it did. */
export function heldUpFiles(at: number, meanwhile: () => Promise<void>) {
  const steps: string[] = []
  const files = steppingFiles(async (what) => {
    steps.push(what)
    if (steps.length === at + 1) await meanwhile()
  })
  return { files, steps }
}
