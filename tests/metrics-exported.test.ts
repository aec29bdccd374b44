/** What real processes export is what docs/metrics.md says, in both directions. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Apps, COMPONENTS, type Component, startApps } from './support/apps.ts'
import { sendGithub } from './support/gateway.ts'
import { root } from './support/process.ts'
import { withTlsRedis } from './support/tls.ts'
import { useProcesses } from './support/use-processes.ts'

const processes = useProcesses()
let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-exported-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** Names of the metrics that a section of the page lists. */
function documented(section: string): string[] {
  const page = readFileSync(join(root, 'docs/metrics.md'), 'utf8')
  const from = page.indexOf(`\n## ${section}\n`)
  expect(from, section).toBeGreaterThan(0)
  const end = page.indexOf('\n## ', from + 1)
  const text = page.slice(from, end === -1 ? undefined : end)
  return [...text.matchAll(/^\| `(\w+)` \| (?:counter|gauge|histogram|summary) \|/gm)].map(
    ([, name]) => name!,
  )
}

const typesIn = (text: string) => [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name!)
const textOf = async (apps: Apps, component: Component) =>
  (await fetch(`${apps[component].url}/metrics`)).text()

const SECTIONS: Readonly<Record<Component, readonly string[]>> = {
  gateway: ['Every process', 'Gateway'],
  consumer: ['Every process', 'Consumer'],
  curator: ['Every process', 'Curator', 'Cold storage and AI'],
  // With the sums of the consumers that have reported.
  console: ['Every process', 'Operations API', 'Cold storage and AI', 'Consumer'],
}

describe('the metrics of real processes', () => {
  it(
    'are exactly those of docs/metrics.md, and each process tells of itself',
    () =>
      withTlsRedis(
        async ({ server, certificates }) => {
          const { caFile, certFile, keyFile } = certificates.client
          const apps = await startApps(processes, {
            directory,
            env: {
              REDIS_URL: server.url,
              REDIS_TLS_CA_FILE: caFile,
              REDIS_TLS_CERT_FILE: certFile,
              REDIS_TLS_KEY_FILE: keyFile,
            },
          })
          expect((await sendGithub(apps.gateway.port, 'd-1')).status).toBe(202)
          await expect.poll(() => textOf(apps, 'console')).toContain('webhook_events_settled_total{')
          for (const component of COMPONENTS) {
            const text = await textOf(apps, component)
            const exported = typesIn(text)
            expect(new Set(exported).size, component).toBe(exported.length)
            const listed = new Set(SECTIONS[component].flatMap(documented))
            expect(exported.sort(), component).toEqual([...listed].sort())
            expect(text).toMatch(
              new RegExp(
                `^webhook_build_info\\{version="\\d+\\.\\d+\\.\\d+",component="${component}"\\} 1$`,
                'm',
              ),
            )
            expect(text).toMatch(/^webhook_redis_connected 1$/m)
            for (const file of ['redis.cert', 'redis.ca'])
              expect(text).toMatch(
                new RegExp(`^webhook_certificate_expiry_timestamp_seconds\\{file="${file}"\\} \\d{10}$`, 'm'),
              )
            expect(text).not.toContain(caFile)
          }
          expect(await textOf(apps, 'consumer')).toMatch(
            /^webhook_stage_duration_seconds_count\{stage="settle"\} 1$/m,
          )
          for (const component of COMPONENTS)
            expect(await apps[component].process.kill('SIGTERM'), component).toMatchObject({ code: 0 })
        },
        { appendfsync: 'no', openConnections: 'allowed' },
      ),
    60_000,
  )
})
