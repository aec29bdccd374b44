/** Preloaded (`node --import`) into the processes of a broken build, which BROKEN_BUILD names. */
import { registerHooks } from 'node:module'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BROKEN_BUILDS, changed } from './builds.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const build = BROKEN_BUILDS.find((each) => each === process.env.BROKEN_BUILD)
if (build === undefined) throw new Error(`BROKEN_BUILD names no build: ${process.env.BROKEN_BUILD}`)

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    if (!url.startsWith('file:') || typeof loaded.source === 'undefined' || loaded.source === null)
      return loaded
    const file = relative(root, fileURLToPath(url))
    return { ...loaded, source: changed(build, file, loaded.source.toString()) }
  },
})
