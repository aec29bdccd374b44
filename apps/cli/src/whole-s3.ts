/** Cold storage that is half-configured would be a directory of this machine, where nothing is. */
import type { Config } from '@weir/core/config/schema'
import { CommandFailure } from './exit.ts'

export const HALF_S3 = 'S3_ENDPOINT is set and S3_BUCKET is not'
export const HALF_S3_FIX = 'set S3_BUCKET too, or unset S3_ENDPOINT'

export function isHalf({ webhook }: Config): boolean {
  const { bucket, endpoint } = webhook.context_lifecycle.s3
  return bucket === null && endpoint !== null
}

/** For commands that write to cold storage, or take it for all that there is. Throws a CommandFailure. */
export function requireWholeS3(config: Config): void {
  if (isHalf(config)) throw new CommandFailure(`cold storage is half-configured: ${HALF_S3}; ${HALF_S3_FIX}.`)
}
