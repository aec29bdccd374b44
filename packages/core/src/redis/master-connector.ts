/**
 * How ioredis comes to a master that has to be looked for: found anew at every (re)connect, and left as soon as somebody
 * says that it was replaced.
 *
 * Written here because ioredis' own ways lost events or lines: its Cluster client sends WAIT to other masters than the
 * write went to, and its connector for Sentinels prints the errors of the connections it listens on.
 */
import { AbstractConnector, type RedisOptions as AllOptions, Redis } from 'ioredis'
import { messageOf } from '../faults.ts'
import type { Address } from './place.ts'
import { type NetStream, openStream, ServerConnector } from './streams.ts'

/** Options that a question to a node shares with the connection itself. */
export type NodeOptions = Pick<
  AllOptions,
  'username' | 'password' | 'tls' | 'connectTimeout' | 'protocol' | 'disableClientInfo' | 'disconnectTimeout'
>

/** Looks for a master. */
export interface MasterFinder {
  /** Rejects with a sentence about what is in the way. */
  find(): Promise<Address>
  /**
   * Calls back, once or more often, when this is not the master any more, and tells what keeps it from seeing that. Returns what
   * ends the watch.
   */
  watch?(current: Address, onReplaced: () => void, onError: (error: Error) => void): () => void
}

type Tell = (event: string, error: Error) => void

/** Makes the class that ioredis wants. @param pauseMs pause after so many searches in vain, ms */
export function masterConnector(
  finder: MasterFinder,
  node: NodeOptions,
  pauseMs: (searches: number) => number,
) {
  return class MasterConnector extends AbstractConnector {
    #endWatch: (() => void) | undefined

    constructor() {
      super(node.disconnectTimeout ?? 0)
    }

    override check(info: { role?: string }): boolean {
      return info.role === undefined || info.role === 'master'
    }

    /** Never rejects while it is wanted: ioredis gives up for good on a connector that does. */
    override async connect(tell: Tell): Promise<NetStream> {
      this.connecting = true
      for (let searches = 1; ; searches++) {
        const master = await finder.find().catch((error: unknown) => {
          if (this.connecting) tell('error', error instanceof Error ? error : new Error(messageOf(error)))
          return undefined
        })
        if (master === undefined && this.connecting) {
          await new Promise((resolve) => setTimeout(resolve, pauseMs(searches)))
        }
        if (!this.connecting) throw new Error('Connection is closed.')
        if (master !== undefined) return this.#connectTo(master, tell)
      }
    }

    #connectTo(master: Address, tell: Tell): NetStream {
      const stream = openStream({ ...master }, node.tls)
      stream.once('error', (error: Error) => {
        this.firstError = error
      })
      this.#endWatch?.()
      const replaced = () => stream.destroy()
      const endWatch = finder.watch?.(master, replaced, (error) => tell('error', error))
      this.#endWatch = endWatch
      stream.once('close', () => endWatch?.())
      this.stream = stream
      return stream
    }

    override disconnect(): void {
      super.disconnect()
      this.#endWatch?.()
    }
  }
}

/** One question to a node, on a connection of its own. Rejects with what was wrong, not with "Connection is closed.". */
export async function askNode(
  address: Address,
  node: NodeOptions,
  command: string,
  ...args: string[]
): Promise<unknown> {
  const redis = new Redis({
    ...node,
    ...address,
    Connector: ServerConnector,
    lazyConnect: true,
    retryStrategy: null,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    ...(node.connectTimeout !== undefined && { commandTimeout: node.connectTimeout }),
  })
  let first: Error | undefined
  redis.on('error', (error: Error) => {
    first ??= error
  })
  try {
    await redis.connect()
    return await redis.call(command, args)
  } catch (error) {
    throw first ?? error
  } finally {
    redis.disconnect()
  }
}
