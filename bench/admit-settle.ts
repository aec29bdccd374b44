/** The two halves of the pipeline, each by itself: a gateway takes events while nobody reads, then a consumer takes as many. */
import { fileURLToPath } from 'node:url'
import { systemClock } from '@weir/core/clock'
import type { Load } from './gateway-load.ts'
import type { App, World } from './processes.ts'

const HANDLERS = fileURLToPath(new URL('no-op-handler.ts', import.meta.url))
/** Reading the ledger costs Redis too. */
const POLL_MS = 20
/** How long the warm-up may take to be settled, ms. */
const DRAIN_TIMEOUT_MS = 60_000

/** CPU in µs per event; `rate` in events/s. */
export interface Admitted {
  readonly gateway: number
  readonly redis: number
  readonly rate: number
}

/** The same, and how many waited when the consumer started. */
export interface Settled {
  readonly consumer: number
  readonly redis: number
  readonly rate: number
  readonly waiting: number
}

/** The gateway takes events while nobody reads. */
export async function admit(world: World, gateway: App, load: Load, events: number): Promise<Admitted> {
  const [cpu, redis, started] = [gateway.cpu(), world.redisCpu(), performance.now()]
  // On connections of its own: a gateway closes those that were idle for long.
  await load.run(gateway.port, events)
  return {
    gateway: ((gateway.cpu() - cpu) / events) * 1e6,
    redis: ((world.redisCpu() - redis) / events) * 1e6,
    rate: (events / (performance.now() - started)) * 1000,
  }
}

/**
 * A consumer with a handler that does nothing takes as many, and is stopped; measured from when it has warmed up, on what it
 * settled by then. There must be as many.
 */
export async function settle(world: World, events: number): Promise<Settled> {
  const before = (await world.ledger()).settled
  const settledOver = async (wanted: number) => {
    for (;;) {
      const settled = (await world.ledger()).settled - before
      if (settled >= wanted) return settled
      await systemClock.wait(POLL_MS)
    }
  }
  const waiting = (await world.ledger()).unread ?? 0
  const consumer = await world.startConsumer(HANDLERS)
  const from = await settledOver(events / 4)
  const [cpu, redis, started] = [consumer.cpu(), world.redisCpu(), performance.now()]
  const settled = (await settledOver((events * 9) / 10)) - from
  const seconds = (performance.now() - started) / 1000
  const figures = {
    consumer: ((consumer.cpu() - cpu) / settled) * 1e6,
    redis: ((world.redisCpu() - redis) / settled) * 1e6,
    rate: settled / seconds,
    waiting,
  }
  await consumer.stop()
  return figures
}

/** Events through both, until nothing waits. */
export async function warmUp(world: World, gateway: App, load: Load, events: number): Promise<void> {
  await load.run(gateway.port, events)
  const drain = await world.startConsumer(HANDLERS)
  await world.untilSettled(DRAIN_TIMEOUT_MS)
  await drain.stop()
}
