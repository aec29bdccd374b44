/** Writes docs/configuration.md from the schema. A test fails when the page is not what this would write. */
import { writeFile } from 'node:fs/promises'
import { configurationPage } from '@weir/core/config/page'

await writeFile(new URL('../docs/configuration.md', import.meta.url), configurationPage())
