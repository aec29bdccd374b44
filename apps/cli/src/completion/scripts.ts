import { bashCompletion } from './bash.ts'
import { fishCompletion } from './fish.ts'
import type { Outlined } from './outline.ts'
import { zshCompletion } from './zsh.ts'

const SCRIPTS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const

/** The completion script for a shell. */
export function scriptFor(shell: keyof typeof SCRIPTS, outline: readonly Outlined[]): string {
  return SCRIPTS[shell](outline)
}
