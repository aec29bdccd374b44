/**
 * Stripe: an event's name says what was done, its object what it was done to. Nobody is named: what acts is a customer,
 * Stripe or a key.
 * https://docs.stripe.com/api/events/object
 */
import { peek, text } from '@weir/core/adapters/peek'
import type { Reference, Severity } from '../digest.ts'
import { type Find, reference } from './finding.ts'
import { outcomeOf } from './words.ts'

/** Members that name other objects, by id or, expanded, as the object. */
const RELATIONS: readonly string[] = [
  ...[
    'customer',
    'subscription',
    'invoice',
    'payment_intent',
    'charge',
    'latest_charge',
    'refund',
    'dispute',
  ],
  ...['setup_intent', 'checkout_session', 'product', 'price', 'account'],
]

const related = (object: unknown): readonly (Reference | undefined)[] =>
  RELATIONS.map((member) => reference('stripe', text(object, member) ?? text(object, member, 'id')))

const WARNINGS =
  /^charge\.dispute\.(?:created|funds_withdrawn)$|^radar\.early_fraud_warning\.created$|\.action_required$/

function severityOf(type: string): Severity | undefined {
  if (/failed$/.test(type)) return 'error'
  return WARNINGS.test(type) ? 'warning' : undefined
}

/** `payment_intent.amount_capturable_updated` reads well from its last part; a few do not. */
const WHAT: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'charge.dispute.created': 'disputed',
    'charge.dispute.closed': 'dispute closed',
    'charge.dispute.funds_withdrawn': 'dispute: funds withdrawn',
    'invoice.upcoming': 'is coming up',
  }),
)

export const stripe: Find = ({ type, payload: json }) => {
  const object = peek(json, 'data', 'object')
  // Snapshots have seconds, thin events ISO 8601; both are read.
  return {
    at: [peek(json, 'created')],
    what: WHAT.get(type),
    title: text(object, 'number') ?? text(object, 'description') ?? text(object, 'name'),
    state: /\.deleted$/.test(type) ? 'deleted' : outcomeOf(text(object, 'status')),
    texts: [
      text(object, 'description'),
      text(object, 'last_payment_error', 'message') ?? text(object, 'failure_message'),
      text(object, 'reason'),
      text(object, 'cancellation_details', 'comment'),
    ],
    severity: severityOf(type),
    references: related(object),
  }
}
