/** The tools that configuration knows; each has its adapter under adapters/. A test holds the two lists equal. */
export const TOOLS = [
  ...(['github', 'jira', 'gitlab', 'alertmanager', 'generic'] as const),
  ...(['bitbucket', 'stripe', 'slack', 'shopify', 'pagerduty', 'standard'] as const),
] as const

export type Tool = (typeof TOOLS)[number]

/**
 * The tools whose requests may be signed together with their time. Such a request stays valid for twice the tolerance (it
 * may be as far ahead of our clock as behind it), so for that long it has to be recognised when it comes again.
 *
 * Not alertmanager, although something in front of it may sign as generic senders do: its window decides which of its
 * reminders are events, and a captured notification that comes again says no more than a reminder.
 */
export const TIMED_TOOLS: readonly Tool[] = ['gitlab', 'generic', 'stripe', 'slack', 'standard']

/** One value for each tool, made by `make`. */
export function perTool<Value>(make: (tool: Tool) => Value): Record<Tool, Value> {
  return Object.fromEntries(TOOLS.map((tool) => [tool, make(tool)])) as Record<Tool, Value>
}
