/** scripts/load-test-webhooks.sh against real processes: what it tells is what happened. */
import { describe, expect, it } from 'vitest'
import { type FaultPipeline, withPipeline } from './faults/pipeline.ts'
import { SECRET } from './support/gateway.ts'
import { useProcesses } from './support/use-processes.ts'

const processes = useProcesses()
const TOKEN = 'a-token-for-tests'
const PATIENT = { timeout: 60_000 }

/** Runs it to its end; what it wrote and how it ended. */
async function loadTest(...args: string[]) {
  const process = processes.start('scripts/load-test.ts', { args, env: { WEIR_DATA_DIR: '/nonexistent' } })
  const { code } = await process.done
  return { code, output: process.output() }
}

async function withOperations(test: (pipeline: FaultPipeline, operations: string) => Promise<void>) {
  await withPipeline(processes, 1, async (pipeline) => {
    const console = processes.start('apps/console/src/main.ts', {
      env: { REDIS_URL: pipeline.redis.url, OPS_PORT: '0', OPS_TOKEN: TOKEN },
    })
    const [line] = await console.waitForLine(/^\{.*"msg":"listening".*\}$/)
    await test(pipeline, `http://127.0.0.1:${(JSON.parse(line) as { port: number }).port}`)
  })
}

describe('the load test', () => {
  it(
    'sends so many a second, and sees each accepted event settled; with a consumer less it says where the rest is',
    PATIENT,
    () =>
      withOperations(async (pipeline, operations) => {
        const common = ['--target', `http://127.0.0.1:${pipeline.port}`, '--operations', operations]
        common.push('--token', TOKEN, '--secret', SECRET, '--rate', '100', '--json')
        const { code, output } = await loadTest(...common, '--duration', '2s')
        const answer = JSON.parse(output.split('\n').findLast((line) => line.startsWith('{')) ?? '')
        expect(answer).toMatchObject({
          sent: 200,
          accepted: 200,
          statuses: { 202: 200 },
          settled: 200,
          whole: true,
        })
        expect(answer.accepted_ms.p100).toBeGreaterThanOrEqual(answer.accepted_ms.p50)
        expect(code).toBe(0)
        expect((await pipeline.ledger()).settled).toBe(200)

        await pipeline.consumers()[0]?.kill('SIGTERM')
        const stuck = await loadTest(...common, '--duration', '100ms', '--settle-timeout', '1s')
        expect(stuck.output).toContain('"settled":0,"elsewhere":{"unread":10},"whole":false')
        expect(stuck.code).toBe(1)
      }),
  )

  it('tells what the gateway said of what it refused', PATIENT, () =>
    withOperations(async (pipeline, operations) => {
      const target = `http://127.0.0.1:${pipeline.port}`
      const wrong = await loadTest(
        '--target',
        target,
        '--secret',
        'another',
        '--no-verify',
        '--duration',
        '100ms',
      )
      expect(wrong.output).toMatch(/401: 10 {2}\(The signature does not belong to this body/)
      expect(wrong.code).toBe(1)
      const token = ['--operations', operations, '--token', 'another']
      const denied = await loadTest('--target', target, '--secret', SECRET, '--duration', '100ms', ...token)
      expect(denied.output).toContain(
        'error: the operations API refuses the token; pass it with --token or OPS_TOKEN',
      )
      expect(denied.code).toBe(2)
    }),
  )

  it.each([
    [['--rate', '0'], '--rate 0: write a whole number from 1 to 50000'],
    [['--duration', '5'], '--duration 5: write a duration such as 30s, 5m or 1h'],
    [['--rate', '50000', '--duration', '1d'], 'choose a shorter --duration'],
    [['--target', 'localhost'], '--target localhost: write an address such as http://localhost:8080'],
    [['--tool', 'hub'], '--tool hub: there is no such tool; there are github'],
    [['--tool', 'stripe', '--secret', 'x', '--no-verify'], 'no events of it are bundled'],
    [['--rat', '5'], "Unknown option '--rat'"],
    [[], 'there is no secret to sign with: pass --secret or set GITHUB_WEBHOOK_SECRET'],
    [['--secret', 'x'], 'there is no token for the operations API'],
    [
      ['--target', 'http://127.0.0.1:9', '--secret', 'x', '--no-verify', '--duration', '10ms'],
      'is the gateway running? --target names another',
    ],
  ])('%j: one sentence, and exit code 2', async (args, sentence) => {
    const { code, output } = await loadTest(...args)
    expect(output).toContain(sentence)
    expect(output).not.toMatch(/^\s+at /m)
    expect(code).toBe(2)
  })
})
