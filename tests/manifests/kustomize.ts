/** Kustomizations of k8s/, built by the real program: `kustomize`, or the one inside `kubectl`. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { root } from '../support/process.ts'

/** Whatever a manifest holds; tests look into it by path. */
// biome-ignore lint/suspicious/noExplicitAny: manifests are trees of arbitrary shape, checked against the API's schemas
export type Manifest = any

/** `labels` and `components` came with kustomize 5; the one in Debian's kubectl (2.0) cannot read these files. */
const LEAST_MAJOR = 5

/** The command that builds a directory; undefined where the machine has none that is new enough. */
export const kustomize: readonly string[] | undefined = [
  { command: ['kustomize', 'build'], version: ['kustomize', 'version'] },
  { command: ['kubectl', 'kustomize'], version: ['kubectl', 'version', '--client'] },
].find(({ version: [program = '', ...args] }) => {
  const { stdout } = spawnSync(program, args, { encoding: 'utf8' })
  const found = /(?:Kustomize Version: |^)v(\d+)\./m.exec(stdout ?? '')?.[1]
  return Number(found ?? 0) >= LEAST_MAJOR
})?.command

/** Builds a directory of k8s/. Throws with what the program said. */
export function build(directory: string): Manifest[] {
  const [program = '', ...args] = kustomize ?? []
  const result = spawnSync(program, [...args, join(root, directory)], { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(`${directory} cannot be built: ${result.stderr}`)
  return manifestsOf(result.stdout)
}

/** Builds an overlay on k8s/base with these components, for combinations that no overlay of the repository has. */
export function buildWith(components: readonly string[]): Manifest[] {
  const directory = mkdtempSync(join(root, 'k8s/overlays/.test-'))
  try {
    const lines = [
      'namespace: webhook-system',
      'resources: [../../base]',
      `components: [${components.map((each) => `../../${each}`).join(', ')}]`,
      'images: [{ name: weir-webhook, newName: registry.example/weir-webhook, newTag: test }]',
    ]
    writeFileSync(join(directory, 'kustomization.yaml'), lines.join('\n'))
    return build(relative(root, directory))
  } finally {
    rmSync(directory, { recursive: true })
  }
}

export function manifestsOf(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    const [error] = document.errors
    if (error) throw error
    return document.toJS()
  })
}

/** The one object of this kind and name. */
export function theOne(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const found = manifests.filter((each) => each.kind === kind && each.metadata.name === name)
  if (found.length !== 1) throw new Error(`${found.length} objects are ${kind}/${name}`)
  return found[0]
}

/** The templates of all pods, with the object that makes them. */
export function podsOf(manifests: readonly Manifest[]): { name: string; owner: Manifest; pod: Manifest }[] {
  return manifests.flatMap((owner) => {
    const template = owner.spec?.jobTemplate?.spec.template ?? owner.spec?.template
    return template ? [{ name: `${owner.kind}/${owner.metadata.name}`, owner, pod: template }] : []
  })
}
