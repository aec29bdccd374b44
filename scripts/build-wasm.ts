/**
 * Makes the WebAssembly of the packages, *.wasm, from *.wat, the text it is written in.
 *
 *   node scripts/build-wasm.ts          write it
 *   node scripts/build-wasm.ts check    fail if what is committed differs
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { assemble, binaryOf, MODULES, textOf } from './wasm.ts'

const { positionals } = parseArgs({ allowPositionals: true })
for (const module of MODULES) {
  const binary = await assemble(textOf(module))
  if (positionals[0] !== 'check') writeFileSync(binaryOf(module), binary)
  else if (!readFileSync(binaryOf(module)).equals(binary)) {
    console.error(
      `${module}.wasm is not what its text says: run node scripts/build-wasm.ts and commit the result`,
    )
    process.exitCode = 1
  }
  console.log(`${module}.wasm ${binary.length} bytes`)
}
