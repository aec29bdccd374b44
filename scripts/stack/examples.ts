/** Shell lines that can be copied as printed. */

/** A word that a POSIX shell reads as exactly this text. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

const EXAMPLE_BODY = '{"zen":"Keep it logically awesome.","hook_id":1,"repository":{"full_name":"acme/site"}}'

/**
 * One line for bash that signs a GitHub `ping` with openssl and sends it, under a new delivery id each time.
 * `secret` undefined: the line takes it from the shell's own GITHUB_WEBHOOK_SECRET.
 */
export function signedGithubExample(gateway: string, secret: string | undefined): string {
  const key = secret === undefined ? '"$GITHUB_WEBHOOK_SECRET"' : shellWord(secret)
  const signature = `$(printf %s "$body" | openssl dgst -sha256 -hmac ${key} | sed 's/^.* //')`
  return [
    `body='${EXAMPLE_BODY}';`,
    `curl -i ${gateway}/webhooks/github`,
    `-H 'Content-Type: application/json' -H 'X-GitHub-Event: ping' -H "X-GitHub-Delivery: $(openssl rand -hex 16)"`,
    `-H "X-Hub-Signature-256: sha256=${signature}" --data-binary "$body"`,
  ].join(' ')
}

/** One line that asks the operations API for the ledger. `token` undefined: taken from the shell's OPS_TOKEN. */
export function ledgerExample(operations: string, token: string | undefined): string {
  return `curl -H "Authorization: Bearer ${token ?? '$OPS_TOKEN'}" ${operations}/ledger`
}
