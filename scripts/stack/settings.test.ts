import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TOOLS } from '@weir/core/config/tools'
import { masterKeyProblem } from '@weir/security/master-key'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { appPlans } from './plan.ts'
import { readStartSettings, type StartSettings } from './settings.ts'

let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'weir-settings-'))
})
afterEach(() => rmSync(root, { recursive: true }))

const read = (env: Record<string, string> = {}, file?: string): Promise<StartSettings> => {
  if (file !== undefined) writeFileSync(join(root, 'config.yaml'), file)
  return readStartSettings({ env, root, cwd: root })
}

/** Secrets of all tools but these. */
const given = (...missing: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    TOOLS.filter((tool) => !missing.includes(tool)).map((tool) => [
      `${tool.toUpperCase()}_WEBHOOK_SECRET`,
      'given',
    ]),
  )

describe('the settings of start', () => {
  it('make the secrets that are missing, and pass them to the apps', async () => {
    const { madeSecrets, freshSecrets, childEnv, config } = await read()
    expect(freshSecrets).toEqual([
      ...TOOLS.map((tool) => `${tool.toUpperCase()}_WEBHOOK_SECRET`),
      'OPS_TOKEN',
    ])
    expect(madeSecrets.STANDARD_WEBHOOK_SECRET).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
    expect(childEnv).toMatchObject(madeSecrets)
    expect(config.webhook.ops.token).toBe(madeSecrets.OPS_TOKEN)
    const again = await read()
    expect(again.madeSecrets).toEqual(madeSecrets)
    expect(again.freshSecrets).toEqual([])
  })

  it('make none where one is given, in the environment or in the file', async () => {
    const { madeSecrets, childEnv } = await read(
      {
        OPS_TOKEN: 'given-token',
        HMAC_SECRET: 'given-generic',
        ...given('github', 'generic', 'alertmanager'),
      },
      'webhook:\n  security:\n    signature_secrets:\n      github: given-in-the-file\n',
    )
    expect(madeSecrets).toEqual({})
    expect(childEnv).not.toHaveProperty('GITHUB_WEBHOOK_SECRET')
    expect(existsSync(join(root, '.weir/secrets.json'))).toBe(false)
  })

  it('make one for a file that only names the variable, and none for a tool that needs none', async () => {
    const { freshSecrets } = await read(
      { OPS_TOKEN: 'given', ...given('github', 'generic') },
      [
        'webhook:',
        '  tools: { generic: { enabled: false } }',
        '  security: { signature_secrets: { github: "${GITHUB_WEBHOOK_SECRET}" } }',
      ].join('\n'),
    )
    expect(freshSecrets).toEqual(['GITHUB_WEBHOOK_SECRET'])
  })

  it('make a master key where encryption is switched on, which may be read by its owner alone', async () => {
    const env = { WEBHOOK_ENCRYPTION_ENABLED: 'true', OPS_TOKEN: 'given', ...given() }
    const { madeSecrets, config } = await read(env)
    expect(Object.keys(madeSecrets)).toEqual(['ENCRYPTION_MASTER_KEY'])
    expect(masterKeyProblem(madeSecrets.ENCRYPTION_MASTER_KEY as string)).toBeUndefined()
    expect(config.webhook.security.encryption_master_key).toBe(madeSecrets.ENCRYPTION_MASTER_KEY)
    expect((await read(env)).madeSecrets).toEqual(madeSecrets)
    const inFile = 'webhook: { security: { encryption_master_key: Zk3v0qXo9dT1uB7sYw5LmN8rHc2JfPgA } }'
    expect((await read(env, inFile)).madeSecrets).toEqual({})
  })

  it('make none in production, which does not run without the token', async () => {
    for (const name of ['NODE_ENV', 'WEIR_ENV']) {
      await expect(read({ [name]: 'production' })).rejects.toThrow(/OPS_TOKEN/)
    }
    const { madeSecrets } = await read({ NODE_ENV: 'production', OPS_TOKEN: 'given' })
    expect(madeSecrets).toEqual({})
    expect(existsSync(join(root, '.weir'))).toBe(false)
  })

  it('make one for every tool, and none for those that are switched off or need none', async () => {
    const tools = (freshSecrets: readonly string[]) =>
      freshSecrets
        .filter((name) => name.endsWith('_WEBHOOK_SECRET'))
        .map((name) => name.split('_')[0]?.toLowerCase())
    expect(tools((await read()).freshSecrets)).toEqual([...TOOLS])
    const off = 'webhook: { tools: { jira: { signature: none }, gitlab: { enabled: false } } }'
    rmSync(join(root, '.weir'), { recursive: true, force: true })
    const others = TOOLS.filter((tool) => tool !== 'jira' && tool !== 'gitlab')
    expect(tools((await read({}, off)).freshSecrets)).toEqual(others)
  })

  it('want a private Redis only when nothing says which one to use', async () => {
    expect((await read()).privateRedis).toBe(true)
    expect((await read({ REDIS_URL: 'redis://elsewhere:6379' })).privateRedis).toBe(false)
    expect((await read({ REDIS_ADDRESSES: 'elsewhere:6379' })).privateRedis).toBe(false)
    expect((await read({ REDIS_PASSWORD: 'secret' })).privateRedis).toBe(false)
    expect((await read({}, 'webhook: { redis: { url: "redis://elsewhere:6379" } }')).privateRedis).toBe(false)
  })

  it('name paths absolutely, so that the apps mean the same ones', async () => {
    const { dataDirectory, childEnv } = await read({ WEIR_DATA_DIR: 'data' }, 'webhook: {}')
    expect(dataDirectory).toBe(join(root, 'data'))
    expect(childEnv).toMatchObject({
      WEIR_DATA_DIR: join(root, 'data'),
      CONFIG_FILE: join(root, 'config.yaml'),
    })
  })

  it('pass on everything else that was given', async () => {
    expect((await read({ PATH: '/bin', LOG_LEVEL: 'debug' })).childEnv).toMatchObject({
      PATH: '/bin',
      LOG_LEVEL: 'debug',
    })
  })
})

