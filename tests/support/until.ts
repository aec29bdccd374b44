/** Waiting for something to become so, by asking again. */
import { setTimeout as pause } from 'node:timers/promises'

const POLL_MS = 25

/** Repeats `check` until it does not throw, and resolves with what it returns; its last error says what was missing. */
export async function until<T>(check: () => Promise<T> | T, timeoutMs: number): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() >= deadline) throw error
    }
    await pause(POLL_MS)
  }
}
