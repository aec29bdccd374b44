/** Compose files, workflows and shell scripts. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeConfig } from '@weir/core/config/describe'
import { OTHER_VARIABLES } from '@weir/core/config/environment'
import { loadConfig } from '@weir/core/config/load'
import { Ajv } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { findOrInstall, thisMachine } from '../../scripts/installed-program.ts'
import { manifestsOf } from '../manifests/kustomize.ts'
import { root } from '../support/process.ts'
import { type SchemaName, schemaOf } from './schemas.ts'

// biome-ignore lint/suspicious/noExplicitAny: files of arbitrary shape, checked against their schemas
type Tree = any

const read = (path: string) => readFileSync(join(root, path), 'utf8')
const yamlOf = (path: string): Tree => parse(read(path), { merge: true })
const WORKFLOWS = readdirSync(join(root, '.github/workflows')).map((name) => `.github/workflows/${name}`)
const COMPOSE = ['docker-compose.yml', 'docker-compose.staging.yml']

/** What is wrong with a file by its schema; empty when nothing is. */
function problemsOf(name: SchemaName, content: Tree): string[] {
  const schema = schemaOf(name) as { $schema: string }
  const options = { strict: false, allErrors: true, validateFormats: false }
  const ajv = schema.$schema.includes('2020-12') ? new Ajv2020(options) : new Ajv(options)
  const validate = ajv.compile(schema)
  return validate(content)
    ? []
    : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
}

describe.skipIf(schemaOf('compose-spec') === undefined)(
  'by their schemas (skipped where those cannot be fetched)',
  () => {
    it.each(COMPOSE)('%s is a compose file', (file) => {
      const content = yamlOf(file)
      expect(problemsOf('compose-spec', content)).toEqual([])
      const broken = {
        ...content,
        services: { ...content.services, gateway: { ...content.services.gateway, prots: ['1:1'] } },
      }
      expect(problemsOf('compose-spec', broken).join()).toContain(
        '/services/gateway must NOT have unevaluated properties',
      )
    })

    it.each(WORKFLOWS)('%s is a workflow', (file) => {
      const content = yamlOf(file)
      expect(problemsOf('github-workflows', content)).toEqual([])
      const [job = ''] = Object.keys(content.jobs)
      const broken = {
        ...content,
        jobs: { [job]: { ...content.jobs[job], 'runs-on': undefined, 'run-on': 'x' } },
      }
      expect(problemsOf('github-workflows', broken)).not.toEqual([])
    })
  },
)

describe.each(COMPOSE)('%s', (file) => {
  const { services, volumes, secrets = {} } = yamlOf(file)
  const weir = Object.entries<Tree>(services).filter(([, { image }]) => image.includes('weir-webhook'))

  it('runs gateway (on 8080), consumer, curator and console, each by its argument, without rights and with time to stop', async () => {
    expect(weir.map(([name]) => name).sort()).toEqual(['console', 'consumer', 'curator', 'gateway'])
    expect(services.gateway.ports).toEqual(['8080:8080'])
    for (const [name, service] of weir) {
      expect(service.command).toEqual([name])
      expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'] })
    }
    const { webhook } = (await loadConfig({ env: {}, text: '' })).config
    const seconds = (name: string) => Number.parseInt(services[name].stop_grace_period, 10)
    expect(seconds('gateway') * 1000).toBeGreaterThan(webhook.ingest.shutdown_timeout)
    expect(seconds('consumer') * 1000).toBeGreaterThan(webhook.consumer.shutdown_timeout)
    expect(seconds('curator') * 1000).toBeGreaterThan(webhook.context_lifecycle.curator.shutdown_timeout)
  })

  it('sets variables that Weir has, which make a configuration for production', async () => {
    const known = new Set([...describeConfig().flatMap(({ env }) => env), ...Object.keys(OTHER_VARIABLES)])
    for (const [name, { environment }] of weir) {
      expect(
        Object.keys(environment).filter((each) => !known.has(each)),
        name,
      ).toEqual([])
      const filled = Object.entries<string>(environment).map(([key, value]) => [
        key,
        value.replace(/^\$\{\w+:-(.*)\}$/, '$1').replace(/^\$\{\w+:\?.*\}$/, 'a-secret-from-the-env-file'),
      ])
      const { config } = await loadConfig({
        env: { ...Object.fromEntries(filled), NODE_ENV: 'production' },
        text: '',
      })
      expect(config.webhook.redis.url).toBe('redis://redis:6379/0')
    }
  })

  it('asks for every secret, and .env.example names all that it asks for', () => {
    const example = read('.env.example')
    const asked = [...read(file).matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name)
    expect(asked.length).toBeGreaterThan(3)
    for (const name of asked) expect(example).toMatch(new RegExp(`^${name}=$`, 'm'))
    for (const { environment } of Object.values<Tree>(secrets)) expect(asked).toContain(environment)
  })

  it('runs Redis with nothing evicted and everything written down', () => {
    const command = services.redis.command.join(' ')
    for (const words of [
      '--appendonly yes',
      '--appendfsync always',
      '--maxmemory-policy noeviction',
      '--save ""',
    ])
      expect(command).toContain(words)
  })

  it('mounts what is there', () => {
    const mounted = Object.values<Tree>(services).flatMap((service) => (service.volumes ?? []) as string[])
    for (const [source = ''] of mounted.map((each) => each.split(':'))) {
      if (source.startsWith('./')) {
        // Prometheus, Grafana and their files come together.
        if (existsSync(join(root, 'monitoring'))) expect(existsSync(join(root, source)), source).toBe(true)
      } else expect(Object.keys(volumes)).toContain(source)
    }
  })
})

