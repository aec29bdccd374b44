/** An S3 server for all tests of a file. */
import { afterAll, beforeAll } from 'vitest'
import { type S3Server, startS3 } from './s3.ts'

/** One server for all tests of the file, or of the `describe` in which this is called. */
export function useS3(): S3Server {
  let server: Awaited<ReturnType<typeof startS3>> | undefined
  const started = () => {
    if (!server) throw new Error('the S3 server of this file runs only inside its tests and hooks')
    return server
  }
  beforeAll(async () => {
    server = await startS3()
  })
  afterAll(() => server?.stop())
  return {
    get endpoint() {
      return started().endpoint
    },
    get port() {
      return started().port
    },
    makeBucket: () => started().makeBucket(),
  }
}
