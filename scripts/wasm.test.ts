import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { assemble, SCAN_BINARY, SCAN_TEXT } from './wasm.ts'

it('scan.wasm is what scan.wat says', async () => {
  expect(readFileSync(SCAN_BINARY).equals(await assemble(SCAN_TEXT)), 'run node scripts/build-wasm.ts').toBe(
    true,
  )
})
