/** What happens to the disk of the spool, to cold storage and to the provider of embeddings and summaries. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { STUB_DIMENSIONS, silence, startOpenAi, status } from '../../tests/support/openai.ts'
import { compilePreload } from '../../tests/support/preload.ts'
import { startProxy } from '../../tests/support/proxy.ts'
import { S3_CREDENTIALS, startS3 } from '../../tests/support/s3.ts'
import { until } from '../../tests/support/until.ts'
import { oneServer } from '../places.ts'
import { A_WHILE, NotHere, type Scenario, scenario } from '../scenario.ts'

/** Until everything that was under way when the disk became full is answered, ms. */
const UNDER_WAY_MS = 1_000
/** How long nothing can be accepted, ms: Redis is away, and the disk is full. */
const FULL_MS = 1_000

const diskFull = scenario(
  { name: 'disk-full', what: 'Redis killed, and the disk of the spools full' },
  async () => {
    if (process.platform !== 'linux') throw new NotHere('a disk can be made full on Linux only')
    const directory = mkdtempSync(join(tmpdir(), 'weir-full-disk-'))
    const library = join(directory, 'full-disk.so')
    const flag = join(directory, 'full')
    compilePreload(fileURLToPath(new URL('../full-disk.c', import.meta.url)), library)
    return {
      place: await oneServer('always'),
      installed: {
        gatewayEnv: { LD_PRELOAD: library, FULL_DISK_WHILE: flag },
      },
      async round(world) {
        const { place, deeds } = world
        writeFileSync(flag, '')
        await place.server.kill('SIGKILL')
        deeds.kills++
        await pause(UNDER_WAY_MS)
        const before = world.accepted
        await pause(FULL_MS)
        if (world.accepted > before) throw new Error('the disk is full, and events are still accepted')
        rmSync(flag)
        await world.untilAccepted(A_WHILE)
        await place.server.restart()
        await world.untilAccepted(A_WHILE)
      },
      stop: async () => rmSync(directory, { recursive: true, force: true }),
    }
  },
)

/** Everything is over at once, and asked of the provider at once. */
const RESTLESS = {
  context_lifecycle: {
    hot_duration: '500ms',
    warm_duration: '500ms',
    hot_importance_threshold: 1,
    warm_importance_threshold: 1,
    curator: { ops_port: 0, interval: '200ms' },
    s3: { attempts: 2, retry_base_delay: '10ms', breaker: { open_duration: '500ms' } },
  },
  ai: {
    embedding: { provider: 'openai', dimensions: STUB_DIMENSIONS },
    summarization: { model: 'a-model', min_events: 2 },
    request_timeout: '500ms',
    attempts: 2,
    retry_base_delay: '10ms',
    breaker: { open_duration: '500ms' },
    enrichment: {
      quiet: '100ms',
      max_delay: '500ms',
      provider_quiet: '100ms',
      provider_max_delay: '1s',
      provider_interval: '200ms',
    },
  },
}

/** How long it may take until cold storage is asked, ms. */
const ASKED_MS = 30_000

function expectAsked(connections: number): void {
  if (connections === 0) throw new Error('cold storage was never asked')
}

const storesFail = scenario(
  { name: 's3-and-ai-fail', what: 'S3 and the AI provider silent, then refusing, then well' },
  async () => {
    const s3 = await startS3()
    const proxy = await startProxy(s3.port)
    const ai = await startOpenAi()
    return {
      place: await oneServer('always'),
      installed: {
        curator: true,
        settings: RESTLESS,
        env: {
          S3_ENDPOINT: `http://127.0.0.1:${proxy.port}`,
          S3_BUCKET: await s3.makeBucket(),
          AWS_ACCESS_KEY_ID: S3_CREDENTIALS.accessKeyId,
          AWS_SECRET_ACCESS_KEY: S3_CREDENTIALS.secretAccessKey,
          OPENAI_API_KEY: 'a-key',
          AI_BASE_URL: ai.url,
        },
      },
      async round({ untilAccepted }) {
        proxy.stall()
        ai.always(silence)
        await untilAccepted(2 * A_WHILE)
        await Promise.all([ai.came(1), until(() => expectAsked(proxy.connections), ASKED_MS)])
        proxy.dropClients()
        proxy.resume()
        ai.reset()
        ai.always(status(500))
        await Promise.all([untilAccepted(A_WHILE), ai.came(1)])
        ai.reset()
        await Promise.all([untilAccepted(A_WHILE), ai.came(1)])
      },
      async stop() {
        await proxy.close()
        await s3.stop()
        await ai.stop()
      },
    }
  },
)

export const STORAGE_SCENARIOS: readonly Scenario[] = [diskFull, storesFail]
