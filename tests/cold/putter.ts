/**
 * A process that puts objects into cold storage again and again: `putter.ts <directory> <prefix>`. Each object is put under a
 * name of its own, and each fifth also under one name that all of them replace. Prints `put <number>` after each.
 */
import { createDirectoryStore } from '@weir/context-lifecycle/cold/directory-store'
import { systemClock } from '@weir/core/clock'
import { coldBytes } from '../../packages/context-lifecycle/src/cold/cold-objects.test-support.ts'

const [directory = '', prefix = ''] = process.argv.slice(2)
const store = createDirectoryStore(directory, { clock: systemClock })

for (let number = 0; ; number++) {
  await store.put(`${prefix}/${number % 10}/${number}`, coldBytes(number))
  if (number % 5 === 0) await store.put('shared', coldBytes(number))
  console.log(`put ${number}`)
}
