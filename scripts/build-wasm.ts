/**
 * Makes packages/core/src/json/scan.wasm from scan.wat, the text it is written in.
 *
 *   node scripts/build-wasm.ts          write it
 *   node scripts/build-wasm.ts check    fail if what is committed differs
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { assemble, SCAN_BINARY, SCAN_TEXT } from './wasm.ts'

const { positionals } = parseArgs({ allowPositionals: true })
const binary = await assemble(SCAN_TEXT)
if (positionals[0] !== 'check') writeFileSync(SCAN_BINARY, binary)
else if (!readFileSync(SCAN_BINARY).equals(binary)) {
  console.error('scan.wasm is not what scan.wat says: run node scripts/build-wasm.ts and commit the result')
  process.exitCode = 1
}
console.log(`scan.wasm ${binary.length} bytes`)
