/**
 * The programs of Prometheus and Alertmanager, where this machine has them. Tests that need them are skipped elsewhere,
 * except in CI, where a test that does not run is a hole that nobody sees.
 */
import { spawnSync } from 'node:child_process'
import { findOrInstall, thisMachine } from '../../scripts/installed-program.ts'

/** By what they are for; Debian calls the last one prometheus-alertmanager. */
const PROGRAMS = {
  promtool: ['promtool'],
  amtool: ['amtool'],
  prometheus: ['prometheus'],
  alertmanager: ['prometheus-alertmanager', 'alertmanager'],
} as const

export type Programs = Readonly<Record<keyof typeof PROGRAMS, string>>

export type MonitoringPrograms =
  | { readonly kind: 'found'; readonly programs: Programs }
  | { readonly kind: 'missing'; readonly why: string }

/** @param path where to look, as PATH. Throws where one is missing and `ci` is true. */
export function monitoringPrograms(
  path = thisMachine().path,
  ci = process.env.CI !== undefined,
): MonitoringPrograms {
  // Without a user id nothing is installed: that is left to people, as these packages start services.
  const machine = { ...thisMachine(), path, uid: undefined }
  const found = Object.entries(PROGRAMS).map(
    ([use, names]) => [use, findOrInstall(names, '', machine)] as const,
  )
  const missing = found.flatMap(([use, { kind }]) => (kind === 'found' ? [] : [use]))
  if (missing.length === 0) {
    const paths = found.map(([use, each]) => [use, each.kind === 'found' ? each.path : ''])
    return { kind: 'found', programs: Object.fromEntries(paths) as Programs }
  }
  const why = `no ${missing.join(', ')} on PATH (Debian, Ubuntu: apt-get install prometheus prometheus-alertmanager)`
  if (ci) throw new Error(`CI tests with the real Prometheus and Alertmanager: ${why}`)
  return { kind: 'missing', why }
}

/** Runs a program to its end. */
export function runTool(
  program: string,
  args: readonly string[],
  cwd: string,
): { ok: boolean; output: string } {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8' })
  return { ok: status === 0, output: `${error?.message ?? ''}${stdout}${stderr}` }
}
