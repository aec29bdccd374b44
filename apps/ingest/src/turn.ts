/**
 * Brings the requests of one turn of the event loop together: first everything that has arrived is read, then the requests
 * that are complete are worked on one after the other. The processor's caches then hold one kind of work at a time, and
 * the commands to Redis leave together. For 32 senders of 7 KB that saved 6 of 60 µs a request; a single request
 * waits for nothing. Likewise all of them are verified before the first is packed (`theOthers`): 3 to 4 of 108 µs.
 */

/** Resolves when what is readable now has been read. */
export type EndOfReading = () => Promise<void>

export function createEndOfReading(): EndOfReading {
  let end: Promise<void> | undefined
  return () => {
    // Immediates run when all sockets that were ready have been served.
    end ??= new Promise((resolve) => {
      setImmediate(() => {
        end = undefined
        resolve()
      })
    })
    return end
  }
}

/**
 * Awaited between two kinds of work: those that `EndOfReading` let go on together do the one, each in turn, before the first
 * of them does the other. Resolved all along: what awaits it goes on behind what is ready to.
 */
export const theOthers: Promise<void> = Promise.resolve()
