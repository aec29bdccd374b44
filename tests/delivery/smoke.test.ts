/** scripts/test_webhook_receiver.sh against our real processes. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../scripts/free-port.ts'
import type { TestProcess } from '../support/process.ts'
import { useRedis } from '../support/redis.ts'
import { useProcesses } from '../support/use-processes.ts'

const SCRIPT = 'scripts/test_webhook_receiver.sh'
const SECRETS = {
  OPS_TOKEN: 'token-of-operators',
  GITHUB_WEBHOOK_SECRET: 'of GitHub: it\'s "secret"',
  HMAC_SECRET: 'of others',
}

describe('test_webhook_receiver.sh', () => {
  const redis = useRedis({ openConnections: 'allowed' })
  const processes = useProcesses()
  const directory = mkdtempSync(join(tmpdir(), 'weir-smoke-'))
  afterAll(() => rmSync(directory, { recursive: true }))
  let target = ''
  let ops = ''
  let consumer: TestProcess

  const startConsumer = () =>
    processes.start('apps/consumer/src/main.ts', {
      cwd: directory,
      env: { ...environment(), CONFIG_FILE: `${directory}/consumer.yaml` },
    })
  const environment = () => ({ ...SECRETS, REDIS_URL: redis.url, WEIR_DATA_DIR: directory })
  const run = (env: Record<string, string>, args: string[] = []) => {
    const all = ['--target', target, '--ops', ops, '--env-file', '/dev/null', ...args]
    return processes.run(SCRIPT, { args: all, env })
  }

  beforeAll(async () => {
    const [port, opsPort] = [await freePort(), await freePort()]
    target = `http://127.0.0.1:${port}`
    ops = `http://127.0.0.1:${opsPort}`
    writeFileSync(
      join(directory, 'consumer.yaml'),
      'webhook: { consumer: { ops_port: 0, block_timeout: 100ms } }',
    )
    const env = { ...environment(), PORT: String(port), OPS_PORT: String(opsPort) }
    const gateway = processes.start('apps/ingest/src/main.ts', { cwd: directory, env })
    const console = processes.start('apps/console/src/main.ts', { cwd: directory, env })
    consumer = startConsumer()
    await Promise.all([
      gateway.waitForHttp(`${target}/ready`),
      console.waitForHttp(`${ops}/ready`),
      consumer.waitForLine(/listening/),
    ])
  })

  it('passes when signed events come in and are settled, and badly signed ones do not come in', async () => {
    const smoke = run(SECRETS)
    expect(await smoke.done, smoke.output()).toMatchObject({ code: 0 })
    const lines = smoke.output().trim().split('\n')
    expect(lines.every((line) => line.startsWith('ok '))).toBe(true)
    expect(smoke.output().match(/it was settled +evt_/g)).toHaveLength(2)
    for (const line of [
      /accepted +202/,
      /duplicate +200/,
      /wrong signature is refused +401/,
      /no signature is refused +401/,
      /ledger balances/,
    ])
      expect(smoke.output()).toMatch(line)
  })

  it('reads what is not set from a file, as values and not as a program', async () => {
    const file = join(directory, 'env')
    writeFileSync(
      file,
      `OPS_TOKEN=${SECRETS.OPS_TOKEN}\nHMAC_SECRET=${SECRETS.HMAC_SECRET}\nTOUCHED=$(touch ${directory}/touched)\n`,
    )
    const smoke = run({}, ['--env-file', file])
    expect(await smoke.done, smoke.output()).toMatchObject({ code: 0 })
    expect(smoke.output()).not.toContain('GitHub')
  })

  it.each([
    [
      { ...SECRETS, GITHUB_WEBHOOK_SECRET: 'another' },
      [],
      1,
      'GitHub: a signed webhook is accepted: expected 202, got 401',
    ],
    [{ ...SECRETS, OPS_TOKEN: 'another' }, [], 1, 'the operations API does not take this OPS_TOKEN'],
    [{ HMAC_SECRET: 'x' }, [], 2, 'set OPS_TOKEN'],
    [{ OPS_TOKEN: 'x' }, [], 2, 'set GITHUB_WEBHOOK_SECRET or HMAC_SECRET'],
    [
      SECRETS,
      ['--target', 'http://127.0.0.1:1'],
      1,
      'the gateway is alive: nobody answers at http://127.0.0.1:1',
    ],
    [SECRETS, ['--timeout', 'soon'], 2, "--timeout is a number of seconds, not 'soon'"],
    [SECRETS, ['--tragte', 'x'], 2, "unknown argument '--tragte'"],
  ])('says in one sentence what is wrong (%#)', async (env, args, code, sentence) => {
    const smoke = run(env, args)
    expect(await smoke.done).toMatchObject({ code })
    expect(smoke.output().trim().split('\n').at(-1)).toContain(`test_webhook_receiver.sh: ${sentence}`)
  })

  it('fails when nothing is settled, because no consumer runs', async () => {
    await consumer.kill()
    const smoke = run(SECRETS, ['--timeout', '1'])
    expect(await smoke.done).toMatchObject({ code: 1 })
    expect(smoke.output()).toMatch(/evt_\S+ is not settled after 1 s, but 'unread': does the consumer run\?/)
  })
})
