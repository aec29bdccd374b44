/**
 * Makes the starter dictionaries packages/core/dictionaries/<tool>.dict (docs/dictionaries.md).
 *
 *   node scripts/build-dictionaries.ts                      write them
 *   node scripts/build-dictionaries.ts check                fail if what is committed differs
 *   node scripts/build-dictionaries.ts measure              print how well they pack
 *   node scripts/build-dictionaries.ts harvest TOOL DIR…    take the structure of sample payloads
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { harvest } from './dictionaries/harvest.ts'
import { measure, tableOf } from './dictionaries/measure.ts'
import {
  buildDictionary,
  dictionaryFile,
  sources,
  structureFile,
  vocabularyOf,
} from './dictionaries/sources.ts'

/** The gateway's default level, and the level of warm contexts. */
const MEASURED_LEVELS = [3, 6]

const [command = 'write', ...rest] = process.argv.slice(2)

switch (command) {
  case 'write':
  case 'check':
    for (const source of sources()) {
      const { tool, payloads } = source
      const bytes = buildDictionary(source)
      if (command === 'write') writeFileSync(dictionaryFile(tool), bytes)
      else if (!readFileSync(dictionaryFile(tool)).equals(bytes)) {
        console.error(
          `${tool}.dict is not what its sources make: run node scripts/build-dictionaries.ts and commit the result`,
        )
        process.exitCode = 1
      }
      console.log(`${tool}.dict ${bytes.length} bytes from ${payloads.length} payloads`)
    }
    break
  case 'measure':
    console.log(
      tableOf(sources().flatMap((source) => MEASURED_LEVELS.flatMap((level) => measure(source, level)))),
    )
    break
  case 'harvest': {
    const [tool = '', ...directories] = rest
    const { lines, unknown } = harvest(vocabularyOf(tool), directories)
    writeFileSync(structureFile(tool), lines)
    for (const [key, count] of unknown)
      console.log(`left out: member "${key}" (${count}×), not in the vocabulary of ${tool}`)
    console.log(`${structureFile(tool).pathname}: ${lines.split('\n').length - 1} payloads`)
    break
  }
  default:
    console.error(`unknown command '${command}': write, check, measure or harvest`)
    process.exitCode = 2
}
