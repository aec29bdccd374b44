/**
 * A process that writes to the audit trail as fast as it can: `appender.ts <redis url> <actor> <how many>`. Prints a line
 * with the number of each entry that was acknowledged.
 */
import { createAuditor } from '../../packages/core/src/audit/auditor.ts'
import { systemClock } from '../../packages/core/src/clock.ts'
import { partitionKeys } from '../../packages/core/src/keys.ts'
import { connectRedis } from '../../packages/core/src/redis/link.ts'
import { createAuditChain, createCheckpointSigner } from '../../packages/security/src/audit-checkpoint.ts'

/** The names of a default configuration. */
const NAMES = {
  stream: 'webhook-events',
  deadLetters: 'webhook-events-dlq',
  group: 'webhook-processors',
  cluster: false,
}

const [url = '', actor = '', count = '0'] = process.argv.slice(2)
const link = connectRedis({
  url,
  commandTimeoutMs: 5_000,
  connectTimeoutMs: 5_000,
  reconnectMaxDelayMs: 100,
  name: actor,
})
await link.ready()
const auditor = createAuditor({
  link,
  keys: partitionKeys(NAMES),
  chain: createAuditChain(createCheckpointSigner(undefined)),
  actor,
  checkpointEvery: 100,
  checkpointIntervalMs: 60_000,
  retentionMs: 86_400_000,
  clock: systemClock,
  random: Math.random,
  tell: (event) => console.error(JSON.stringify(event)),
})
auditor.start()
for (let i = 0; i < Number(count); i++) {
  const detail = { i }
  const [point] = await Promise.all([
    auditor.record({ action: 'test.record', target: 'x', outcome: 'done', detail }),
    auditor.note({ action: 'test.note', target: 'x', outcome: 'done', detail }),
  ])
  console.log(`wrote ${point?.n}`)
}
await auditor.close()
await link.close()
