// Builds zstd-napi against the headers inside the pinned `node` package. Runs after every install
// (root "postinstall"), does nothing when the module is already built. Plain JavaScript, because at this
// point the machine's own Node (20 or later) may be the one that runs it.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, realpathSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const core = createRequire(join(root, 'packages/core/package.json'))
const own = createRequire(import.meta.url)

const module = dirname(realpathSync(core.resolve('zstd-napi/package.json')))
const built = join(module, 'build/Release/binding.node')
if (existsSync(built)) process.exit(0)

const pinned = join(root, 'node_modules/node/node_modules')
const platform = existsSync(pinned)
  ? readdirSync(pinned).find((name) => name.startsWith('node-') && existsSync(join(pinned, name, 'include')))
  : undefined
const nodedir = platform ? join(pinned, platform) : undefined

console.log('weir: compiling zstd-napi (once per installation, about a minute)')
mkdirSync(join(root, 'node_modules/.cache'), { recursive: true })
const log = join(root, 'node_modules/.cache/zstd-napi-build.log')
const nodeGyp = nodeGypProgram()
const args = [nodeGyp, 'rebuild', '--jobs=max', ...(nodedir ? [`--nodedir=${nodedir}`] : [])]
const build = spawnSync(process.execPath, args, { cwd: module, encoding: 'utf8', maxBuffer: 64 << 20 })
writeFileSync(log, `${build.stdout ?? ''}\n${build.stderr ?? ''}`)
if (build.status !== 0 || !existsSync(built)) {
  console.error(
    `weir: could not compile zstd-napi. It needs python3, make and g++ (Debian: apt-get install python3 make g++). Full output: ${log}`,
  )
  process.exit(1)
}

/** The project's own; an installation without development packages (an image) names another, as npm does for scripts. */
function nodeGypProgram() {
  try {
    return own.resolve('node-gyp/bin/node-gyp.js')
  } catch (error) {
    const named = process.env.npm_config_node_gyp
    if (named) return named
    throw error
  }
}
