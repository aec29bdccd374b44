/** The Redis server program on this machine; the same program is a Sentinel, too. */
import { existsSync } from 'node:fs'
import { Fault } from '@weir/core/faults'
import { findOrInstall, type Machine, thisMachine } from './installed-program.ts'

/**
 * Path of redis-server or valkey-server. When there is none: installs Debian's package when root on a Debian-like
 * machine, else throws a Fault (REDIS_UNAVAILABLE) whose one line says what to install.
 */
export function ensureRedisBinary(machine: Machine = thisMachine()): string {
  const found = findOrInstall(['redis-server', 'valkey-server'], 'redis-server', machine)
  switch (found.kind) {
    case 'found':
      return found.path
    case 'installed':
      // The package starts its own service on port 6379, which nobody asked for: Weir runs its own server.
      if (existsSync('/run/systemd/system'))
        machine.run('systemctl', ['disable', '--now', 'redis-server.service'])
      return found.path
    case 'install-failed':
      throw new Fault('REDIS_UNAVAILABLE', found.why)
    case 'missing':
      throw new Fault(
        'REDIS_UNAVAILABLE',
        'no redis-server or valkey-server on PATH. Install one (Debian, Ubuntu: apt-get install redis-server; ' +
          'Fedora: dnf install valkey; macOS: brew install redis), or set REDIS_URL to a server that runs already',
      )
  }
}
