/** What k8s/ promises, read off what kustomize builds. */
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeConfig } from '@weir/core/config/describe'
import { OTHER_VARIABLES } from '@weir/core/config/environment'
import { loadConfig } from '@weir/core/config/load'
import type { Config } from '@weir/core/config/schema'
import { parseSize } from '@weir/core/config/size'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from '../support/process.ts'
import { useProcesses } from '../support/use-processes.ts'
import { problemsOf } from './api.ts'
import { build, buildWith, kustomize, type Manifest, manifestsOf, podsOf, theOne } from './kustomize.ts'

const WAYS: Readonly<Record<string, () => Manifest[]>> = {
  staging: () => build('k8s/overlays/staging'),
  production: () => build('k8s/overlays/production'),
  'a Cluster': () => buildWith(['redis-cluster']),
  'a durable Cluster, KEDA, encrypted': () =>
    buildWith(['redis-cluster', 'redis-cluster/durable', 'keda', 'encryption', 'monitoring']),
}

/** Of 000–002's names; the ones that are optional are ours. */
const SECRET_KEYS = {
  needed: ['redis-password', 'ops-token', 'hmac-secret'],
  optional: ['encryption-key', 'openai-api-key', 'aws-access-key-id', 'aws-secret-access-key'],
}
/** Letters that a variable's secret value would have; long enough for a master key. */
const PLACEHOLDER = 'a-placeholder-of-more-than-32-characters'
const DNS_LABEL = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/

const bytesOf = (quantity: string): number => parseSize(quantity.replace(/([KMG])i$/, '$1iB')) ?? Number.NaN
const isWeir = (pod: Manifest): boolean => pod.metadata.labels.app === 'webhook-processor'
const componentOf = (pod: Manifest): string => pod.metadata.labels['app.kubernetes.io/component']
const settingsOf = (all: readonly Manifest[]): Record<string, string> =>
  theOne(all, 'ConfigMap', 'webhook-config').data
const fileOf = (all: readonly Manifest[]): string =>
  theOne(all, 'ConfigMap', 'webhook-config-file').data['config.yaml']
const selects = (selector: Manifest, labels: Readonly<Record<string, string>>): boolean =>
  Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value) &&
  (selector.matchExpressions ?? []).every(
    ({ key, values }: Manifest) => labels[key] !== undefined && values.includes(labels[key]),
  )

/** The variables that a container of Weir's gets, with a placeholder for each secret. */
function environmentOf(all: readonly Manifest[], pod: Manifest): Record<string, string> {
  const own = pod.spec.containers[0].env.map(({ name, value }: Manifest) => [name, value ?? PLACEHOLDER])
  const env = { ...settingsOf(all), ...Object.fromEntries(own) }
  return env.WEBHOOK_KEYRING_URL ? { ...env, WEBHOOK_KEYRING_URL: 'rediss://keyring:6379/0' } : env
}

