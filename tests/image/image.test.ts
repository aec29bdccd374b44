/**
 * The image without a Docker engine: the tree that its first stage makes, made by the instructions of that stage, and every app started
 * out of it by the entry script. What is not seen here: the base image, and the layers of the second stage.
 */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../scripts/free-port.ts'
import { GATEWAY_NODE_OPTIONS } from '../../scripts/node-options.ts'
import { root } from '../support/process.ts'
import { useRedis } from '../support/redis.ts'
import { useProcesses } from '../support/use-processes.ts'
import { ignores, instructionsOf, makeTree, pnpmDirectory, stageOf } from './dockerfile.ts'

const read = (path: string) => readFileSync(join(root, path), 'utf8')
const instructions = instructionsOf(read('Dockerfile.webhook'))
const last = instructions.slice(instructions.map(({ name }) => name).lastIndexOf('FROM'))
const texts = (name: string) => last.filter((each) => each.name === name).map(({ text }) => text)

/** Installing may fetch packages, where the store has not all of them. */
const INSTALL_TIMEOUT_MS = 300_000

describe('Dockerfile.webhook', () => {
  it('runs the Node that package.json pins', () => {
    const { devDependencies } = JSON.parse(read('package.json'))
    const image = instructions.find(({ name, text }) => name === 'ARG' && text.startsWith('NODE_IMAGE='))
    expect(image?.text).toBe(`NODE_IMAGE=node:${devDependencies.node}-bookworm-slim`)
    expect(instructions.filter(({ name }) => name === 'FROM').map(({ text }) => text)).toEqual([
      '${NODE_IMAGE} AS tree',
      '${NODE_IMAGE}',
    ])
  })

  it('is not root, looks after its health, and starts by the entry script', () => {
    expect(texts('USER')).toEqual(['10001:10001'])
    expect(texts('HEALTHCHECK')[0]).toContain('["node", "/app/scripts/image/healthcheck.ts"]')
    expect(texts('ENTRYPOINT')).toEqual(['["/app/scripts/image/entrypoint.sh"]'])
    expect(read('scripts/image/entrypoint.sh')).toContain(`options=${GATEWAY_NODE_OPTIONS.join(' ')}\n`)
    expect(texts('EXPOSE')).toEqual(['8080 8081 8082 8083'])
    expect(texts('ENV')[0]).toContain('NODE_ENV=production')
    // Only the tree comes in: no compiler, no package manager, nothing of the build's context.
    expect(texts('COPY')).toEqual(['--from=tree /app ./'])
  })

  it('builds from nothing but what .dockerignore lets in', () => {
    const out = ignores(read('.dockerignore'))
    for (const path of [
      '.env',
      '.git/config',
      'tests/support/tls.ts',
      'apps/ingest/src/gateway.test.ts',
      'apps/ingest/node_modules/pino',
      'config.yaml',
      'k8s/base/namespace.yaml',
      'server.key',
      'examples/handlers/x.ts',
    ])
      expect(out(path), path).toBe(true)
    for (const path of [
      'apps/ingest/src/main.ts',
      'packages/core/package.json',
      'examples/events/index.json',
      'scripts/image/entrypoint.sh',
    ])
      expect(out(path), path).toBe(false)
  })
})

