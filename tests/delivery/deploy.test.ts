/** scripts/deploy-staging.sh with a kubectl that notes what it is asked; only its `kustomize` is the real one. */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { kustomize, manifestsOf, theOne } from '../manifests/kustomize.ts'
import { root } from '../support/process.ts'
import { useProcesses } from '../support/use-processes.ts'

const SCRIPT = 'scripts/deploy-staging.sh'
const SHA = '0123456789abcdef0123456789abcdef01234567'
const KEYS = {
  'webhook-secrets': 'redis-password ops-token hmac-secret',
  'redis-tls': 'ca.crt client.crt client.key server.crt server.key',
}

/** Notes its arguments and what it applies; answers as a cluster would that `STATE/` describes. */
const KUBECTL = `#!/usr/bin/env bash
set -eu
printf '%s\\n' "$*" >> "$STATE/calls"
args=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --namespace) shift 2 ;;
    --filename | --patch-file) cp "$2" "$STATE/$(basename "$2")"; args+=("$1"); shift 2 ;;
    *) args+=("$1"); shift ;;
  esac
done
case "\${args[*]}" in
  kustomize*) exec $REAL_KUSTOMIZE "\${args[@]:1}" ;;
  version*) [[ ! -e $STATE/away ]] || { echo 'connection refused' >&2; exit 1; } ;;
  'get namespace'*) [[ -e $STATE/namespace ]] ;;
  'create namespace'*) touch "$STATE/namespace" ;;
  'get secret webhook-secrets'*base64decode*) echo "decoded-\${args[4]}" | tr -dc 'a-z-' ;;
  'get secret'*) [[ ! -e "$STATE/keys-\${args[2]}" ]] || tr ' ' '\\n' < "$STATE/keys-\${args[2]}" ;;
  'rollout status'*) [[ ! -e $STATE/stuck || "\${args[*]}" != *"$(cat "$STATE/stuck")"* ]] ;;
  port-forward*) echo "Forwarding from 127.0.0.1:$FORWARDED_PORT -> 8080"; exec sleep 60 ;;
esac
`

