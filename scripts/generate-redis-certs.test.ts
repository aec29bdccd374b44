import { spawnSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const SCRIPT = fileURLToPath(new URL('./generate-redis-certs.sh', import.meta.url))
const FILES = ['ca.crt', 'ca.key', 'client.crt', 'client.key', 'server.crt', 'server.key']
const DAY_MS = 86_400_000
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-certs-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

function generate(...args: string[]) {
  return spawnSync(SCRIPT, args, { cwd: directory, encoding: 'utf8' })
}

function certificate(name: string, from = directory): X509Certificate {
  return new X509Certificate(readFileSync(join(from, `${name}.crt`)))
}

function daysLeft({ validTo }: X509Certificate): number {
  return Math.round((Date.parse(validTo) - Date.now()) / DAY_MS)
}

describe('generate-redis-certs.sh', () => {
  it('makes an authority, a server and a client in the current directory, readable by their owner only', () => {
    expect(generate()).toMatchObject({ status: 0, stderr: '' })
    expect(readdirSync(directory).sort()).toEqual(FILES)
    for (const file of FILES) expect(statSync(join(directory, file)).mode & 0o777).toBe(0o600)

    const [ca, server, client] = [certificate('ca'), certificate('server'), certificate('client')]
    expect([ca.ca, server.ca, client.ca]).toEqual([true, false, false])
    for (const signed of [ca, server, client]) {
      expect(signed.verify(ca.publicKey)).toBe(true)
      expect(daysLeft(signed)).toBe(365)
    }
    for (const name of ['ca', 'server', 'client']) {
      const key = createPrivateKey(readFileSync(join(directory, `${name}.key`)))
      expect(certificate(name).checkPrivateKey(key)).toBe(true)
    }
    expect(server.subjectAltName).toBe('DNS:localhost, IP Address:127.0.0.1')
    expect(server.keyUsage).toEqual([SERVER_AUTH, CLIENT_AUTH])
    expect(client.keyUsage).toEqual([CLIENT_AUTH])
  })

  it('takes directory, days and hosts', () => {
    const dir = join(directory, 'made if', 'need be')
    const hosts = 'redis,*.redis.svc,10.0.0.7,[::1]'
    expect(generate('--dir', dir, '--days', '7', '--hosts', hosts).status).toBe(0)
    const server = certificate('server', dir)
    expect(daysLeft(server)).toBe(7)
    for (const host of ['redis', 'redis-0.redis.svc']) expect(server.checkHost(host)).toBeDefined()
    for (const ip of ['10.0.0.7', '::1']) expect(server.checkIP(ip)).toBeDefined()
    expect(server.checkHost('localhost')).toBeUndefined()
  })

  it('replaces nothing without --force', () => {
    writeFileSync(join(directory, 'server.crt'), 'precious')
    const refused = generate()
    expect(refused.status).toBe(1)
    expect(refused.stderr).toMatch(/server\.crt' exists.*--force/)
    expect(readdirSync(directory)).toEqual(['server.crt'])
    expect(readFileSync(join(directory, 'server.crt'), 'utf8')).toBe('precious')
    expect(generate('--force').status).toBe(0)
    expect(certificate('server').verify(certificate('ca').publicKey)).toBe(true)
  })

  it.each([
    [['--days', '0'], '--days is a number from 1 to 99999'],
    [['--days', '1e3'], '--days is a number from 1 to 99999'],
    [['--hosts', 'a,,b'], '--hosts is a list'],
    [['--hosts', 'a\nbasicConstraints=CA:TRUE'], '--hosts is a list'],
    [['--dir'], '--dir needs a value'],
    [['--dir', '--force'], '--dir needs a value'],
    [['--host', 'a'], "unknown argument '--host'"],
  ])('refuses %j in one sentence, and makes nothing', (args, sentence) => {
    const { status, stderr, stdout } = generate(...args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(sentence)
    expect(readdirSync(directory)).toEqual([])
  })

  it('says what it does with --help', () => {
    const { status, stdout } = generate('--help')
    expect(status).toBe(0)
    for (const word of ['--dir', '--days', '--hosts', '--force', ...FILES]) expect(stdout).toContain(word)
  })
})
