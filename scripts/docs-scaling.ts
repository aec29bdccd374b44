/** Writes docs/scaling.md: `npx --yes pnpm@12 exec node scripts/docs-scaling.ts`. `pnpm check` says when that is due. */
import { writeFileSync } from 'node:fs'
import { scalingPage } from './scaling/page.ts'

writeFileSync(new URL('../docs/scaling.md', import.meta.url), scalingPage())
