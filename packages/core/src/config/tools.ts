/** The tools that configuration knows; each has its adapter under adapters/. A test holds the two lists equal. */
export const TOOLS = ['github', 'jira', 'gitlab', 'alertmanager', 'generic'] as const

export type Tool = (typeof TOOLS)[number]

/** One value for each tool, made by `make`. */
export function perTool<Value>(make: (tool: Tool) => Value): Record<Tool, Value> {
  return Object.fromEntries(TOOLS.map((tool) => [tool, make(tool)])) as Record<Tool, Value>
}