describe.skipIf(kustomize === undefined)(
  'k8s/ (skipped where neither kubectl nor kustomize ≥ 5 is installed)',
  () => {
    describe('the check itself', () => {
      it('finds a field that the API does not have, a wrong value, what is missing, and an unknown kind', async () => {
        const consumer = theOne(build('k8s/overlays/staging'), 'Deployment', 'webhook-processor')
        expect(await problemsOf([consumer])).toEqual([])
        const misspelt = { ...consumer, spec: { ...consumer.spec, replcias: 3 } }
        expect(await problemsOf([misspelt])).toEqual([
          expect.stringMatching(/^Deployment\/webhook-processor: .*replcias/),
        ])
        const wrong = { ...consumer, spec: { ...consumer.spec, replicas: '3' } }
        expect((await problemsOf([wrong])).join()).toMatch(/replicas must be integer/)
        const { selector: _, ...without } = consumer.spec
        expect((await problemsOf([{ ...consumer, spec: without }])).join()).toMatch(
          /required property selector/,
        )
        const scaled = theOne(buildWith(['keda']), 'ScaledObject', 'webhook-processor')
        const bad = {
          ...scaled,
          spec: { ...scaled.spec, triggers: [{ type: 'prometheus' }], maxReplicas: 3 },
        }
        expect((await problemsOf([bad])).join()).toMatch(/triggers.*metadata/)
        expect((await problemsOf([{ ...scaled, spec: { ...scaled.spec, maxReplicas: 3 } }])).join()).toMatch(
          /maxReplicas/,
        )
      })
    })

    describe.each(Object.entries(WAYS))('%s', (way, make) => {
      let all: Manifest[] = []
      let config: Config
      beforeAll(async () => {
        all = make()
        const weir = podsOf(all).find(({ pod }) => componentOf(pod) === 'gateway')!
        const { CONFIG_FILE: _, ...env } = environmentOf(all, weir.pod)
        config = (await loadConfig({ env: { ...env, NODE_ENV: 'production' }, text: fileOf(all), cores: 4 }))
          .config
      })

      it('is valid against the schemas of the Kubernetes API and of the operators', async () => {
        expect(await problemsOf(all)).toEqual([])
      })

      it('is in one namespace, and names nothing twice', () => {
        const names = all.map(({ kind, metadata }) => `${kind}/${metadata.name}`)
        expect(new Set(names).size).toBe(names.length)
        const namespace = way === 'staging' ? 'webhook-staging' : 'webhook-system'
        for (const each of all) {
          expect(each.kind === 'Namespace' ? each.metadata.name : each.metadata.namespace).toBe(namespace)
          expect(each.metadata.name).toMatch(DNS_LABEL)
        }
      })

      it('sets only variables that Weir has, and holds no secret', () => {
        const known = new Set([
          ...describeConfig().flatMap(({ env }) => env),
          ...Object.keys(OTHER_VARIABLES),
        ])
        const secret = new Set(describeConfig().flatMap((field) => (field.secret ? field.env : [])))
        const weir = podsOf(all).filter(({ pod }) => isWeir(pod))
        expect(weir.map(({ pod }) => componentOf(pod)).sort()).toEqual(
          ['consumer', 'console', 'curator', 'gateway', 'retention'].sort(),
        )
        for (const { name, pod } of weir) {
          const variables = Object.keys(environmentOf(all, pod))
          expect(
            variables.filter((each) => !known.has(each)),
            name,
          ).toEqual([])
          for (const { name: variable, value } of pod.spec.containers[0].env)
            if (secret.has(variable)) expect(value, `${name} ${variable}`).toBeUndefined()
        }
        for (const variable of Object.keys(settingsOf(all)))
          expect(secret.has(variable), variable).toBe(false)
        expect(all.filter(({ kind }) => kind === 'Secret')).toEqual([])
      })

      it('takes from the Secret webhook-secrets the keys that docs/kubernetes.md names, the needed ones without `optional`', () => {
        const page = readFileSync(join(root, 'docs/kubernetes.md'), 'utf8')
        for (const { pod } of podsOf(all)) {
          for (const { valueFrom } of pod.spec.containers[0].env ?? []) {
            const from = valueFrom?.secretKeyRef
            if (!from) continue
            expect(from.name).toBe('webhook-secrets')
            const needed = [...SECRET_KEYS.needed, ...(way.includes('encrypted') ? ['keyring-url'] : [])]
            expect(from.optional === true ? SECRET_KEYS.optional : needed).toContain(from.key)
            expect(page).toContain(`\`${from.key}\``)
          }
        }
      })

      describe('webhook-cli config check', () => {
        const processes = useProcesses()
        const directory = mkdtempSync(join(tmpdir(), 'weir-config-map-'))
        afterAll(() => rmSync(directory, { recursive: true }))

        /** The audit trail of production is signed once an operator has made a key for it (docs/audit.md). */
        const UNSIGNED = /audit_signing_key_file/

        it('accepts the config maps, without a notice of what they set in vain, as every process does', async () => {
          const file = join(directory, 'config.yaml')
          writeFileSync(file, fileOf(all))
          const inVain = (notices: readonly string[]) => notices.filter((each) => !UNSIGNED.test(each))
          const environments = podsOf(all)
            .filter(({ pod }) => isWeir(pod))
            .map(({ pod }) => ({ ...environmentOf(all, pod), CONFIG_FILE: file, NODE_ENV: 'production' }))
          for (const env of environments) expect(inVain((await loadConfig({ env })).notices)).toEqual([])
          // The command itself once, with all that any of them is given: starting it takes a second and more.
          const env = Object.assign({}, ...environments)
          const check = processes.start('apps/cli/src/main.ts', { args: ['config', 'check', '--json'], env })
          expect(await check.exit, check.output()).toMatchObject({ code: 0 })
          const answer = JSON.parse(check.output())
          expect(answer).toMatchObject({ ok: true, problems: [] })
          expect(inVain(answer.notices)).toEqual([])
        })
      })

      it('serves and probes each process where its configuration says', () => {
        const { ingest, consumer, ops, context_lifecycle: contexts } = config.webhook
        const ports: Readonly<Record<string, number | null>> = {
          gateway: ingest.port,
          consumer: consumer.ops_port,
          curator: contexts.curator.ops_port,
          console: ops.port,
        }
        for (const [component, port] of Object.entries(ports)) {
          const { pod } = podsOf(all).find((each) => isWeir(each.pod) && componentOf(each.pod) === component)!
          const [container] = pod.spec.containers
          expect(container.args).toEqual([component])
          expect(container.ports).toEqual([{ name: expect.any(String), containerPort: port }])
          const [{ name }] = container.ports
          expect(container.readinessProbe.httpGet).toEqual({ path: '/ready', port: name })
          for (const probe of [container.livenessProbe, container.startupProbe])
            expect(probe.httpGet).toEqual({ path: '/health', port: name })
        }
        expect([ops.host, config.observability.metrics.open]).toEqual(['0.0.0.0', true])
      })

      it('leads every Service to a port that its pods have', () => {
        const services = all.filter(({ kind }) => kind === 'Service')
        expect(services.map(({ metadata }) => metadata.name)).toContain('webhook-processor')
        for (const { metadata, spec } of services) {
          const behind = podsOf(all).filter(({ pod }) =>
            selects({ matchLabels: spec.selector }, pod.metadata.labels),
          )
          expect(behind.length, metadata.name).toBe(1)
          const open = behind[0]!.pod.spec.containers[0].ports
          for (const { targetPort, port } of spec.ports) {
            const found = open.find(({ name }: Manifest) => name === targetPort)
            expect(found, `${metadata.name} ${targetPort}`).toBeDefined()
            if (spec.clusterIP === 'None') expect(found.containerPort).toBe(port)
            const annotated = metadata.annotations?.['prometheus.io/port']
            if (annotated) expect(Number(annotated)).toBe(found.containerPort)
          }
        }
        const { metadata, spec } = theOne(all, 'Service', 'webhook-processor')
        expect(spec.type).toBe('ClusterIP')
        expect(metadata.annotations).toMatchObject({
          'prometheus.io/scrape': 'true',
          'prometheus.io/path': '/metrics',
        })
        const { rules } = theOne(all, 'Ingress', 'webhook-processor').spec
        const paths = rules.flatMap(({ http }: Manifest) => http.paths)
        expect(paths.map(({ path }: Manifest) => path)).toEqual([
          '/webhooks',
          '/webhook',
          '/health',
          '/ready',
        ])
        for (const { backend } of paths)
          expect(backend.service).toEqual({ name: metadata.name, port: { name: spec.ports[0].name } })
      })

      it('lets no pod be root, write to its image, gain rights, or run without limits', () => {
        for (const { name, pod } of podsOf(all)) {
          expect(pod.spec.securityContext, name).toMatchObject({
            runAsNonRoot: true,
            runAsUser: expect.any(Number),
            seccompProfile: { type: 'RuntimeDefault' },
          })
          expect(pod.spec.securityContext.runAsUser, name).toBeGreaterThan(0)
          expect(pod.spec.automountServiceAccountToken, name).toBe(false)
          for (const { securityContext, resources } of pod.spec.containers) {
            expect(securityContext, name).toEqual({
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ['ALL'] },
            })
            expect(resources.requests, name).toEqual({ cpu: expect.anything(), memory: expect.anything() })
            expect(bytesOf(resources.limits.memory), name).toBeGreaterThanOrEqual(
              bytesOf(resources.requests.memory),
            )
          }
        }
      })

      it('gives every process longer to stop than it takes', () => {
        const { ingest, consumer, context_lifecycle: contexts } = config.webhook
        const stopping = {
          gateway: ingest.shutdown_timeout,
          consumer: consumer.shutdown_timeout,
          curator: contexts.curator.shutdown_timeout,
        }
        for (const [component, ms] of Object.entries(stopping)) {
          const { pod } = podsOf(all).find((each) => isWeir(each.pod) && componentOf(each.pod) === component)!
          const before = Number(pod.spec.containers[0].lifecycle?.preStop.exec.command[1] ?? 0)
          expect(pod.spec.terminationGracePeriodSeconds, component).toBeGreaterThanOrEqual(
            before + ms / 1000 + 5,
          )
        }
      })

      it('spreads each kind of pod, and lets a drain take one at a time', () => {
        const budgets = all.filter(({ kind }) => kind === 'PodDisruptionBudget')
        const lasting = podsOf(all).filter(({ owner }) => ['Deployment', 'StatefulSet'].includes(owner.kind))
        for (const { name, owner, pod } of lasting) {
          expect(selects(owner.spec.selector, pod.metadata.labels), name).toBe(true)
          const covering = budgets.filter(({ spec }) => selects(spec.selector, pod.metadata.labels))
          expect(
            covering.map(({ spec }) => spec.maxUnavailable),
            name,
          ).toEqual([1])
          const { podAntiAffinity: apart } = pod.spec.affinity
          const terms = [
            ...(apart.requiredDuringSchedulingIgnoredDuringExecution ?? []),
            ...(apart.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(
              (each: Manifest) => each.podAffinityTerm,
            ),
          ]
          expect(terms, name).toEqual([
            { topologyKey: 'kubernetes.io/hostname', labelSelector: owner.spec.selector },
          ])
          const [spread] = pod.spec.topologySpreadConstraints
          expect(spread, name).toMatchObject({
            topologyKey: 'topology.kubernetes.io/zone',
            labelSelector: owner.spec.selector,
          })
        }
        expect(budgets.length).toBe(lasting.length)
      })

      it('keeps the spool on a volume with room for twice its limit, that outlives the pod', () => {
        const { spec } = theOne(all, 'StatefulSet', 'webhook-gateway')
        const [claim] = spec.volumeClaimTemplates
        expect(config.webhook.ingest.spool).toMatchObject({ enabled: true, for: 'all' })
        expect(bytesOf(claim.spec.resources.requests.storage)).toBeGreaterThanOrEqual(
          2 * config.webhook.ingest.spool.max_bytes,
        )
        expect(spec.persistentVolumeClaimRetentionPolicy).toEqual({
          whenDeleted: 'Retain',
          whenScaled: 'Retain',
        })
        const mounted = spec.template.spec.containers[0].volumeMounts.find(
          ({ name }: Manifest) => name === claim.metadata.name,
        )
        // WEIR_DATA_DIR of the image.
        expect(mounted.mountPath).toBe(
          /WEIR_DATA_DIR=(\S+)/.exec(readFileSync(join(root, 'Dockerfile.webhook'), 'utf8'))?.[1],
        )
      })

      it('lets nothing through the network but what is needed', () => {
        const policies = all.filter(({ kind }) => kind === 'NetworkPolicy')
        expect(theOne(all, 'NetworkPolicy', 'default-deny').spec).toEqual({
          podSelector: {},
          policyTypes: ['Ingress', 'Egress'],
        })
        /** From which namespaces, or pods of this one, a port of such a pod can be reached. */
        const reaching = (labels: Record<string, string>, port: number) =>
          policies
            .filter(({ spec }) => selects(spec.podSelector, labels))
            .flatMap(({ spec }) => spec.ingress ?? [])
            .filter(({ ports }) => ports.some((each: Manifest) => each.port === port))
            .flatMap(({ from }) => from)
            .map((peer: Manifest) =>
              Object.values((peer.namespaceSelector ?? peer.podSelector).matchLabels).join(),
            )
            .sort()
        for (const { name, pod } of podsOf(all)) {
          const { labels } = pod.metadata
          for (const { containerPort: port } of pod.spec.containers[0].ports ?? []) {
            const allowed =
              labels.app === 'webhook-redis'
                ? ['webhook-redis', ...(port === 16379 ? [] : ['webhook-processor'])]
                : ['monitoring', ...(componentOf(pod) === 'gateway' ? ['ingress-nginx'] : [])]
            expect(reaching(labels, port), `${name}:${port}`).toEqual(allowed.sort())
          }
        }
        // The gateway, which strangers talk to, reaches Redis and a collector of traces: no other address.
        const out = policies
          .filter(({ spec }) =>
            selects(spec.podSelector, { app: 'webhook-processor', 'app.kubernetes.io/component': 'gateway' }),
          )
          .flatMap(({ spec }) => spec.egress ?? [])
          .flatMap(({ to }) => to)
        expect(out.some((peer: Manifest) => peer.ipBlock)).toBe(false)
      })

      it('runs Redis so that nothing is evicted, everything is written down, and memory is left', () => {
        const maps = all.filter(({ kind, data }) => kind === 'ConfigMap' && data['redis.conf'])
        expect(maps.length).toBe(1)
        const [{ metadata, data }] = maps as [Manifest]
        const conf = `${data['redis.conf']}\n${data['memory.conf']}\n${data['durability.conf']}`.split('\n')
        for (const line of [
          'maxmemory-policy noeviction',
          'appendonly yes',
          'save ""',
          'tls-protocols TLSv1.3',
          'tls-auth-clients yes',
        ])
          expect(conf).toContain(line)
        const { spec } = theOne(all, 'StatefulSet', metadata.name.replace('-config', ''))
        const most = parseSize(conf.find((line) => line.startsWith('maxmemory '))?.split(' ')[1] ?? '')!
        const limit = bytesOf(spec.template.spec.containers[0].resources.limits.memory)
        expect(most / limit).toBeLessThanOrEqual(0.7)
        expect(most / limit).toBeGreaterThan(0.5)
        const { durability, replicas, sentinel_enabled: sentinel } = config.webhook.redis
        expect(conf).toContain(`appendfsync ${durability === 'replica' ? 'always' : 'everysec'}`)
        if (durability === 'replica') {
          expect(conf).toContain(`min-replicas-to-write ${replicas}`)
          expect(replicas).toBe(sentinel ? spec.replicas - 1 : 1)
        }
        expect(spec.volumeClaimTemplates.length).toBe(1)
      })

      it('tells Weir the addresses that the servers have, and docs/kubernetes.md makes certificates for them', () => {
        const { redis } = config.webhook
        const hosts = new Set<string>()
        for (const { owner } of podsOf(all).filter(
          ({ pod, owner }) => !isWeir(pod) && owner.kind === 'StatefulSet',
        ))
          for (let at = 0; at < owner.spec.replicas; at++)
            hosts.add(`${owner.metadata.name}-${at}.${owner.spec.serviceName}`)
        const page = readFileSync(join(root, 'docs/kubernetes.md'), 'utf8')
        const made = /--hosts (\S+)/.exec(page)?.[1]?.split(',') ?? []
        expect(redis.addresses.length).toBeGreaterThanOrEqual(3)
        for (const address of redis.addresses) expect([...hosts]).toContain(address.split(':')[0])
        for (const host of [...hosts, 'localhost']) expect(made).toContain(host)
        expect(redis).toMatchObject({ tls_enabled: true, sentinel_enabled: !redis.cluster_enabled })
      })

      it('forgets every night, at three by UTC, what nothing has happened to for 30 days', () => {
        const { spec } = theOne(all, 'CronJob', 'webhook-retention')
        expect(spec).toMatchObject({
          schedule: '0 3 * * *',
          timeZone: 'Etc/UTC',
          concurrencyPolicy: 'Forbid',
        })
        const { args } = spec.jobTemplate.spec.template.spec.containers[0]
        expect(args).toEqual(['cli', 'retention', 'run', '--older-than', '30d', '--yes'])
      })

      it('scales the consumers by the lag, by one autoscaler', () => {
        const scalers = all.filter(({ kind }) => ['HorizontalPodAutoscaler', 'ScaledObject'].includes(kind))
        expect(scalers.map(({ kind }) => kind)).toEqual([
          way.includes('KEDA') ? 'ScaledObject' : 'HorizontalPodAutoscaler',
        ])
        const [{ spec }] = scalers as [Manifest]
        expect(spec.scaleTargetRef).toEqual({
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          name: 'webhook-processor',
        })
        expect(theOne(all, 'Deployment', 'webhook-processor').spec.replicas).toBeUndefined()
        expect(spec.minReplicas ?? spec.minReplicaCount).toBe(way === 'staging' ? 2 : 3)
        if (spec.triggers) {
          const [{ metadata }] = spec.triggers
          expect(metadata.query).toContain('webhook_consumer_lag_messages')
          expect(metadata.ignoreNullValues).toBe('false')
          expect(spec.fallback.replicas).toBeGreaterThanOrEqual(spec.minReplicaCount)
          // Nobody is stopped because the lag is unknown.
          expect(spec.fallback.behavior).toBe('currentReplicasIfHigher')
        } else {
          const [{ external }] = spec.metrics
          expect(external.metric.name).toBe('webhook_consumer_lag_messages')
          expect(external.target.averageValue * spec.minReplicas).toBeLessThan(1000)
        }
      })
    })

    it('production has the reference size, three of what takes events, and an image that does not move', () => {
      const all = WAYS.production!()
      for (const [kind, name] of [
        ['StatefulSet', 'webhook-gateway'],
        ['Deployment', 'webhook-processor'],
      ] as const) {
        const { template } = theOne(all, kind, name).spec
        expect(template.spec.containers[0].resources.requests).toEqual({ cpu: '4', memory: '8Gi' })
        expect(template.spec.containers[0].image).toMatch(/(:[0-9a-f]{40}|@sha256:[0-9a-f]{64})$/)
      }
      expect(theOne(all, 'StatefulSet', 'webhook-gateway').spec.replicas).toBe(3)
    })
  },
)

describe('the files with fixed names', () => {
  it.each(['redis-cluster', 'redis-sentinel', 'webhook-deployment', 'webhook-service', 'webhook-hpa'])(
    'k8s/%s.yaml is the file that kustomize uses',
    (name) => {
      const path = join(root, 'k8s', `${name}.yaml`)
      expect(lstatSync(path).isSymbolicLink()).toBe(true)
      const used = readlinkSync(path)
      const [directory = ''] = used.split('/')
      expect(readFileSync(join(root, 'k8s', directory, 'kustomization.yaml'), 'utf8')).toContain(
        `- ${name}.yaml`,
      )
      expect(manifestsOf(readFileSync(path, 'utf8')).length).toBeGreaterThan(0)
    },
  )
})
