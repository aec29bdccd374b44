/** A server clock for all tests of a file. */
import { afterAll, beforeEach } from 'vitest'
import { canShiftClock, createServerClock, type ServerClock } from './clock.ts'

/** One for all tests of the file, right again before each; call it before `useRedis`, so that it ends after it. */
export function useServerClock(): ServerClock {
  // Tests that are skipped are still collected, and what they name must be there.
  if (!canShiftClock) return { binary: '', set: () => undefined, remove: () => undefined }
  const clock = createServerClock()
  beforeEach(() => clock.set(0))
  afterAll(() => clock.remove())
  return clock
}
