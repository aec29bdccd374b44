/** What happens to the processes of Weir. */
import { setTimeout as pause } from 'node:timers/promises'
import { oneServer } from '../places.ts'
import { A_WHILE, type Scenario, scenario } from '../scenario.ts'
import type { App, World } from '../world.ts'

/** Longer than `reclaim_idle`: others take over what the sleeper holds. */
const SLEEP_MS = 2_500
/** Handlers that take a little are under way when their process dies. */
const WORKING = { failingEvery: 7, deadlyEvery: 0, takesMs: 10, padding: 400 }

async function oneKilled(world: World, apps: readonly App[]): Promise<void> {
  const app = world.oneOf(apps)
  await world.kill(app)
  await world.untilAccepted(A_WHILE)
  await app.start()
  await world.untilAccepted(A_WHILE)
}

export const PROCESS_SCENARIOS: readonly Scenario[] = [
  scenario({ name: 'gateway-killed', what: 'SIGKILL of a gateway' }, async () => ({
    place: await oneServer('always'),
    round: (world) => oneKilled(world, world.gateways),
  })),
  scenario({ name: 'consumer-killed', what: 'SIGKILL of a consumer at work', accuses: true }, async () => ({
    place: await oneServer('always'),
    load: { mix: WORKING },
    round: (world) => oneKilled(world, world.consumers),
  })),
  scenario(
    { name: 'everything-killed', what: 'SIGKILL of Redis, gateways and consumers at once', accuses: true },
    async () => ({
      place: await oneServer('always'),
      load: { mix: WORKING },
      async round(world) {
        const { server } = world.place
        const apps = [...world.gateways, ...world.consumers]
        world.deeds.kills++
        await Promise.all([server.kill('SIGKILL'), ...apps.map((app) => world.kill(app))])
        await server.restart()
        await Promise.all(apps.map((app) => app.start()))
        await world.untilAccepted(A_WHILE)
      },
    }),
  ),
  scenario(
    { name: 'consumer-sleeps', what: 'SIGSTOP of a consumer beyond reclaim_idle (zombie)' },
    async () => ({
      place: await oneServer('always'),
      load: { mix: WORKING },
      async round(world) {
        const sleeper = world.oneOf(world.consumers)
        await sleeper.process.kill('SIGSTOP')
        await pause(SLEEP_MS)
        await sleeper.process.kill('SIGCONT')
        await world.untilAccepted(A_WHILE)
      },
    }),
  ),
  scenario({ name: 'gateway-sleeps', what: 'SIGSTOP of a gateway beyond every time-out' }, async () => ({
    place: await oneServer('always'),
    async round(world) {
      const sleeper = world.oneOf(world.gateways)
      await sleeper.process.kill('SIGSTOP')
      await pause(SLEEP_MS)
      await sleeper.process.kill('SIGCONT')
      await world.untilAccepted(A_WHILE)
    },
  })),
  scenario({ name: 'poison', what: 'events that kill the consumer that handles them' }, async () => ({
    place: await oneServer('always'),
    installed: { supervised: true },
    load: { concurrency: 4, paceMs: 20, mix: { ...WORKING, deadlyEvery: 250 } },
    round: (world) => world.untilAccepted(2 * A_WHILE),
  })),
  scenario({ name: 'rolling-restart', what: 'SIGTERM and start of each process in turn' }, async () => ({
    place: await oneServer('always'),
    load: { mix: WORKING },
    async round(world) {
      for (const app of [...world.gateways, ...world.consumers]) {
        await world.replace(app)
        await world.untilAccepted(A_WHILE / 4)
      }
    },
  })),
]
