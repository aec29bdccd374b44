/**
 * TLS to Redis. The files are read for every connection anew, because certificates are renewed while the process runs;
 * when one cannot be read (it is just being replaced), the last good one is used.
 */
import { readFileSync } from 'node:fs'
import { type ConnectionOptions, createSecureContext } from 'node:tls'
import { Fault, messageOf } from '../faults.ts'

/** Paths of PEM files. */
export interface TlsFiles {
  /** Authority that signed the server's certificate; undefined = those of the system. */
  readonly caFile?: string | undefined
  /** The client's certificate, for servers that ask for one. */
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  /** The name that the server's certificate must have; undefined = the host that is connected to. */
  readonly serverName?: string | undefined
}

/** Reads the files once. Throws Fault CONFIG_INVALID naming the one that cannot be read, or that is no PEM. */
export function checkTlsFiles(files: TlsFiles): void {
  const read = (path: string | undefined, what: string) => {
    if (path === undefined) return undefined
    try {
      return readFileSync(path)
    } catch (cause) {
      throw new Fault('CONFIG_INVALID', `webhook.redis.${what}: ${messageOf(cause)}`, { cause })
    }
  }
  const ca = read(files.caFile, 'tls_ca_file')
  const cert = read(files.certFile, 'tls_cert_file')
  const key = read(files.keyFile, 'tls_key_file')
  try {
    createSecureContext({ ca, cert, key, minVersion: 'TLSv1.2' })
  } catch (cause) {
    throw new Fault(
      'CONFIG_INVALID',
      `webhook.redis.tls_cert_file, tls_key_file, tls_ca_file: these are not a certificate, its key and an authority in PEM form (${messageOf(cause)})`,
      { cause },
    )
  }
}

/**
 * Options for `tls.connect`. Their file contents are getters: whoever copies the options for a connection reads the files
 * at that moment.
 */
export function tlsOptions(files: TlsFiles, onError: (error: Error) => void): ConnectionOptions {
  const last = new Map<string, Buffer>()
  const read = (path: string | undefined): Buffer | undefined => {
    if (path === undefined) return undefined
    try {
      last.set(path, readFileSync(path))
    } catch (error) {
      onError(error instanceof Error ? error : new Error(String(error)))
    }
    return last.get(path)
  }
  const options: ConnectionOptions = {
    minVersion: 'TLSv1.2',
    get ca() {
      return read(files.caFile)
    },
    get cert() {
      return read(files.certFile)
    },
    get key() {
      return read(files.keyFile)
    },
  }
  if (files.serverName !== undefined) options.servername = files.serverName
  return options
}
