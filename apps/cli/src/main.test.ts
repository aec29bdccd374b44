import { execFile, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { usePipeline } from '../../../tests/support/pipeline.ts'
import { root } from '../../../tests/support/process.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { useProcesses } from '../../../tests/support/use-processes.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)
const processes = useProcesses()
const MAIN = 'apps/cli/src/main.ts'

const directory = mkdtempSync(join(tmpdir(), 'weir-cli-main-'))
afterAll(() => rmSync(directory, { recursive: true }))

describe('the process', () => {
  /** The modules that a command line loads. */
  const loadedBy = (...args: string[]): string[] => {
    const hook =
      'import{registerHooks}from"node:module";registerHooks({load(u,c,n){console.error(u);return n(u,c)}})'
    const all = ['--import', `data:text/javascript,${encodeURIComponent(hook)}`, join(root, MAIN), ...args]
    return spawnSync(process.execPath, all, { encoding: 'utf8' }).stderr.split('\n')
  }
  const commandsIn = (modules: readonly string[]) =>
    modules.flatMap((url) => /\/commands\/([^/]+)\.ts$/.exec(url)?.[1] ?? [])

  it.each([
    [['--help'], []],
    [['--version'], []],
    [['dlq', '--help'], []],
    [['dlq', 'list', '--help'], ['dlq-list']],
    [['completion', 'nosuch'], ['completion']],
  ])('loads for %j the modules of %j, and neither Redis client nor schema nor codecs', (args, commands) => {
    const modules = loadedBy(...args)
    expect(modules.join('\n')).toContain('/commander/')
    expect(commandsIn(modules)).toEqual(commands)
    for (const heavy of [
      'ioredis',
      'zod',
      'zstd-napi',
      'yaml',
      'prom-client',
      'pino',
      'openai',
      '@aws-sdk',
    ]) {
      expect(modules.join('\n')).not.toContain(`/node_modules/${heavy}/`)
    }
  })

  it('shows help in a few times what Node takes for nothing', () => {
    // Time of the processor, not of the clock: the machine has other things to do too.
    const hook =
      'process.on("exit",()=>{const{user,system}=process.cpuUsage();console.error("cpu",user+system)})'
    const taken = (...args: string[]) => {
      const all = ['--import', `data:text/javascript,${encodeURIComponent(hook)}`, ...args]
      const { stderr } = spawnSync(process.execPath, all, { encoding: 'utf8' })
      return Number(/^cpu (\d+)$/m.exec(stderr)?.[1])
    }
    const pairs = Array.from(
      { length: 5 },
      () => [taken('-e', '0'), taken(join(root, MAIN), '--help')] as const,
    )
    const least = (at: 0 | 1) => Math.min(...pairs.map((pair) => pair[at]))
    // It is 4 to 5.5; with the modules of all commands it was 13.
    expect(least(1) / least(0)).toBeLessThan(8)
  })

  it('writes its answer to standard output, its complaint to standard error, and ends with the code', async () => {
    const pipeline = await open()
    const { id, body } = await pipeline.accept({ body: Buffer.from([0x00, 0xff, 0x0a]) })
    const env = { ...process.env, REDIS_URL: redis.url }
    const cli = (...args: string[]) => spawnSync(process.execPath, [join(root, MAIN), ...args], { env })
    const raw = cli('events', 'get', id, '--raw')
    expect({ status: raw.status, stdout: raw.stdout, stderr: raw.stderr.toString() }).toEqual({
      status: 0,
      stdout: body,
      stderr: '',
    })
    const ledger = cli('audit', 'ledger', '--json')
    expect(JSON.parse(ledger.stdout.toString())).toMatchObject({
      verdict: 'balanced',
      ledger: { accepted: 1 },
    })
    const none = cli('dlq', 'show', '1-1')
    expect({ status: none.status, stdout: none.stdout.toString() }).toEqual({ status: 1, stdout: '' })
    expect(none.stderr.toString()).toContain('there is no dead letter')
    expect(cli('stattus').status).toBe(2)
  })

  it('uses the private Redis of a start that runs on the data directory', async () => {
    await open()
    const data = join(directory, 'data')
    mkdirSync(join(data, 'run'), { recursive: true })
    const note = join(data, 'run', 'redis.json')
    const env = { PATH: process.env.PATH, WEIR_DATA_DIR: data }
    const cli = () =>
      spawnSync(process.execPath, [join(root, MAIN), 'status', '--json'], {
        env,
        cwd: directory,
        encoding: 'utf8',
      })
    writeFileSync(note, JSON.stringify({ pid: redis.server.pid, birth: 'x', port: redis.port }))
    expect(JSON.parse(cli().stdout)).toMatchObject({ verdict: 'balanced' })
    const other = spawnSync(
      process.execPath,
      [join(root, MAIN), 'status', '--redis-url', 'redis://127.0.0.1:1'],
      { env, cwd: directory, encoding: 'utf8' },
    )
    expect(other).toMatchObject({ status: 2, stderr: expect.stringContaining('redis://127.0.0.1:1') })
  })

  it('says that no start runs when there is nothing to talk to', () => {
    const env = { PATH: process.env.PATH, WEIR_DATA_DIR: join(directory, 'empty') }
    const config = join(directory, 'nothing.yaml')
    writeFileSync(config, '')
    const { status, stderr } = spawnSync(process.execPath, [join(root, MAIN), 'status', '--config', config], {
      env,
      cwd: directory,
      encoding: 'utf8',
    })
    // Another Redis may run on the default port of this machine.
    if (status !== 0) expect(stderr).toContain(`no \`start\` runs in ${join(directory, 'empty')}`)
  })

  it('gives a running consumer what a dead one held, and dead letters to try again', async () => {
    const pipeline = await open()
    const { link, keys } = pipeline
    const { streamId } = await pipeline.accept()
    await pipeline.read('dead-consumer')
    await link.call('XCLAIM', keys.stream, keys.group, 'dead-consumer', 0, streamId, 'IDLE', 40_000, 'JUSTID')
    await pipeline.accept()
    for (const entry of await pipeline.read('undertaker')) await pipeline.bury(entry)

    const config = join(directory, 'consumer.yaml')
    writeFileSync(config, 'webhook: { consumer: { ops_port: off } }\n')
    const env = { REDIS_URL: redis.url, CONFIG_FILE: config }
    const consumer = processes.start('apps/consumer/src/main.ts', { env })
    await consumer.waitForLine(/"msg":"listening"/)
    // By itself it would take the entry over after 60 s of silence.
    const cli = (...args: string[]) =>
      spawnSync(process.execPath, [join(root, MAIN), ...args], { env: { ...process.env, ...env } }).status
    expect(cli('claim-pending', '--idle-time', '30s')).toBe(0)
    await expect
      .poll(() => pipeline.ledger(), { timeout: 10_000 })
      .toMatchObject({ settled: 1, dead: 1, pending: 0 })
    expect(cli('dlq', 'replay', '--all')).toBe(0)
    await expect
      .poll(() => pipeline.ledger(), { timeout: 10_000 })
      .toMatchObject({ settled: 2, dead: 0, parked: 0 })
    await consumer.kill('SIGTERM')
  })

  it('ends a tail with 0 on SIGINT', async () => {
    const pipeline = await open()
    const tail = processes.start(MAIN, { args: ['tail', '--last', '1'], env: { REDIS_URL: redis.url } })
    await tail.waitForLine(/^RECEIVED/)
    const { id } = await pipeline.accept()
    await tail.waitForLine(new RegExp(id))
    expect(await tail.kill('SIGINT')).toEqual({ code: 0, signal: null })
  })

  it('ends quietly, with the next line that nobody reads, when the reader of its pipe leaves', async () => {
    const pipeline = await open()
    for (let i = 0; i < 50; i++) await pipeline.accept()
    const command = `"${process.execPath}" ${MAIN} tail --last 50 --json | head -n 1`
    const env = { ...process.env, REDIS_URL: redis.url }
    let ended = false
    const end = promisify(execFile)('sh', ['-c', command], { env, cwd: root }).finally(() => {
      ended = true
    })
    // All 50 may have been written before the reader left.
    while (!ended) await pipeline.accept()
    const { stdout, stderr } = await end
    expect(JSON.parse(stdout)).toMatchObject({ tool: 'github' })
    expect(stderr).toBe('')
  })
})
