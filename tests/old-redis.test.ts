/**
 * A Redis server that is too old, a real one: WEIR_OLD_REDIS names its program (.ci/run fetches a 6.2 where it can).
 * Without one, what it says of itself is in packages/core/src/redis/suitability.test.ts.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { freePort } from '../scripts/free-port.ts'
import { startRedis } from '../scripts/private-redis.ts'
import { SECRET } from './support/gateway.ts'
import { useProcesses } from './support/use-processes.ts'

const binary = process.env.WEIR_OLD_REDIS
const processes = useProcesses()

describe.skipIf(!binary)('a Redis older than 7.0', () => {
  it.each(['ingest', 'consumer'])('is refused by apps/%s at its start, in one sentence', async (app) => {
    const directory = mkdtempSync(join(tmpdir(), 'weir-old-'))
    const redis = await startRedis({ binary: binary as string })
    try {
      const started = processes.start(`apps/${app}/src/main.ts`, {
        cwd: directory,
        env: {
          REDIS_URL: redis.url,
          WEIR_DATA_DIR: directory,
          GITHUB_WEBHOOK_SECRET: SECRET,
          OPS_TOKEN: 'a-token-for-tests',
          PORT: String(await freePort()),
        },
      })
      expect(await started.exit).toMatchObject({ code: 1 })
      expect(started.output()).toMatch(
        /^the Redis server has version [2-6]\.\d+\.\d+; Weir needs Redis or Valkey 7\.0 or later$/m,
      )
    } finally {
      await redis.stop()
      rmSync(directory, { recursive: true, force: true })
    }
  })
})
