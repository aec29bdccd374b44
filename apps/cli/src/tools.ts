/** The tools that Weir knows. Loaded only when used. */
import { CommandFailure } from './exit.ts'

/** The tool; throws a CommandFailure with the nearest name when there is none. */
export async function knownTool(tool: string): Promise<string> {
  const { ADAPTERS } = await import('@weir/core/adapters/table')
  if (ADAPTERS.has(tool)) return tool
  const { nearest } = await import('@weir/core/config/problems')
  const tools = [...ADAPTERS.keys()]
  const meant = nearest(tool, tools)
  const hint = meant === undefined ? `There are ${tools.join(', ')}.` : `Did you mean ${meant}?`
  throw new CommandFailure(`--tool ${tool}: there is no such tool. ${hint}`)
}
