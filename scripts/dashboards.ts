/** Writes dashboards/*.json from scripts/dashboards/. `pnpm check` fails when they are not what this would write. */
import { writeFile } from 'node:fs/promises'
import { aiIntelligence } from './dashboards/ai-intelligence.ts'
import { dashboard } from './dashboards/frame.ts'
import { overview } from './dashboards/overview.ts'
import { performance } from './dashboards/performance.ts'
import { security } from './dashboards/security.ts'

/** Text by path from the root of the repository. */
export function dashboardFiles(): ReadonlyMap<string, string> {
  const specs = {
    'webhook-overview': overview,
    'webhook-performance': performance,
    'webhook-ai-intelligence': aiIntelligence,
    'webhook-security': security,
  }
  return new Map(
    Object.entries(specs).map(([name, spec]) => [
      `dashboards/${name}.json`,
      `${JSON.stringify(dashboard(spec), null, 2)}\n`,
    ]),
  )
}

if (import.meta.main) {
  const root = new URL('../', import.meta.url)
  for (const [path, text] of dashboardFiles()) await writeFile(new URL(path, root), text)
}