describe.each(WORKFLOWS)('%s', (file) => {
  it('pins every action by commit, with the tag beside it, and lets no failure pass', () => {
    const used = read(file)
      .split('\n')
      .filter((line) => /^\s*(- )?uses:/.test(line))
    expect(used.length).toBeGreaterThan(0)
    for (const line of used) expect(line).toMatch(/uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/)
    expect(read(file)).not.toMatch(/\|\| true|continue-on-error/)
    for (const job of Object.values<Tree>(yamlOf(file).jobs))
      expect(job['timeout-minutes']).toBeGreaterThan(0)
  })
})

describe('ci.yml', () => {
  const { jobs } = yamlOf('.github/workflows/ci.yml')

  it('has the jobs that must block, and runs only commands that package.json and the tree have', () => {
    expect(Object.keys(jobs)).toEqual([
      'check',
      'test',
      'faults',
      'lint-alerts',
      'manifests',
      'end-to-end',
      'secret-scan',
    ])
    const { scripts } = JSON.parse(read('package.json'))
    const commands = Object.values<Tree>(jobs).flatMap(({ steps }) => steps.map(({ run }: Tree) => run ?? ''))
    for (const command of commands) {
      const [, script] = /pnpm@12 (?!install)(\S+)/.exec(command) ?? []
      if (script) expect(Object.keys(scripts)).toContain(script)
      const [, path] = /^(scripts\/\S+)/.exec(command) ?? []
      if (path) expect(existsSync(join(root, path))).toBe(true)
    }
  })
})

describe('build-push-webhook.yml', () => {
  const { jobs, on } = yamlOf('.github/workflows/build-push-webhook.yml')

  it('pushes one tag, the commit, with its parts and provenance, when what is in the image changes', () => {
    const push = jobs.build.steps.find(({ id }: Tree) => id === 'push')
    expect(push.with).toMatchObject({
      file: 'Dockerfile.webhook',
      push: true,
      sbom: true,
      provenance: 'mode=max',
    })
    expect(push.with.tags).toBe('${{ steps.name.outputs.image }}')
    expect(jobs.build.steps.find(({ id }: Tree) => id === 'name').run).toContain(':${GITHUB_SHA}"')
    expect(jobs.build.permissions).toEqual({ contents: 'read', packages: 'write' })
    const copied = [...read('Dockerfile.webhook').matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(
      ([, from = '']) => from.split(' '),
    )
    for (const source of copied) {
      const triggers = on.push.paths.some(
        (path: string) => path === source || source.startsWith(path.replace(/\/\*\*$/, '')),
      )
      // A script that only comes along.
      if (source !== 'scripts/restore-contexts-from-s3.sh') expect(triggers, source).toBe(true)
    }
    expect(jobs['deploy-staging']).toMatchObject({ needs: 'build', environment: 'staging' })
  })
})

const shellcheck = findOrInstall(['shellcheck'], 'shellcheck', thisMachine())

describe.skipIf(!('path' in shellcheck))('shellcheck (skipped where it cannot be installed)', () => {
  const check = (...args: string[]) =>
    spawnSync('path' in shellcheck ? shellcheck.path : '', args, { encoding: 'utf8' }).stdout

  it('has nothing to say about scripts/', () => {
    const files = readdirSync(join(root, 'scripts'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.sh'),
    )
    expect(files.length).toBeGreaterThan(4)
    expect(check(...files.map((name) => join(root, 'scripts', name)))).toBe('')
  })

  it('has nothing to say about the scripts in the Redis manifests', () => {
    const directory = mkdtempSync(join(tmpdir(), 'weir-shellcheck-'))
    try {
      for (const file of ['k8s/redis-sentinel.yaml', 'k8s/redis-cluster.yaml']) {
        const [map] = manifestsOf(read(file)).filter(({ kind }) => kind === 'ConfigMap')
        const names = Object.keys(map.data).filter((name) => name.endsWith('.sh'))
        for (const name of names) writeFileSync(join(directory, name), map.data[name])
        // SC1091: a sourced file that it does not follow. SC2154: variables that pods set.
        const said = check(
          '--shell=sh',
          '--exclude=SC1091,SC2154',
          ...names.map((name) => join(directory, name)),
        )
        expect(said).toBe('')
      }
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
