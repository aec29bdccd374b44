/**
 * Alertmanager's words, after https://prometheus.io/docs/alerting/latest/configuration/#webhook_config; label and
 * annotation names are those that Prometheus sets itself and that its documentation and the common rule sets use.
 */
import type { Vocabulary } from '../structure.ts'
import { wordSet } from './words.ts'

const KEYS = `
receiver status alerts labels annotations startsAt endsAt generatorURL fingerprint groupLabels commonLabels
commonAnnotations externalURL version groupKey truncatedAlerts
alertname severity instance job namespace service pod container endpoint node cluster prometheus device mountpoint fstype
deployment statefulset daemonset persistentvolumeclaim horizontalpodautoscaler condition reason phase team environment
summary description message runbook_url dashboard_url
`

const URL_WORDS =
  'https: http: graph g0.expr g0.tab 1 alerting runbooks runbook.prometheus-operator.dev runbooks kubernetes'

const EXTRAS = [
  '"labels":{"alertname":"","cluster":"","container":"","endpoint":"","instance":"","job":"","namespace":"","pod":"","prometheus":"monitoring/k8s","service":"","severity":"warning"},"annotations":{"description":"","runbook_url":"https://runbooks.prometheus-operator.dev/runbooks/","summary":""},',
]

const HEADERS = [
  '"externalURL":"https://","version":"4","groupKey":"{}/{severity=\\"critical\\"}:{alertname=\\"',
  '\\"}","truncatedAlerts":0}\n',
  '"externalURL":"http://","version":"4","groupKey":"{}:{alertname=\\"',
  '[["content-type","application/json"],["user-agent","Alertmanager/0.',
  '"]]\n{"receiver":"',
  '","status":"resolved","alerts":[{"status":"resolved","labels":{"alertname":"',
  '[["user-agent","Alertmanager/0."],["content-type","application/json"]]\n{"receiver":"',
  '","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"',
]

export const alertmanagerVocabulary: Vocabulary = {
  keys: wordSet(KEYS),
  words: new Set(['firing', 'resolved', 'critical', 'warning', 'info', 'none', '4', '0001-01-01T00:00:00Z']),
  urlWords: wordSet(URL_WORDS),
  prefixes: ['{}:{', '{}/{'],
  escapesHtml: true,
  extras: EXTRAS,
  headers: HEADERS,
}
