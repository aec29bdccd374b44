/**
 * Until when the certificates are good that this process uses. A file is read again when it has changed, because certificates are
 * renewed while the process runs. One that cannot be read keeps the time it had: connections use the last good one too (redis/tls.ts).
 */
import { X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'

export interface CertificateFile {
  /** Where it is configured, such as `redis.ca`; never its path, which says more of the machine than a metric should. */
  readonly name: string
  readonly path: string
}

export interface Certificates {
  /** File's name → end of the first of its certificates to end, s since the epoch. Those that were never readable are left out. */
  expiries(): Promise<ReadonlyMap<string, number>>
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

export function createCertificates(files: readonly CertificateFile[]): Certificates {
  const known = new Map<string, { readonly version: string; readonly expiry: number | undefined }>()

  async function look({ name, path }: CertificateFile): Promise<void> {
    const before = known.get(name)
    let version: string
    try {
      version = await versionOf(path)
      if (before?.version === version) return
      const expiry = firstExpiry(await readFile(path, 'utf8'))
      known.set(name, { version, expiry })
    } catch {
      // Gone, unreadable, or half written: what reads it for a connection tells that; here the last known time stays.
    }
  }

  return {
    async expiries() {
      await Promise.all(files.map(look))
      const expiries = new Map<string, number>()
      for (const [name, { expiry }] of known) if (expiry !== undefined) expiries.set(name, expiry)
      return expiries
    },
  }
}

/** Another after every change, also where a link is pointed elsewhere, as Kubernetes renews mounted secrets. */
async function versionOf(path: string): Promise<string> {
  const { ino, size, mtimeMs, ctimeMs } = await stat(path)
  return [ino, size, mtimeMs, ctimeMs].join(':')
}

/** s since the epoch; undefined where there is no certificate in the text. Throws for one that is damaged. */
function firstExpiry(pem: string): number | undefined {
  const ends = (pem.match(CERTIFICATE) ?? []).map((one) => new X509Certificate(one).validToDate.getTime())
  return ends.length === 0 ? undefined : Math.min(...ends) / 1000
}
