import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { keySlot } from '@weir/core/redis/slot'
import { describe, expect, it } from 'vitest'
import { withCluster } from '../support/cluster.ts'
import { root } from '../support/process.ts'
import { withRedis } from '../support/redis.ts'
import { withTlsRedis } from '../support/tls.ts'
import { useProcesses } from '../support/use-processes.ts'
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

describe('a user that lacks a right', () => {
  it(
    'is told of in one sentence by gateway and consumer; events are spooled, and all heals when the right is given',
    PATIENT,
    () =>
      withRedis(async (control, server) => {
        const rights = documentedUser()
        await control.call('ACL', 'SETUSER', ...rights)
        const env = { REDIS_URL: `redis://weir:secret@127.0.0.1:${server.port}` }
        await withPipelineOn(processes, env, 1, async ({ sender, ...pipeline }) => {
          sender.start(4)
          await sender.untilAccepted(50)
          await control.call('ACL', 'SETUSER', 'weir', '-xadd', '-xack')
          await sender.untilAccepted(50)
          const sentence =
            /Redis refused [^"]*; check the password and the ACL of this user \(ACL LOG on the server/
          await pipeline.gateway().waitForLine(sentence)
          await pipeline.consumers()[0]?.waitForLine(sentence)
          const told = pipeline.gateway().output().split('they are spooled').length - 1
          expect(told).toBeLessThan(3)
          await control.call('ACL', 'SETUSER', 'weir', '+xadd', '+xack')
          await sender.untilAccepted(50)
          await sender.stop()
          await pipeline.expectNothingLost()
          expect(sender.statuses).toEqual(new Map([[202, sender.accepted.size]]))
        })
      }),
  )
})

describe('a Redis Cluster', () => {
  const slot = keySlot('webhook-events:{0}')

  it(
    'may move the slot of a partition under load, key by key: what cannot be taken meanwhile is spooled',
    PATIENT,
    () =>
      withCluster(
        async (cluster) => {
          const env = { REDIS_CLUSTER_ENABLED: 'true', REDIS_ADDRESSES: cluster.seeds.join(',') }
          await withPipelineOn(processes, env, 1, async ({ sender, ...pipeline }) => {
            sender.start(4)
            await sender.untilAccepted(50)
            const owner = await cluster.masterOf(slot)
            const other = cluster.nodes.find((node) => node !== owner)!
            // In the middle of it, with some keys here and some there, the gateway must take events all the same.
            const moved = await cluster.migrateSlot(slot, other, {
              batch: 2,
              onStep: async (step) => {
                if (step.kind === 'moving' && step.moved === 2) await sender.untilAccepted(20)
                return 'go on'
              },
            })
            expect(moved).toBe('moved')
            await sender.untilAccepted(50)
            expect((await cluster.masterOf(slot)).port).toBe(other.port)
            await sender.stop()
            await pipeline.expectNothingLost()
            expect(sender.statuses).toEqual(new Map([[202, sender.accepted.size]]))
          })
        },
        { masters: 3, openConnections: 'allowed' },
      ),
  )

  it(
    'goes on with the replica of a master that died; what was not passed on yet is offered again',
    PATIENT,
    () =>
      withCluster(
        async (cluster) => {
          const env = { REDIS_CLUSTER_ENABLED: 'true', REDIS_ADDRESSES: cluster.seeds.join(',') }
          await withPipelineOn(processes, env, 1, async ({ sender, ...pipeline }) => {
            sender.start(4)
            await sender.untilAccepted(100)
            const owner = await cluster.masterOf(slot)
            await owner.kill('SIGKILL')
            await sender.untilAccepted(50) // into the spool
            await cluster.untilMasterOfIsNot(slot, owner)
            await sender.untilAccepted(100)
            await owner.restart()
            await sender.untilAccepted(50)
            await sender.stop()
            await pipeline.expectNothingLost()
            expect(sender.statuses).toEqual(new Map([[202, sender.accepted.size]]))
          })
        },
        { masters: 3, replicasPerMaster: 1, openConnections: 'allowed' },
      ),
  )
})
