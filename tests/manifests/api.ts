/**
 * Manifests against the schemas of the Kubernetes API and of the two operators, as published in the kubernetes-models packages.
 *
 * In two steps, because each sees what the other does not: the validators (made from the OpenAPI documents) check values and what is
 * missing, but let unknown fields pass; the types of the same packages, given to the compiler with the manifest as a literal, find a
 * field that the API does not have. A misspelt `replcias` is dropped by the API server without a word.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../support/process.ts'
import type { Manifest } from './kustomize.ts'

const OPERATORS: Readonly<Record<string, string>> = {
  'keda.sh/v1alpha1': '@kubernetes-models/keda',
  'monitoring.coreos.com/v1': '@kubernetes-models/prometheus-operator',
}

interface Model {
  new (data: Manifest): { validate(): void }
}

/** What is wrong with them: a line each, empty when nothing is. */
export async function problemsOf(manifests: readonly Manifest[]): Promise<string[]> {
  const problems: string[] = []
  for (const manifest of manifests) {
    const { [manifest.kind]: model } = (await import(moduleOf(manifest))) as Record<string, Model | undefined>
    if (model === undefined) {
      problems.push(`${placeOf(manifest)}: ${manifest.apiVersion} has no kind ${manifest.kind}`)
      continue
    }
    try {
      new model(manifest).validate()
    } catch (error) {
      problems.push(`${placeOf(manifest)}: ${String(error)}`)
    }
  }
  return [...problems, ...unknownFields(manifests)]
}

function unknownFields(manifests: readonly Manifest[]): string[] {
  const directory = join(root, 'node_modules/.cache/weir-manifests')
  mkdirSync(directory, { recursive: true })
  const file = join(directory, `manifests-${process.pid}.ts`)
  const lines = manifests.map((manifest, index) => {
    const type = `import('${moduleOf(manifest)}').I${manifest.kind}`
    return `export const m${index}: ${type} = ${JSON.stringify(manifest)}`
  })
  writeFileSync(file, lines.join('\n'))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const flags = [
    '--ignoreConfig',
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    '--target',
    'es2024',
    '--module',
    'nodenext',
  ]
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, ...flags, file], { encoding: 'utf8' })
  if (status === 0) return []
  const told = `${stdout}${stderr}`.split('\n').filter((line) => line.includes('error TS'))
  if (told.length === 0) return [`the compiler failed: ${stdout}${stderr}`]
  return told.map((line) => {
    const [, row = '0', message = line] = /\((\d+),\d+\): error (.*)$/.exec(line) ?? []
    return `${placeOf(manifests[Number(row) - 1])}: ${message}`
  })
}

function moduleOf({ apiVersion }: Manifest): string {
  return `${OPERATORS[apiVersion] ?? 'kubernetes-models'}/${apiVersion}`
}

function placeOf(manifest: Manifest): string {
  return manifest === undefined ? '?' : `${manifest.kind}/${manifest.metadata.name}`
}