describe.skipIf(kustomize === undefined)(
  'deploy-staging.sh (skipped where neither kubectl nor kustomize ≥ 5 is installed)',
  () => {
    const processes = useProcesses()
    const directory = mkdtempSync(join(tmpdir(), 'weir-deploy-'))
    const bin = join(directory, 'bin')
    let state = ''
    let server: Server
    let asked: { url: string | undefined; authorization: string | undefined; body: string }[] = []

    beforeAll(async () => {
      mkdirSync(bin)
      writeFileSync(join(bin, 'kubectl'), KUBECTL)
      chmodSync(join(bin, 'kubectl'), 0o755)
      // Stands for everything that is reached by HTTP: the forwarded gateway (which nobody could call healthy), and Grafana.
      server = createServer((request: IncomingMessage, response) => {
        let body = ''
        request.on('data', (chunk) => {
          body += chunk
        })
        request.on('end', () => {
          asked.push({ url: request.url, authorization: request.headers.authorization, body })
          response.writeHead(request.url === '/api/dashboards/db' ? 200 : 503).end('{}')
        })
      }).listen(0, '127.0.0.1')
      await new Promise((resolve) => server.once('listening', resolve))
    })
    afterAll(() => {
      server.close()
      rmSync(directory, { recursive: true })
    })
    beforeEach(() => {
      asked = []
      state = mkdtempSync(join(directory, 'state-'))
      writeFileSync(join(state, 'namespace'), '')
      for (const [name, keys] of Object.entries(KEYS)) writeFileSync(join(state, `keys-${name}`), keys)
    })
    afterEach(() => {
      // Nothing of it stays in the tree, however it ended.
      expect(readdirSync(join(root, 'k8s/overlays')).filter((name) => name.startsWith('.deploy'))).toEqual([])
    })

    const port = () => (server.address() as AddressInfo).port
    const deploy = async (env: Record<string, string> = {}, ...args: string[]) => {
      const [program = '', ...first] = kustomize ?? []
      const found = spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).stdout.trim()
      const script = processes.run(SCRIPT, {
        args,
        env: {
          STATE: state,
          REAL_KUSTOMIZE: [found, ...first].join(' '),
          FORWARDED_PORT: String(port()),
          IMAGE_SHA: SHA,
          PATH: `${bin}${delimiter}${process.env.PATH}`,
          ...env,
        },
      })
      const { code } = await script.done
      let calls: string[] = []
      try {
        calls = readFileSync(join(state, 'calls'), 'utf8').trim().split('\n')
      } catch {
        calls = []
      }
      return { code, output: script.output(), calls: calls.filter((call) => !call.startsWith('kustomize')) }
    }
    const applied = () => manifestsOf(readFileSync(join(state, 'manifests.yaml'), 'utf8'))

    it('applies the overlay with the image of the commit, and waits for Redis first, then for everything', async () => {
      const { code, output, calls } = await deploy({}, '--skip-smoke-tests')
      expect(code, output).toBe(0)
      const image = `ghcr.io/example/weir-webhook:${SHA}`
      for (const [kind, name] of [
        ['StatefulSet', 'webhook-gateway'],
        ['Deployment', 'webhook-processor'],
      ] as const)
        expect(theOne(applied(), kind, name).spec.template.spec.containers[0].image).toBe(image)
      expect(theOne(applied(), 'Namespace', 'webhook-staging')).toBeDefined()
      const waited = calls.flatMap((call) => /rollout status (\S+)/.exec(call)?.[1] ?? [])
      expect(waited.slice(0, 2).sort()).toEqual([
        'statefulset/webhook-redis',
        'statefulset/webhook-redis-sentinel',
      ])
      expect(waited.slice(2).sort()).toEqual(
        [
          'statefulset/webhook-gateway',
          ...['console', 'curator', 'processor'].map((name) => `deployment/webhook-${name}`),
        ].sort(),
      )
      const order = ['apply', 'rollout'].map((word) => calls.findIndex((call) => call.includes(word)))
      expect(order).toEqual([...order].sort((one, other) => one - other))
      expect(output.trim().split('\n').at(-1)).toBe(`── ${image} runs in webhook-staging`)
    })

    it('takes the repository of the image from IMAGE_REPOSITORY', async () => {
      await deploy({ IMAGE_REPOSITORY: 'registry.example:5000/team/weir-webhook' }, '--skip-smoke-tests')
      const { image } = theOne(applied(), 'Deployment', 'webhook-console').spec.template.spec.containers[0]
      expect(image).toBe(`registry.example:5000/team/weir-webhook:${SHA}`)
    })

    it('writes the secrets whose variables are set, in a file and not in arguments, beside those that are there', async () => {
      const { code, calls, output } = await deploy(
        { OPS_TOKEN: 'tok"en', HMAC_SECRET: 'h' },
        '--skip-smoke-tests',
      )
      expect(code, output).toBe(0)
      const patch = calls.find((call) => call.includes('patch secret'))
      expect(patch).toContain('patch secret webhook-secrets --type merge')
      expect(`${calls.join()}${output}`).not.toContain('tok"en')
      const { data } = JSON.parse(readFileSync(join(state, 'secret.json'), 'utf8'))
      expect(data).toEqual({ 'ops-token': btoa('tok"en'), 'hmac-secret': btoa('h') })
    })

    it('makes namespace and Secret where they are not there', async () => {
      for (const name of ['namespace', 'keys-webhook-secrets']) rmSync(join(state, name))
      const all = { REDIS_PASSWORD: 'r', OPS_TOKEN: 'o', HMAC_SECRET: 'h' }
      const { code, calls, output } = await deploy(all, '--skip-smoke-tests')
      expect(code, output).toBe(0)
      const order = ['create namespace webhook-staging', 'create --filename', 'apply --filename'].map(
        (word) => calls.findIndex((call) => call.includes(word)),
      )
      expect(order.every((at) => at >= 0)).toBe(true)
      expect(order).toEqual([...order].sort((one, other) => one - other))
    })

    it('changes nothing with --dry-run', async () => {
      const { code, calls, output } = await deploy({ OPS_TOKEN: 'new' }, '--dry-run')
      expect(code, output).toBe(0)
      expect(
        calls.filter((call) => /create|patch|rollout|port-forward|apply(?! --dry-run=server)/.test(call)),
      ).toEqual([])
      expect(calls.some((call) => call.startsWith('apply --dry-run=server'))).toBe(true)
      expect(output).toContain('nothing was changed')
    })

    it('fails, and says how to go back, when a roll-out is stuck or the smoke tests fail', async () => {
      writeFileSync(join(state, 'stuck'), 'deployment/webhook-processor')
      const stuck = await deploy({}, '--skip-smoke-tests', '--timeout', '2s')
      expect(stuck.code).toBe(1)
      expect(stuck.output).toMatch(
        /deployment\/webhook-processor did not come up within 2s; .*rollout undo deployment\/webhook-processor/,
      )
      rmSync(join(state, 'stuck'))
      const smoke = await deploy()
      expect(smoke.code).toBe(1)
      expect(asked.map(({ url }) => url)).toEqual(['/health'])
      expect(smoke.output).toMatch(/the gateway is alive: expected 200, got 503/)
      expect(smoke.output).toMatch(/the smoke tests failed; go back: .*rollout undo/)
    })

    it.each([
      [{ IMAGE_SHA: '' }, [], 'set IMAGE_SHA to the commit'],
      [{ IMAGE_SHA: 'latest' }, [], "IMAGE_SHA is a commit, 7 to 40 hexadecimal digits, not 'latest'"],
      [{}, ['--overlay', 'k8s'], "'k8s' has no kustomization.yaml"],
      [{}, ['--timeout', 'long'], '--timeout is a duration such as 300s'],
      [{}, ['--dryrun'], "unknown argument '--dryrun'"],
    ])('refuses in one sentence what cannot be meant (%#)', async (env, args, sentence) => {
      const { code, output, calls } = await deploy(env, ...args)
      expect([code, calls]).toEqual([2, []])
      expect(output).toMatch(/^deploy-staging\.sh: [^\n]*\n$/)
      expect(output).toContain(sentence)
    })

    it('says in one sentence that kubectl is missing', async () => {
      // What the script needs until it looks for kubectl, and what starts it; nothing else.
      const tools = join(directory, 'tools')
      mkdirSync(tools)
      for (const name of ['bash', 'dirname', 'env', 'setpriv']) {
        const target = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim()
        if (target !== '') symlinkSync(target, join(tools, name))
      }
      const { code, output } = await deploy({ PATH: tools })
      expect([code, output]).toEqual([
        2,
        expect.stringMatching(/^deploy-staging\.sh: needs kubectl, 1\.27 or later [^\n]*\n$/),
      ])
    })

    it.each([
      ['away', '', /the cluster does not answer; .*connection refused/],
      [
        'keys-redis-tls',
        'ca.crt client.crt client.key',
        /the Secret redis-tls in webhook-staging has no key server\.crt; docs\/kubernetes\.md/,
      ],
      [
        'keys-webhook-secrets',
        'redis-password',
        /the Secret webhook-secrets in webhook-staging has no key ops-token/,
      ],
    ])(
      'stops before it applies anything when the cluster is not fit (%s)',
      async (file, content, sentence) => {
        writeFileSync(join(state, file), content)
        const { code, output, calls } = await deploy()
        expect(code).toBe(1)
        expect(output.trim().split('\n').at(-1)).toMatch(sentence)
        expect(calls.some((call) => call.includes('apply'))).toBe(false)
      },
    )
  },
)
