/** Loads the user's handler modules: one file, or every .ts/.js/.mjs file of a directory. */
import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Fault, messageOf } from '@weir/core/faults'
import { type Handler, isHandler } from '@weir/core/handlers/handler'

const MODULE = /\.(ts|mts|js|mjs)$/
const NOT_A_HANDLER = /(\.test\.|\.d\.)/

/**
 * Imports every module and returns its handlers, in the order of file names.
 * Throws Fault HANDLER_INVALID naming the file and what is wrong with it.
 * @param path file or directory; relative to `base`
 * @param tools the tools that there are adapters for
 */
export async function loadHandlers(path: string, base: string, tools: readonly string[]): Promise<Handler[]> {
  const files = await filesOf(resolve(base, path))
  const handlers: Handler[] = []
  for (const file of files) {
    let exported: unknown
    try {
      exported = ((await import(pathToFileURL(file).href)) as { default?: unknown }).default
    } catch (cause) {
      throw new Fault('HANDLER_INVALID', `${file} cannot be loaded: ${messageOf(cause)}`, { cause })
    }
    for (const handler of Array.isArray(exported) ? exported : [exported]) {
      if (!isHandler(handler)) {
        throw new Fault(
          'HANDLER_INVALID',
          `${file}: its default export is not a handler; export defineHandler({...}), or a list of them`,
        )
      }
      handlers.push(checked(handler, file, tools, handlers))
    }
  }
  return handlers
}

function checked(
  handler: Handler,
  file: string,
  tools: readonly string[],
  others: readonly Handler[],
): Handler {
  const wrong = (what: string) => new Fault('HANDLER_INVALID', `${file}: ${what}`)
  if (typeof handler.name !== 'string' || handler.name === '') throw wrong('a handler needs a name')
  if (others.some(({ name }) => name === handler.name)) {
    throw wrong(`the name ${handler.name} is taken; names are part of idempotency keys and must be unique`)
  }
  if (!tools.includes(handler.tool)) throw wrong(`tool ${handler.tool} is not one of ${tools.join(', ')}`)
  if (!Array.isArray(handler.events) || handler.events.length === 0) {
    throw wrong(`handler ${handler.name} names no events; use ['*'] for all`)
  }
  if (!handler.events.every((event) => typeof event === 'string' && event !== '')) {
    throw wrong(`handler ${handler.name}: its events must be names such as 'push' or 'pull_request.opened'`)
  }
  if (typeof handler.run !== 'function')
    throw wrong(`handler ${handler.name} has no function run(event, ctx)`)
  return handler
}

async function filesOf(path: string): Promise<string[]> {
  let isDirectory: boolean
  try {
    isDirectory = (await stat(path)).isDirectory()
  } catch (cause) {
    throw new Fault('HANDLER_INVALID', `consumer.handlers: ${path} does not exist`, { cause })
  }
  if (!isDirectory) return [path]
  const names = (await readdir(path)).filter((name) => MODULE.test(name) && !NOT_A_HANDLER.test(name)).sort()
  if (names.length === 0)
    throw new Fault('HANDLER_INVALID', `consumer.handlers: ${path} holds no handler modules`)
  return names.map((name) => join(path, name))
}
