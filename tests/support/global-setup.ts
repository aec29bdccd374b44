/** Runs once before all test files: the tests use real Redis servers and real certificates, made by these programs. */
import { findOrInstall, thisMachine } from '../../scripts/installed-program.ts'
import { ensureRedisBinary } from '../../scripts/redis-binary.ts'

export default function setup(): void {
  ensureRedisBinary()
  const openssl = findOrInstall(['openssl'], 'openssl', thisMachine())
  if (openssl.kind === 'install-failed') throw new Error(openssl.why)
  if (openssl.kind === 'missing')
    throw new Error('no openssl on PATH: the tests of TLS need it (Debian, Ubuntu: apt-get install openssl)')
}