describe('the tree of the image', () => {
  const redis = useRedis({ openConnections: 'allowed' })
  const processes = useProcesses()
  const directory = mkdtempSync(join(tmpdir(), 'weir-image-'))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  const app = join(realpathSync(directory), 'app')
  const native = (tree: string) => realpathSync(join(tree, 'packages/core/node_modules/zstd-napi'))

  beforeAll(() => {
    mkdirSync(app)
    const path = [pnpmDirectory(join(directory, 'bin')), dirname(process.execPath), process.env.PATH].join(
      delimiter,
    )
    makeTree({
      root,
      target: app,
      // The machine's own settings say where packages come from.
      env: { ...process.env, PATH: path, CI: 'true' },
      before(command) {
        // The base image is not this machine.
        if (/^(apt-get|npm install --global) /.test(command)) return false
        // Compiling takes a minute, and every installation of this repository does it: the result of this one serves.
        if (command === 'node scripts/build-native.mjs')
          cpSync(
            join(native(root), 'build/Release/binding.node'),
            join(native(app), 'build/Release/binding.node'),
          )
        return true
      },
    })
  }, INSTALL_TIMEOUT_MS)

  const environment = () => ({
    REDIS_URL: redis.url,
    OPS_TOKEN: 'token',
    NODE_ENV: 'production',
    PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
  })
  const run = (args: string[], env: Record<string, string> = {}, entry = 'scripts/image/entrypoint.sh') =>
    processes.run(join(app, entry), {
      args,
      env: { ...environment(), WEIR_DATA_DIR: join(directory, 'data'), ...env },
      cwd: directory,
    })

  it('has the apps and what they run with: no tests, no development packages, no compiler’s leftovers', () => {
    expect(readdirSync(app).sort()).toEqual([
      'apps',
      'examples',
      'node_modules',
      'package.json',
      'packages',
      'pnpm-lock.yaml',
      'pnpm-workspace.yaml',
      'scripts',
    ])
    expect(readdirSync(join(app, 'apps')).sort()).toEqual(['cli', 'console', 'consumer', 'curator', 'ingest'])
    const files = readdirSync(app, { recursive: true, encoding: 'utf8' })
    const ours = files.filter((file) => !file.includes('node_modules'))
    expect(ours.filter((file) => /\.test\.ts$|test-support/.test(file))).toEqual([])
    const packages = readdirSync(join(app, 'node_modules/.pnpm'))
    expect(packages.some((name) => name.startsWith('fastify@'))).toBe(true)
    expect(
      packages.filter((name) =>
        /^(typescript|vitest|@biomejs|node|knip|@octokit\+webhooks-examples)[@+]/.test(name),
      ),
    ).toEqual([])
    expect(readdirSync(native(app))).not.toContain('deps')
    expect(statSync(join(app, 'scripts/image/entrypoint.sh')).mode & 0o111).not.toBe(0)
  })

  it.each([
    ['gateway', 'PORT'],
    ['console', 'OPS_PORT'],
    ['consumer', undefined],
    ['curator', undefined],
  ] as const)(
    'starts %s in production, which is alive, ready, and stops at SIGTERM',
    async (name, variable) => {
      const port = await freePort()
      const file = join(directory, `${name}.yaml`)
      const key = name === 'consumer' ? 'consumer: { ops_port' : 'context_lifecycle: { curator: { ops_port'
      writeFileSync(file, variable ? '' : `webhook: { ${key}: ${port} } }${name === 'curator' ? ' }' : ''}`)
      const env = { CONFIG_FILE: file, ...(variable && { [variable]: String(port) }) }
      const started = run([name], env)
      await started.waitForHttp(`http://127.0.0.1:${port}/ready`)
      const health = () =>
        processes.run(process.execPath, {
          args: [join(app, 'scripts/image/healthcheck.ts')],
          env: { ...environment(), ...env },
          cwd: directory,
        })
      const healthy = health()
      expect(await healthy.done, healthy.output()).toMatchObject({ code: 0 })
      await started.kill('SIGSTOP')
      const hanging = health()
      expect(await hanging.done).toMatchObject({ code: 1 })
      expect(hanging.output()).toMatch(/^unhealthy: /)
      await started.kill('SIGCONT')
      expect(await started.kill('SIGTERM')).toEqual({ code: 0, signal: null })
      // Nothing of Weir runs here now: there is nobody to ask.
      expect(await health().exit).toMatchObject({ code: 0 })
    },
  )

  it('has webhook-cli, by argument and by name, through a link and from anywhere, with the bundled events', async () => {
    symlinkSync('scripts/image/entrypoint.sh', join(app, 'webhook-cli'))
    for (const cli of [
      run(['cli', 'audit', 'ledger', '--json']),
      run(['audit', 'ledger', '--json'], {}, 'webhook-cli'),
    ]) {
      expect(await cli.done, cli.output()).toMatchObject({ code: 0 })
      expect(cli.output()).toContain('"unaccounted"')
    }
    const send = run(['cli', 'send', '--list'])
    await send.exit
    expect(send.output()).toContain('github')
  })

  it('refuses to start as something else, and without what production needs, in one sentence', async () => {
    const unknown = run(['getaway'])
    expect(await unknown.done).toMatchObject({ code: 2 })
    expect(unknown.output()).toBe(
      "weir: nothing in this image is called 'getaway'; it has gateway, consumer, curator, console and cli\n",
    )
    const unsafe = run(['console'], { OPS_TOKEN: '', NODE_ENV: 'production' })
    expect(await unsafe.done).toMatchObject({ code: 1 })
    expect(unsafe.output()).toContain('OPS_TOKEN')
  })
})

describe('the entry script', () => {
  it('stands on nothing but the shell of the image', () => {
    expect(stageOf(instructions, 'tree').length).toBeGreaterThan(5)
    expect(read('scripts/image/entrypoint.sh')).toMatch(/^#!\/bin\/sh\n/)
  })
})
