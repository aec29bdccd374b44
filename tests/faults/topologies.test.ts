import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root, useProcesses } from '../support/process.ts'
import { withTlsRedis } from '../support/tls.ts'
import { withPipelineOn } from './pipeline.ts'

const processes = useProcesses()
/** Processes start and stop several times; the machine may be busy. */
const PATIENT = { timeout: 90_000 }

/** The rights that the documentation tells operators to give: `user weir on >secret …`. */
function documentedUser(): string[] {
  const page = readFileSync(join(root, 'docs/redis.md'), 'utf8')
  const line = /^user (weir on >secret .*)$/m.exec(page)?.[1]
  if (line === undefined) throw new Error('docs/redis.md has no line of an ACL user')
  return line.split(' ')
}

describe('Redis with TLS, client certificates and a user of its own', () => {
  it('carries the whole pipeline with just the rights that the documentation names', PATIENT, () =>
    withTlsRedis(
      async ({ server, certificates, client }) => {
        const control = client()
        await control.call('ACL', 'SETUSER', ...documentedUser())
        const { caFile = '', certFile = '', keyFile = '' } = certificates.client
        const env = {
          REDIS_URL: `rediss://weir:secret@127.0.0.1:${server.port}`,
          REDIS_TLS_CA_FILE: caFile,
          REDIS_TLS_CERT_FILE: certFile,
          REDIS_TLS_KEY_FILE: keyFile,
        }
        await withPipelineOn(processes, env, 1, async ({ sender, ...pipeline }) => {
          sender.start(4)
          await sender.untilAccepted(50)
          await server.restart('SIGKILL')
          // Users live in memory here, or in a file; for a moment nobody knows us.
          await client().call('ACL', 'SETUSER', ...documentedUser())
          await sender.untilAccepted(50)
          await sender.stop()
          await pipeline.expectNothingLost()
          const denied = (await client().call('ACL', 'LOG')) as string[][]
          expect(denied.filter((entry) => entry[3] !== 'auth')).toEqual([])
          const logs = [pipeline.gateway(), ...pipeline.consumers()]
            .map((process) => process.output())
            .join('')
          expect(logs).not.toMatch(/REDIS_UNSUITABLE|NOPERM/)
          expect(logs).not.toContain('weir:secret')
        })
      },
      { openConnections: 'allowed' },
    ),
  )
})
