/** What happens to a Redis of one server, and on the way to it. */
import { setTimeout as pause } from 'node:timers/promises'
import { canShiftClock, createServerClock, DAY_MS } from '../../tests/support/clock.ts'
import { type OneServer, oneServer } from '../places.ts'
import { A_WHILE, NotHere, type Scenario, scenario } from '../scenario.ts'
import type { World } from '../world.ts'

/** Memory that Redis may take beyond what it has, bytes: it is full at once. */
const ROOM_BYTES = 64 * 1024
const FLUSHES = 5
const BETWEEN_FLUSHES_MS = 100
const JUMP_MS = 3 * DAY_MS
const MINUTE_MS = 60_000

async function redisKilled({ place, deeds, untilAccepted }: World<OneServer>): Promise<void> {
  await place.server.kill('SIGKILL')
  deeds.kills++
  await untilAccepted(A_WHILE) // into the spools
  await place.server.restart()
  await untilAccepted(A_WHILE)
}

export const REDIS_SCENARIOS: readonly Scenario[] = [
  scenario({ name: 'redis-killed-always', what: 'SIGKILL of Redis, every write fsynced' }, async () => ({
    place: await oneServer('always'),
    round: redisKilled,
  })),
  scenario(
    { name: 'redis-killed-everysec', what: 'SIGKILL of Redis, fsynced every second (its machine lives on)' },
    async () => ({ place: await oneServer('everysec'), round: redisKilled }),
  ),
  scenario({ name: 'redis-stands-still', what: 'SIGSTOP of Redis beyond every time-out' }, async () => ({
    place: await oneServer('always'),
    async round({ place, untilAccepted }) {
      await place.server.kill('SIGSTOP')
      await untilAccepted(A_WHILE)
      await place.server.kill('SIGCONT')
      await untilAccepted(A_WHILE)
    },
  })),
  scenario({ name: 'connections-reset', what: 'all connections to Redis dropped' }, async () => ({
    place: await oneServer('always'),
    async round({ place, untilAccepted }) {
      place.proxy.dropClients()
      await untilAccepted(A_WHILE)
    },
  })),
  scenario(
    { name: 'connections-half-open', what: 'nothing comes through, or no answers, and nobody is told' },
    async () => ({
      place: await oneServer('always'),
      async round({ place, oneOf, untilAccepted }) {
        const silence = oneOf(['replies', 'both', 'swallowed'] as const)
        if (silence === 'swallowed') place.proxy.swallow()
        else place.proxy.stall(silence)
        await untilAccepted(A_WHILE)
        // What was lost on the way does not come later: a connection of which something was lost breaks, with TCP.
        if (silence === 'swallowed') place.proxy.dropClients()
        place.proxy.resume()
        await untilAccepted(A_WHILE)
      },
    }),
  ),
  scenario({ name: 'out-of-memory', what: 'Redis at its maxmemory' }, async () => ({
    place: await oneServer('always'),
    async round({ place, untilAccepted }) {
      const used = /used_memory:(\d+)/.exec(String(await place.ask('INFO', 'memory')))?.[1]
      await place.ask('CONFIG', 'SET', 'maxmemory', Number(used) + ROOM_BYTES)
      await untilAccepted(2 * A_WHILE)
      await place.ask('CONFIG', 'SET', 'maxmemory', 0)
      await untilAccepted(A_WHILE)
    },
  })),
  scenario({ name: 'script-flush', what: 'SCRIPT FLUSH, several times a second' }, async () => ({
    place: await oneServer('always'),
    async round({ place, untilAccepted }) {
      for (let n = 0; n < FLUSHES; n++) {
        await place.ask('SCRIPT', 'FLUSH')
        await pause(BETWEEN_FLUSHES_MS)
      }
      await untilAccepted(A_WHILE)
    },
  })),
  scenario(
    { name: 'clock-jumps', what: "Redis' clock three days ahead, and back; a minute behind, and back" },
    async () => {
      if (!canShiftClock) throw new NotHere('the clock of a process can be moved on Linux only')
      const clock = createServerClock()
      return {
        place: await oneServer('always', clock),
        async round({ untilAccepted }) {
          for (const ahead of [JUMP_MS, 0, -MINUTE_MS, 0]) {
            clock.set(ahead)
            await untilAccepted(A_WHILE)
          }
        },
        stop: async () => clock.remove(),
      }
    },
  ),
]
