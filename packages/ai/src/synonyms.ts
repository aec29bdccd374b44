/**
 * Words that mean the same to people who write about software, one group a line; a word that is in no group stands for itself.
 * Without a model this is all that is known of meaning, so each group holds only words that may replace each other in a search.
 */
import { stemOf } from './words.ts'

const GROUPS = `
  login signin logon authentication auth
  bug defect
  fix repair resolve hotfix bugfix
  upgrade bump update
  delete remove erase purge drop
  add create introduce
  deploy release rollout ship
  rollback revert undo
  crash panic segfault abort
  error exception failure fail
  slow latency sluggish
  timeout hang stuck
  disk filesystem storage volume
  memory heap ram
  host node machine server
  database db postgres mysql
  invoice billing bill
  tax vat
  payment pay charge checkout
  refund reimburse chargeback
  customer client user buyer
  permission access role rbac
  password credential secret
  certificate cert tls ssl
  documentation docs readme manual
  test spec
  ci pipeline workflow
  alert alarm incident outage page
  config configuration setting option
  dependency package library
  queue backlog lag
  notification notify email mail
  mobile android ios
  encrypt encryption cipher
  image picture photo
  translate translation localization i18n
  speed performance perf
`

/** By stem: the first word of its group stands for the whole. */
const CONCEPTS: ReadonlyMap<string, string> = new Map(
  GROUPS.trim()
    .split('\n')
    .flatMap((line) => {
      const words = line.trim().split(' ')
      return words.map((word) => [stemOf(word), words[0] as string] as const)
    }),
)

/** What a word means, for all words of one group the same; undefined where nothing is known. */
export function conceptOf(stem: string): string | undefined {
  return CONCEPTS.get(stem)
}
