/** Objects of cold storage for tests: those of a list, and some that say themselves whether they are whole. */
import type { ColdObject } from './cold-store.ts'

/** All of a list. */
export async function objectsOf(list: AsyncIterable<ColdObject>): Promise<ColdObject[]> {
  const objects: ColdObject[] = []
  for await (const object of list) objects.push(object)
  return objects
}

/** Bytes that only this number makes: so many more than 300,000, each of them the same. */
export function coldBytes(number: number): Buffer {
  return Buffer.alloc(300_000 + number, number % 256)
}

/** The number that made these bytes; undefined when any byte is missing or wrong. */
export function numberOf(bytes: Buffer): number | undefined {
  const number = bytes.length - 300_000
  return number >= 0 && bytes.equals(coldBytes(number)) ? number : undefined
}
