/**
 * Lengths of the best prefix code with no code longer than a limit (package-merge: Larmore and Hirschberg, A Fast
 * Algorithm for Optimal Length-Limited Huffman Codes, 1990). The code is complete: Σ 2^−length = 1.
 *
 * @param counts how often each symbol occurs, at least once; at least two symbols, at most 2^longest
 * @param longest bits
 */
export function codeLengths(counts: readonly number[], longest: number): number[] {
  if (counts.length < 2 || counts.length > 2 ** longest) {
    throw new RangeError(`${counts.length} symbols have no code of at most ${longest} bits`)
  }
  interface Package {
    readonly weight: number
    readonly symbols: readonly number[]
  }
  const coins: readonly Package[] = counts
    .map((weight, symbol) => ({ weight, symbols: [symbol] }))
    .sort((a, b) => a.weight - b.weight || (a.symbols[0] as number) - (b.symbols[0] as number))
  let packages = coins
  for (let bit = 1; bit < longest; bit++) {
    const pairs: Package[] = []
    for (let i = 0; i + 1 < packages.length; i += 2) {
      const [a, b] = [packages[i] as Package, packages[i + 1] as Package]
      pairs.push({ weight: a.weight + b.weight, symbols: [...a.symbols, ...b.symbols] })
    }
    packages = [...coins, ...pairs].sort((a, b) => a.weight - b.weight)
  }
  const lengths = counts.map(() => 0)
  for (const { symbols } of packages.slice(0, 2 * counts.length - 2)) {
    for (const symbol of symbols) lengths[symbol] = (lengths[symbol] as number) + 1
  }
  return lengths
}
