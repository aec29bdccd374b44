import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { useProcesses } from '../tests/support/use-processes.ts'

// Composed from the documented formats, with addresses for documentation in place of real ones:
// https://docs.github.com/en/rest/meta/meta and
// https://support.atlassian.com/organization-administration/docs/ip-addresses-and-domains-for-atlassian-cloud-products
const GITHUB = {
  verifiable_password_authentication: false,
  hooks: ['203.0.113.0/25', '198.51.100.7/32', '203.0.113.128/25', '2001:db8:1::/48', '203.0.113.64/26'],
  web: ['192.0.2.0/24'],
}
const ATLASSIAN = {
  creationDate: '2026-01-01T00:00:00.000000',
  syncToken: 1_767_225_600,
  items: [
    item('203.0.113.0/25', ['jira', 'confluence'], ['ingress', 'egress']),
    item('203.0.113.128/25', ['jira'], ['egress']),
    item('192.0.2.0/25', ['jira'], ['ingress']),
    item('192.0.2.128/25', ['email'], ['egress']),
    item('198.51.100.0/28', ['bitbucket'], ['egress']),
    item('2001:db8:2::/48', ['bitbucket', 'jira'], ['egress']),
    // As older files have them.
    { network: '198.51.100.128', mask_len: 28, cidr: '198.51.100.128/28' },
  ],
}

function item(cidr: string, product: string[], direction: string[]): object {
  const [network = '', length = ''] = cidr.split('/')
  return { network, mask_len: Number(length), cidr, region: ['global'], product, direction }
}

describe('refresh-address-ranges', () => {
  const processes = useProcesses()
  let directory = ''
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'weir-ranges-'))
  })
  afterAll(() => rmSync(directory, { recursive: true }))

  async function run(sender: string, document: unknown, ...more: string[]): Promise<[number | null, string]> {
    const file = join(directory, 'ranges.json')
    writeFileSync(file, typeof document === 'string' ? document : JSON.stringify(document))
    const started = processes.start('scripts/refresh-address-ranges.ts', { args: [sender, file, ...more] })
    const { code } = await started.exit
    return [code, started.output().replaceAll(file, 'FILE')]
  }

  it('prints what GitHub sends hooks from', async () => {
    expect(await run('github', GITHUB)).toEqual([
      0,
      `# https://api.github.com/meta, hooks: 5 published, 3 aggregated
webhook:
  tools:
    github:
      allow_from:
        - '198.51.100.7/32'
        - '203.0.113.0/24'
        - '2001:db8:1::/48'
`,
    ])
  })

  it('prints what Jira sends from, and not where it receives, or what sends mail', async () => {
    expect(await run('atlassian', ATLASSIAN)).toEqual([
      0,
      `# https://ip-ranges.atlassian.com/, egress of jira: 4 published, 3 aggregated
webhook:
  tools:
    jira:
      allow_from:
        - '198.51.100.128/28'
        - '203.0.113.0/24'
        - '2001:db8:2::/48'
`,
    ])
  })

  it('prints what Bitbucket sends from', async () => {
    const [code, output] = await run('atlassian', ATLASSIAN, 'bitbucket')
    expect(code).toBe(0)
    expect(output).toContain(`    bitbucket:
      allow_from:
        - '198.51.100.0/28'
        - '198.51.100.128/28'
        - '2001:db8:2::/48'
`)
  })

  it.each<[string, string, unknown, string]>([
    ['no JSON', 'github', '<html>', 'FILE is no JSON: '],
    ['no object', 'github', [], 'FILE has no list "hooks"; download https://api.github.com/meta'],
    ['nothing', 'github', 'null', 'FILE has null where an object is expected'],
    ['the file of the other', 'github', ATLASSIAN, 'FILE has no list "hooks"'],
    [
      'the file of the other',
      'atlassian',
      GITHUB,
      'FILE has no list "items"; download https://ip-ranges.atlassian.com/',
    ],
    ['no range', 'github', { hooks: [] }, 'FILE has no range for github'],
    ['no range that sends', 'atlassian', { items: [ATLASSIAN.items[2]] }, 'FILE has no range for jira'],
    ['a number', 'github', { hooks: [7] }, 'FILE has 7 where an address range is expected'],
    ['an item without one', 'atlassian', { items: [{}] }, 'FILE has undefined where an address range'],
    ['a wrong one', 'github', { hooks: ['203.0.113.1/24'] }, 'probably 203.0.113.0/24 is meant'],
    [
      'all addresses',
      'github',
      { hooks: ['0.0.0.0/0'] },
      'FILE has the range 0.0.0.0/0, which is wider than',
    ],
    ['all of IPv6', 'github', { hooks: ['::/0'] }, 'FILE has the range ::/0, which is wider than'],
  ])('says in one sentence that a file has %s', async (_, sender, document, message) => {
    const [code, output] = await run(sender, document)
    expect(code).toBe(1)
    expect(output).toMatch(/^weir: .*\n$/)
    expect(output).toContain(message)
  })

  it('says what it wants', async () => {
    for (const args of [[], ['github'], ['gitlab', 'x'], ['atlassian', 'x', 'trello']]) {
      const started = processes.start('scripts/refresh-address-ranges.ts', { args })
      expect(await started.exit).toMatchObject({ code: 1 })
      expect(started.output()).toMatch(
        /^weir: usage: refresh-address-ranges\.ts github <meta\.json> \| .*\n$/,
      )
    }
    const missing = processes.start('scripts/refresh-address-ranges.ts', {
      args: ['github', '/nowhere.json'],
    })
    expect(await missing.exit).toMatchObject({ code: 1 })
    expect(missing.output()).toMatch(/^weir: \/nowhere\.json cannot be read: ENOENT.*\n$/)
  })
})
