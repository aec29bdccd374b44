/** From the text format of WebAssembly to its binary one. */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import loadWabt from 'wabt'

const JSON_SCAN = new URL('../packages/core/src/json/', import.meta.url)
export const SCAN_TEXT = new URL('scan.wat', JSON_SCAN)
export const SCAN_BINARY = new URL('scan.wasm', JSON_SCAN)

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
