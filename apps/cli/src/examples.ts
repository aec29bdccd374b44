/** What people type: an example or two for every command. A test parses each of them. */

/** Command line without the program → what it does. */
const EXAMPLES: Readonly<Record<string, readonly (readonly [line: string, does: string])[]>> = {
  status: [
    ['status', 'how everything stands'],
    ['status --watch --interval 5s', 'again every 5 s'],
  ],
  lag: [
    ['lag', 'how many events wait, in each partition'],
    ['lag --max 1000', 'for scripts: exit code 1 when more than 1000 wait'],
  ],
  doctor: [
    ['doctor', 'look at everything'],
    ['doctor --json --skip ai', 'for scripts, and without asking the AI provider'],
  ],
  tail: [
    ['tail --tool github', 'events of GitHub as they come'],
    ['tail --last 10 --count 10', 'the last ten'],
  ],
  'events get': [
    ['events get evt_3X9aFJKKCI0mamo5ItAtDw', 'where this event is'],
    ['events get evt_3X9aFJKKCI0mamo5ItAtDw --raw', 'its bytes as they were sent'],
  ],
  'events find': [
    ['events find --delivery-id 72d3162e-cc78-11e3-81ab-4c9367dc0958', "by the sender's delivery id"],
    ['events find --tool github --subject acme/site#42 --since 2h', 'what happened to a pull request'],
    ['events find --state parked --tenant acme', 'what waits to be tried again'],
  ],
  'dlq list': [['dlq list --tool github --since 2h', 'what died of GitHub in the last two hours']],
  'dlq show': [['dlq show 1700000000000-0', 'why it died, and what it carries']],
  'dlq replay': [
    ['dlq replay --tool github --reason handler --since 2h --dry-run', 'how many would be replayed'],
    ['dlq replay --tool github --reason handler --since 2h --rate 50', 'replay them, 50 a second'],
  ],
  'dlq purge': [
    ['dlq purge --reason malformed --dry-run', 'how many would be given up'],
    ['dlq purge --reason malformed --yes', 'give them up, without a question'],
  ],
  'claim-pending': [
    ['claim-pending --idle-time 5m --dry-run', 'whose entries have been silent for 5 minutes'],
    ['claim-pending --idle-time 5m', 'give them to the consumers that run'],
  ],
  breakers: [['breakers', 'which tools are left alone']],
  'reset-circuit-breaker': [['reset-circuit-breaker --tool github', 'try events of GitHub again, now']],
  'limits show': [
    ['limits show', 'who has used how much of which limit'],
    ['limits show --near 80', 'only who is at 80 % or more'],
  ],
  'limits reset': [
    ['limits reset --tenant acme', 'let a tenant go on'],
    ['limits reset --address 192.0.2.7 --dry-run', 'what was counted against an address'],
  ],
  send: [
    ['send --tool github --event push', 'a bundled sample, signed with the configured secret'],
    ['send --tool jira --file issue.json --event jira:issue_updated --url http://localhost:8080', 'a file'],
  ],
  'context list': [['context list --tool github --limit 10', 'where something happened last']],
  'context show': [['context show --tool github acme/site#42', 'what happened around a pull request']],
  'context search': [['context search consumer lag', 'by words and by meaning']],
  'context predictions': [['context predictions --limit 5', 'what will probably be read next']],
  'context restore': [
    ['context restore --dry-run', 'read and check all that cold storage holds'],
    ['context restore', 'bring back what Redis has lost'],
  ],
  'force-transition': [
    ['force-transition --tier warm --older-than 1h --dry-run', 'how many would be moved'],
    ['force-transition --tier cold --id ctx_xd-nWg7sPQKZnWWgbSBGVg', 'one context'],
  ],
  'retention run': [
    ['retention run --older-than 30d --dry-run', 'what would be removed'],
    ['retention run --older-than 30d --yes', 'remove it, without a question, as a scheduler would'],
  ],
  'tenant erase': [
    ['tenant erase acme --dry-run', 'what there is of a tenant'],
    ['tenant erase acme', 'remove all of it'],
  ],
  'keys status': [['keys status --count', 'all keys, and what is encrypted with each']],
  'keys rotate': [['keys rotate --tenant acme', 'a new key for what comes from now on']],
  'keys forget': [['keys forget --older-than 7d --dry-run', 'which old keys nothing needs any more']],
  'keys destroy': [['keys destroy --tenant acme --dry-run', 'what would become unreadable']],
  'audit ledger': [['audit ledger', 'is every accepted event in exactly one place?']],
  'audit verify': [
    ['audit verify', 'the trail that Redis has'],
    ['audit verify --file trail.jsonl --public-key audit.pub', 'an export, and its signatures'],
  ],
  'audit export': [['audit export --since 1d --out trail.jsonl', 'the last day']],
  'dict list': [['dict list', 'all compression dictionaries']],
  'dict train': [
    ['dict train --tool github --tenant acme --dry-run', 'what a dictionary of its own would save'],
  ],
  'dict drop': [['dict drop --tool github --tenant acme', 'pack new events with the starter again']],
  'partitions show': [['partitions show', 'which master has which partition']],
  'partitions set': [['partitions set 8', 'spread new events over eight']],
  'config check': [['config check staging.yaml', 'is this file right?']],
  'config show': [['config show --changed', 'what is not the default, and where it was set']],
  completion: [
    ['completion bash', 'the script for bash; read it with: source <(webhook-cli completion bash)'],
  ],
}

/** The commands that have examples. */
export const EXEMPLIFIED = Object.keys(EXAMPLES)

/** The lines of the examples of one command, without the program's name. */
export function examplesOf(command: string): readonly string[] {
  return (EXAMPLES[command] ?? []).map(([line]) => line)
}

/** The end of a command's help. */
export function examplesText(command: string): string {
  const examples = EXAMPLES[command] ?? []
  const lines = examples.map(([line, does]) => `  # ${does}\n  webhook-cli ${line}\n`)
  return `\nExamples:\n${lines.join('')}`.trimEnd()
}
