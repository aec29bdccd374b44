/** Small libraries that are preloaded into a process (LD_PRELOAD), so that it sees another world than the machine's. */
import { spawnSync } from 'node:child_process'

/** Compiles one in a tenth of a second. Throws when there is no C compiler, which the native modules need as well. */
export function compilePreload(source: string, library: string): void {
  const flags = ['-x', 'c', '-O1', '-shared', '-fPIC', '-Wall', '-Wextra', '-Werror', '-o', library, source]
  const tried: string[] = []
  for (const compiler of ['cc', 'gcc', 'g++']) {
    const { status, stderr, error } = spawnSync(compiler, flags, { encoding: 'utf8' })
    if (status === 0) return
    tried.push(error === undefined ? `${compiler}: ${stderr}` : error.message)
  }
  throw new Error(`no C compiler could make ${library}:\n${tried.join('\n')}`)
}
