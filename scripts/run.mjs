// Launcher of every package script: `node scripts/run.mjs <script> [arguments]`, the script's path from the root.
//
// Plain JavaScript, because the Node that starts it may be the machine's own (20 or later), which cannot run the
// TypeScript sources. Where the running Node is new enough, the script is imported into this very process.
// Otherwise the pinned one (npm package `node`) runs it as a child: once, with a warm package store, the pinned
// runtime's bin was not linked into node_modules/.bin, and a script ran on the old Node.
// Before either, the native module is built if it is missing (an installation with --ignore-scripts).
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const NODE_MAJOR = 24

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const [script, ...args] = process.argv.slice(2)
if (script === undefined) fail('usage: node scripts/run.mjs <script> [arguments]')

if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR) {
  buildNativeModule(process.execPath)
  const file = resolve(root, script)
  process.argv.splice(1, process.argv.length, file, ...args)
  await import(pathToFileURL(file).href)
} else {
  const pinned = join(root, 'node_modules/node/bin/node')
  if (!existsSync(pinned))
    fail(`Node ${NODE_MAJOR} is missing in node_modules. Run: npx --yes pnpm@12 install`)
  if (realpathSync(pinned) === realpathSync(process.execPath))
    fail(
      `the Node in node_modules is ${process.versions.node}, not ${NODE_MAJOR}. Run: npx --yes pnpm@12 install`,
    )
  buildNativeModule(pinned)
  runWith(pinned)
}

/** Runs this launcher again on `node`; signals go on to it, its way of ending becomes ours. */
function runWith(node) {
  const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}` }
  let child
  // Before the child exists: a signal must not end this process alone.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'])
    process.on(signal, () => child?.kill(signal))
  child = spawn(node, [fileURLToPath(import.meta.url), script, ...args], { stdio: 'inherit', env })
  child.on('error', (error) => fail(`could not run ${node}: ${error.message}`))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
}

function buildNativeModule(node) {
  let built
  try {
    const core = createRequire(join(root, 'packages/core/package.json'))
    built = join(dirname(realpathSync(core.resolve('zstd-napi/package.json'))), 'build/Release/binding.node')
  } catch (error) {
    fail(`dependencies are missing (${error.message.split('\n')[0]}). Run: npx --yes pnpm@12 install`)
  }
  if (existsSync(built)) return
  const build = spawnSync(node, [join(root, 'scripts/build-native.mjs')], { stdio: 'inherit' })
  if (build.status !== 0) process.exit(build.status ?? 1)
}

function fail(message) {
  console.error(`weir: ${message}`)
  process.exit(1)
}
