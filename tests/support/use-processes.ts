/** Child processes for all tests of a file; whatever still runs at its end is killed. */
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { root, type StartOptions, startProcess, type TestProcess } from './process.ts'

export interface TestProcesses {
  /** Runs a script or a TypeScript main with this Node; the path is taken from the root of the repository. */
  start(script: string, options?: StartOptions): TestProcess
  /** Runs any program. */
  run(command: string, options?: StartOptions): TestProcess
}

/** Call at the top of a test file, or inside a `describe`. */
export function useProcesses(): TestProcesses {
  const started: TestProcess[] = []
  afterAll(async () => {
    await Promise.all(started.map((process) => process.kill('SIGKILL')))
  })
  const run = (command: string, options: StartOptions = {}): TestProcess => {
    const process = startProcess(command, options)
    started.push(process)
    return process
  }
  return {
    run,
    start: (script, options = {}) =>
      run(process.execPath, { ...options, args: [join(root, script), ...(options.args ?? [])] }),
  }
}
