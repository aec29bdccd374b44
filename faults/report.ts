/** What the harness prints. */
import { machine, printTable } from '../bench/table.ts'
import type { LedgerVerdict } from './ledger/check.ts'
import type { Measured, Outcome } from './run-scenario.ts'

/** One line as soon as a scenario has ended. */
export function outcomeLine(outcome: Outcome): string {
  const name = outcome.scenario.name.padEnd(24)
  if (!('verdict' in outcome)) return `${outcome.kind.padEnd(9)} ${name} ${outcome.why}${recordsOf(outcome)}`
  const { verdict, seconds, rounds } = outcome
  const wrong = wrongWith(verdict)
  return `${outcome.kind.padEnd(9)} ${name} ${rounds} rounds, ${verdict.accepted} events, ${seconds.toFixed(0)} s${
    wrong === '' ? '' : `: ${wrong}`
  }${recordsOf(outcome)}`
}

function recordsOf({ records }: Outcome): string {
  return records === undefined ? '' : ` (records: ${records})`
}

/** How many of a finding are named. */
const NAMED = 3

/** `2 lost (17, 39)`; empty when nothing is. */
function wrongWith({ lost, doubled, altered, unasked, condemned }: LedgerVerdict): string {
  return Object.entries({ lost, doubled, altered, unasked, condemned })
    .filter(([, found]) => found.length > 0)
    .map(([what, found]) => {
      const more = found.length > NAMED ? ', …' : ''
      return `${found.length} ${what} (deliveries ${found.slice(0, NAMED).join(', ')}${more})`
    })
    .join('; ')
}

export function printOutcomes(outcomes: readonly Outcome[]): void {
  console.log(`\n${machine()}`)
  printTable(
    'What was done, and what became of the events',
    [
      'what happened',
      'Redis',
      'rounds',
      'kills',
      'failovers',
      'accepted',
      'sent again',
      'effects',
      'dead letters',
      'of them not poison',
      'run again',
      'lost',
      'doubled',
      'altered or unasked',
      'longest gap, s',
      'promise',
    ],
    outcomes.map((outcome) => {
      const { scenario, place } = outcome
      if (!('verdict' in outcome)) return [scenario.what, place, ...Array<string>(13).fill('-'), outcome.kind]
      const { verdict, rounds, kills, failovers, longestGapMs } = outcome
      const counts = [
        rounds,
        kills,
        failovers,
        verdict.accepted,
        verdict.attempts - verdict.deliveries,
        verdict.effects,
        verdict.deadLetters,
        verdict.condemned.length,
        verdict.runs - verdict.effects - verdict.deadLetters,
        verdict.lost.length,
        verdict.doubled.length,
        otherwise(verdict),
      ]
      const kept = { kept: scenario.promised ? 'kept' : 'none', measured: 'none', broken: 'BROKEN' }[
        outcome.kind
      ]
      return [scenario.what, place, ...counts.map(String), (longestGapMs / 1000).toFixed(1), kept]
    }),
  )
  console.log(`\n${summaryOf(outcomes)}`)
}

function otherwise({ altered, unasked }: LedgerVerdict): number {
  return altered.length + unasked.length
}

/** `12 of 13 scenarios kept their promise: 1000 events, …`. */
function summaryOf(outcomes: readonly Outcome[]): string {
  const ran = outcomes.filter((outcome): outcome is Outcome & Measured => 'verdict' in outcome)
  const promised = ran.filter(({ scenario }) => scenario.promised)
  const sum = (of: readonly Measured[], pick: (each: Measured) => number) =>
    of.reduce((total, each) => total + pick(each), 0)
  const lost = sum(promised, ({ verdict }) => verdict.lost.length)
  const wrong = sum(ran, ({ verdict }) => verdict.doubled.length + otherwise(verdict))
  const kept = promised.filter(({ kind }) => kind === 'kept').length
  const asked = outcomes.filter(({ scenario, kind }) => scenario.promised && kind !== 'not here').length
  return (
    `${kept} of ${asked} promises kept: ${sum(promised, ({ verdict }) => verdict.accepted)} events accepted, ${lost} lost; ` +
    `${sum(ran, ({ verdict }) => verdict.accepted)} in all, ${wrong} doubled, altered or made up; ` +
    `${sum(ran, ({ kills }) => kills)} processes killed, ${sum(ran, ({ failovers }) => failovers)} failovers`
  )
}
