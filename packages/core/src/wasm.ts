/** WebAssembly of our own (*.wat): small loops over bytes, for which JavaScript is too slow. */

/** Of the engine's own; the types that TypeScript has for it come with those of browsers. */
declare const WebAssembly: {
  readonly Module: new (code: Buffer) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

/** A number of a module's. */
export interface WasmGlobal {
  readonly value: number
}

/** A new instance, with memory of its own; returns what the module exports. */
export function instantiate(code: Buffer): unknown {
  return new WebAssembly.Instance(new WebAssembly.Module(code)).exports
}
