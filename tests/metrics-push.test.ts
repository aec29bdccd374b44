/** Every process pushes its metrics: to a server that decodes what comes, and to the real Pushgateway where there is one. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../scripts/free-port.ts'
import { type Apps, COMPONENTS, type Component, startApps } from './support/apps.ts'
import { sendGithub } from './support/gateway.ts'
import { useRedis } from './support/redis.ts'
import { useProcesses } from './support/use-processes.ts'

const redis = useRedis({ appendfsync: 'no', openConnections: 'allowed' })
const processes = useProcesses()
let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-push-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** Prometheus text as name with labels → value. Throws for a line that is none. */
function decode(text: string): ReadonlyMap<string, number> {
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('# HELP ') || line.startsWith('# TYPE ')) continue
    const [, name, value] = /^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)$/.exec(line) ?? []
    if (name === undefined) throw new Error(`not Prometheus text: ${line}`)
    samples.set(name, Number(value?.replace('Nan', 'NaN')))
  }
  return samples
}

/** Keeps the last push of each group, by its path. */
async function usePushServer() {
  const groups = new Map<string, ReadonlyMap<string, number>>()
  const problems: unknown[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    try {
      expect(request.method).toBe('PUT')
      groups.set(decodeURIComponent(request.url ?? ''), decode(Buffer.concat(chunks).toString()))
    } catch (error) {
      problems.push(error)
    }
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  return { groups, problems, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close }
}

const start = (push_gateway: string, components: readonly Component[] = COMPONENTS) =>
  startApps(processes, {
    directory,
    components,
    env: { REDIS_URL: redis.url },
    observability: { metrics: { push_gateway, push_interval: '1s' } },
  })
const instanceOf = (apps: Apps, component: Component) => `${hostname()}:${apps[component].port}`
const PATIENT = { timeout: 20_000 }

describe('the push of metrics', () => {
  it('comes from every process, in a group of its own, and once more when it stops', async () => {
    const server = await usePushServer()
    try {
      const apps = await start(server.url)
      const groupOf = (component: Component) =>
        server.groups.get(`/metrics/job/webhook-${component}/instance/${instanceOf(apps, component)}`)
      for (const component of COMPONENTS) {
        await expect.poll(() => groupOf(component), PATIENT).toBeDefined()
        const samples = groupOf(component)
        const build = [...(samples?.keys() ?? [])].find((name) => name.startsWith('webhook_build_info{'))
        expect(build).toContain(`component="${component}"`)
        // The first one may be made before Redis has answered.
        await expect.poll(() => groupOf(component)?.get('webhook_redis_connected'), PATIENT).toBe(1)
      }
      expect(server.groups.size).toBe(COMPONENTS.length)
      expect((await sendGithub(apps.gateway.port, 'd-1')).status).toBe(202)
      await expect.poll(() => groupOf('console')?.get('webhook_consumer_lag_messages'), PATIENT).toBe(0)
      // What consumers counted is theirs to push.
      expect([...(groupOf('console')?.keys() ?? [])].join()).not.toContain('webhook_events_settled_total')
      // The last push is made when everything has been counted, and does not say that Redis is away.
      expect((await sendGithub(apps.gateway.port, 'd-2')).status).toBe(202)
      for (const component of COMPONENTS)
        expect(await apps[component].process.kill('SIGTERM'), component).toMatchObject({ code: 0 })
      expect(groupOf('gateway')?.get('webhooks_received_total{path="/webhooks/:tool",status="202"}')).toBe(2)
      for (const component of COMPONENTS)
        expect(groupOf(component)?.get('webhook_redis_connected'), component).toBe(1)
      expect(server.problems).toEqual([])
    } finally {
      server.close()
    }
  }, 60_000)

  it('disturbs nobody when the Pushgateway is away: told once, counted, the work goes on', async () => {
    const server = await usePushServer()
    server.close()
    const components = ['gateway', 'console'] as const
    const apps = await start(server.url, components)
    const failures = async () => {
      const text = await (await fetch(`${apps.gateway.url}/metrics`)).text()
      return Number(/^webhook_metrics_pushes_total\{result="failed"\} (\d+)$/m.exec(text)?.[1] ?? 0)
    }
    await expect.poll(failures, PATIENT).toBeGreaterThanOrEqual(2)
    expect((await sendGithub(apps.gateway.port, 'd-1')).status).toBe(202)
    for (const component of components) {
      const { process } = apps[component]
      expect(await process.kill('SIGTERM'), component).toMatchObject({ code: 0 })
      expect(process.output().match(/"event":"metrics_push"/g), component).toHaveLength(1)
      expect(process.output()).toContain('ECONNREFUSED')
    }
  }, 60_000)
})

const installed = spawnSync('prometheus-pushgateway', ['--version']).error === undefined
const WITHOUT = 'needs prometheus-pushgateway: apt-get install prometheus-pushgateway'

describe('the real Pushgateway', () => {
  it.skipIf(!installed)(
    `takes the pushes of all processes, and forgets a group that is deleted${installed ? '' : ` (${WITHOUT})`}`,
    async () => {
      const url = `http://127.0.0.1:${await freePort()}`
      const pushgateway = processes.run('prometheus-pushgateway', {
        args: [`--web.listen-address=${url.slice('http://'.length)}`],
        cwd: directory,
      })
      await pushgateway.waitForHttp(`${url}/-/ready`)
      const apps = await start(url)
      const kept = async () => decode(await (await fetch(`${url}/metrics`)).text())
      const groupLabels = (component: Component) =>
        `instance="${instanceOf(apps, component)}",job="webhook-${component}"`
      for (const component of COMPONENTS) {
        const labels = groupLabels(component)
        const connected = async () => (await kept()).get(`webhook_redis_connected{${labels}}`)
        await expect.poll(connected, PATIENT).toBe(1)
        const samples = await kept()
        expect(samples.has(`push_time_seconds{${labels}}`)).toBe(true)
        expect(samples.get(`push_failure_time_seconds{${labels}}`)).toBe(0)
      }
      const group = `${url}/metrics/job/webhook-curator/instance/${instanceOf(apps, 'curator')}`
      expect(await apps.curator.process.kill('SIGTERM')).toMatchObject({ code: 0 })
      expect((await kept()).has(`webhook_redis_connected{${groupLabels('curator')}}`)).toBe(true)
      expect((await fetch(group, { method: 'DELETE' })).status).toBe(202)
      await expect
        .poll(async () => (await kept()).has(`webhook_redis_connected{${groupLabels('curator')}}`), PATIENT)
        .toBe(false)
      for (const component of ['gateway', 'consumer', 'console'] as const)
        await apps[component].process.kill('SIGTERM')
      await pushgateway.kill('SIGTERM')
    },
    60_000,
  )
})
