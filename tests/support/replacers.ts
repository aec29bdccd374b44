/** Processes that change a keyring in a directory, for tests that race them or end them (tests/keyring/replacer.ts). */
import type { TestProcess } from './process.ts'
import type { TestProcesses } from './use-processes.ts'

/** A process that begins to replace an entry `count` times when it is sent SIGUSR2. */
export async function startReplacer(
  processes: TestProcesses,
  directory: string,
  tenant: string,
  count: number,
): Promise<TestProcess> {
  const child = processes.start('tests/keyring/replacer.ts', { args: [directory, tenant, String(count)] })
  await child.waitForLine(/^waiting$/)
  return child
}

/** The revisions that such a process has won until now. */
export function wonBy(child: TestProcess): number[] {
  return [...child.output().matchAll(/^won (\d+)$/gm)].map(([, revision]) => Number(revision))
}