describe('the plan of the apps', () => {
  it('follows the ports and hosts of the configuration', async () => {
    const { config } = await read(
      { PORT: '9000', OPS_PORT: '9001', OPS_TOKEN: 'tok' },
      'webhook: { ops: { host: "::1" } }',
    )
    const [gateway, consumer, curator, console, ...more] = appPlans(config, '/apps')
    expect(more).toEqual([])
    expect(gateway).toMatchObject({
      name: 'gateway',
      script: '/apps/ingest/src/main.ts',
      ports: [{ port: 9000 }],
      ready: { url: 'http://localhost:9000/ready' },
    })
    expect(consumer?.ready?.url).toBe('http://[::1]:8082/ready')
    expect(curator).toMatchObject({ name: 'curator', ready: { url: 'http://[::1]:8083/ready' } })
    expect(console).toMatchObject({
      ports: [{ port: 9001 }],
      ready: { url: 'http://[::1]:9001/ledger', headers: { authorization: 'Bearer tok' } },
    })
  })

  it('takes a gateway for ready only when it has Redis', async () => {
    const [gateway] = appPlans((await read()).config, '/apps')
    expect(gateway?.ready?.accept?.({ status: 'ok', redis: 'ok' })).toBe(true)
    expect(gateway?.ready?.accept?.({ status: 'degraded', redis: 'disconnected' })).toBe(false)
    expect(gateway?.ready?.accept?.(null)).toBe(false)
  })

  it('asks a consumer without a port nothing', async () => {
    for (const port of ['off', '0']) {
      const { config } = await read({}, `webhook: { consumer: { ops_port: ${port} } }`)
      expect(appPlans(config, '/apps')[1]?.ready).toBeUndefined()
    }
  })
})
