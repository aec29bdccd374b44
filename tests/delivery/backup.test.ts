/** scripts/backup.sh, and the way back that docs/kubernetes.md describes: what was accepted is there again. */
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, it } from 'vitest'
import { startRedis } from '../../scripts/private-redis.ts'
import { usePipeline } from '../support/pipeline.ts'
import { useRedis } from '../support/redis.ts'
import { withTlsRedis } from '../support/tls.ts'
import { useProcesses } from '../support/use-processes.ts'

describe('backup.sh', () => {
  const redis = useRedis()
  const open = usePipeline(redis)
  const processes = useProcesses()
  const directory = mkdtempSync(join(tmpdir(), 'weir-backup-'))
  afterAll(() => rmSync(directory, { recursive: true }))
  let count = 0
  const fresh = () => {
    const made = join(directory, String(count++))
    mkdirSync(made)
    return made
  }
  const run = async (args: string[], env: Record<string, string> = {}) => {
    const script = processes.run('scripts/backup.sh', { args, env })
    const { code } = await script.done
    return { code, output: script.output() }
  }
  const backUp = async (...args: string[]) => {
    const to = fresh()
    const { code, output } = await run(['--to', to, '--redis', `127.0.0.1:${redis.port}`, ...args])
    expect(code, output).toBe(0)
    return join(to, readdirSync(to)[0] as string)
  }

  it('takes Redis and cold storage, and a Redis that is started from it has every event in its place', async () => {
    const pipeline = await open()
    for (let event = 0; event < 8; event++) await pipeline.accept()
    const [done, parked, dead] = await pipeline.read('consumer-1', 4)
    await pipeline.settle(done!)
    await pipeline.park(parked!)
    await pipeline.bury(dead!)
    const before = await pipeline.ledger()
    expect(before).toMatchObject({ unread: 4, pending: 1, parked: 1, dead: 1, settled: 1 })
    const cold = fresh()
    mkdirSync(join(cold, 'contexts'))
    writeFileSync(join(cold, 'contexts/one'), 'cold')
    const keys = (await redis.client().keys('*')).sort()

    const backup = await backUp('--cold-directory', cold)
    expect(readdirSync(backup).sort()).toEqual(['MANIFEST', 'cold', `redis-127.0.0.1-${redis.port}.rdb`])
    expect(readFileSync(join(backup, 'cold/contexts/one'), 'utf8')).toBe('cold')
    expect(await run(['--verify', backup])).toMatchObject({
      code: 0,
      output: expect.stringContaining('2 files, all as they were'),
    })

    // As the page says: with an append-only file switched on, Redis would look at that alone and start empty.
    const volume = fresh()
    copyFileSync(join(backup, `redis-127.0.0.1-${redis.port}.rdb`), join(volume, 'dump.rdb'))
    const restored = await startRedis({ directory: volume, args: ['--appendonly', 'no'] })
    try {
      const client = new Redis(restored.url)
      expect((await client.keys('*')).sort()).toEqual(keys)
      await client.config('SET', 'appendonly', 'yes')
      await expect
        .poll(() => client.info('persistence'))
        .toMatch(/aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0/)
      client.disconnect()
    } finally {
      await restored.stop()
    }
    const again = await startRedis({ directory: volume })
    const after = processes.start('apps/cli/src/main.ts', {
      args: ['audit', 'ledger', '--json'],
      env: { REDIS_URL: again.url },
    })
    const { code } = await after.done
    await again.stop()
    expect(code, after.output()).toBe(0)
    expect(JSON.parse(after.output()).ledger ?? JSON.parse(after.output())).toMatchObject({ ...before })
  })

  it('sees when a file of a backup was changed, is missing, or was added', async () => {
    await (await open()).accept()
    const backup = await backUp()
    const snapshot = join(backup, `redis-127.0.0.1-${redis.port}.rdb`)
    // The name of a file that belongs there begins with the second one.
    for (const added of ['added', `redis-127.0.0.1-${redis.port}`]) {
      writeFileSync(join(backup, added), '')
      expect(await run(['--verify', backup])).toMatchObject({
        code: 1,
        output: expect.stringContaining(`not in its MANIFEST: ./${added}`),
      })
      rmSync(join(backup, added))
    }
    appendFileSync(snapshot, 'x')
    expect(await run(['--verify', backup])).toMatchObject({
      code: 1,
      output: expect.stringContaining('is not what was backed up'),
    })
    rmSync(snapshot)
    expect((await run(['--verify', backup])).code).toBe(1)
    rmSync(join(backup, 'MANIFEST'))
    expect(await run(['--verify', backup])).toMatchObject({
      code: 1,
      output: expect.stringContaining('has no MANIFEST'),
    })
  })

  it('speaks TLS and shows password and certificate', async () => {
    await withTlsRedis(
      async ({ server, certificates: { client } }) => {
        const args = ['--to', fresh(), '--redis', `127.0.0.1:${server.port}`]
        const env = {
          REDIS_TLS_ENABLED: 'true',
          REDIS_TLS_CA_FILE: client.caFile,
          REDIS_TLS_CERT_FILE: client.certFile,
          REDIS_TLS_KEY_FILE: client.keyFile,
        }
        expect(await run(args, env)).toMatchObject({ code: 0 })
        expect((await run(args)).code).toBe(1)
      },
      { openConnections: 'allowed' },
    )
    const server = await startRedis({ args: ['--requirepass', 'secret'] })
    try {
      const where = ['--redis', `127.0.0.1:${server.port}`]
      const refused = await run(['--to', fresh(), ...where])
      expect(refused).toMatchObject({ code: 1, output: expect.stringContaining('NOAUTH') })
      expect(await run(['--to', fresh(), ...where], { REDIS_PASSWORD: 'secret' })).toMatchObject({ code: 0 })
    } finally {
      await server.stop()
    }
  })

  it.each([
    [[], 'says --to DIR'],
    [['--to', '/tmp', '--redis', 'here'], "--redis is HOST:PORT, not 'here'"],
    [['--to', '/tmp', '--cold-directory', '/nowhere'], "the cold directory '/nowhere' does not exist"],
    [
      ['--to', '/tmp', '--cold-directory', '/tmp', '--cold-bucket', 's3://b'],
      'takes --cold-directory or --cold-bucket, not both',
    ],
    [['--to', '/tmp', '--cold-bucket', 'b'], '--cold-bucket is s3://BUCKET'],
    [['--too', 'x'], "unknown argument '--too'"],
  ])('refuses %j in one sentence', async (args, sentence) => {
    const { code, output } = await run(args)
    expect([code, output]).toEqual([2, expect.stringMatching(/^backup\.sh: [^\n]*\n$/)])
    expect(output).toContain(sentence)
  })

  it('leaves no MANIFEST when Redis does not answer', async () => {
    const to = fresh()
    const { code, output } = await run(['--to', to, '--redis', '127.0.0.1:1'])
    expect(code).toBe(1)
    expect(output).toMatch(
      /Redis at 127\.0\.0\.1:1 does not answer: .*\nbackup\.sh: .* is not whole; remove it\n$/,
    )
    expect(readdirSync(join(to, readdirSync(to)[0] as string))).toEqual([])
  })
})
