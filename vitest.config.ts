import { defineConfig } from 'vitest/config'

/** Longest time a test or hook may take, ms. Tests start real servers; none should need a third of this on an idle machine. */
const TEST_TIMEOUT_MS = 60_000
/** How long `expect.poll` asks before it gives up, ms: a busy machine may take long to start a process. */
const POLL_TIMEOUT_MS = 20_000

export default defineConfig({
  test: {
    include: ['{apps,packages,scripts,tests,bench,faults}/**/*.test.ts'],
    // Real processes: children are tied to the thread that starts them, so test files run in processes, not threads.
    pool: 'forks',
    // Tests wait for Redis and child processes more than they compute; two files at once suit the smallest machines. With three a run is two
    // minutes shorter, and a failover once took longer than its test waited.
    maxWorkers: 2,
    testTimeout: TEST_TIMEOUT_MS,
    hookTimeout: TEST_TIMEOUT_MS,
    expect: { poll: { timeout: POLL_TIMEOUT_MS } },
    globalSetup: ['tests/support/global-setup.ts'],
  },
})
