/** From the text format of WebAssembly to its binary one. */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import loadWabt from 'wabt'

const PACKAGES = new URL('../packages/', import.meta.url)

/** The modules, each `<name>.wat` with `<name>.wasm` beside it. */
export const MODULES = [
  'core/src/json/scan',
  'core/src/folding/fold',
  'context-lifecycle/src/search/dots',
] as const

export const textOf = (module: string): URL => new URL(`${module}.wat`, PACKAGES)
export const binaryOf = (module: string): URL => new URL(`${module}.wasm`, PACKAGES)

/** Throws an error with line and column when the text is wrong. */
export async function assemble(text: URL): Promise<Buffer> {
  const wabt = await loadWabt()
  const module = wabt.parseWat(basename(fileURLToPath(text)), readFileSync(text, 'utf8'), {
    simd: true,
    mutable_globals: true,
  })
  try {
    module.validate()
    return Buffer.from(module.toBinary({}).buffer)
  } finally {
    module.destroy()
  }
}
