/** Everything that can happen, in the order in which it is run. */
import type { Scenario } from './scenario.ts'
import { FAILOVER_SCENARIOS } from './scenarios/failovers.ts'
import { PROCESS_SCENARIOS } from './scenarios/processes.ts'
import { REDIS_SCENARIOS } from './scenarios/redis.ts'
import { STORAGE_SCENARIOS } from './scenarios/storage.ts'

export const MATRIX: readonly Scenario[] = [
  ...PROCESS_SCENARIOS,
  ...REDIS_SCENARIOS,
  ...FAILOVER_SCENARIOS,
  ...STORAGE_SCENARIOS,
]
