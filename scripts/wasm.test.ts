import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { assemble, binaryOf, MODULES, textOf } from './wasm.ts'

it.each(MODULES)('%s.wasm is what its text says', async (module) => {
  const same = readFileSync(binaryOf(module)).equals(await assemble(textOf(module)))
  expect(same, 'run node scripts/build-wasm.ts').toBe(true)
})
