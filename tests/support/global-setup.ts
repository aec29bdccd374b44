/** Runs once before all test files: the tests use real Redis servers, so there must be a program to start. */
import { ensureRedisBinary } from '../../scripts/redis-binary.ts'

export default function setup(): void {
  ensureRedisBinary()
}
