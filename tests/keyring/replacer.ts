/**
 * A process that replaces an entry again and again: `replacer.ts <directory> <tenant> <how many>`. Prints
 * `waiting`, begins when it is sent SIGUSR2, and prints a line with each revision that it has won.
 */
import { createDirectoryStore } from '@weir/core/keyring/directory-store'
import { successorOf } from '../../packages/core/src/keyring/entries.test-support.ts'

const [directory = '', tenant = '', count = '0'] = process.argv.slice(2)
const store = createDirectoryStore(directory)

async function replaceAll(): Promise<void> {
  for (let won = 0; won < Number(count); ) {
    const next = successorOf(await store.read(tenant), tenant)
    if (!(await store.replace(next))) continue
    won++
    console.log(`won ${next.revision}`)
  }
  clearInterval(alive)
}

// A listener alone does not keep a process running.
const alive = setInterval(() => undefined, 60_000)
process.once('SIGUSR2', () => void replaceAll())
console.log('waiting')
