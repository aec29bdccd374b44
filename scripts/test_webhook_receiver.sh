#!/usr/bin/env bash
# Smoke test of a running Weir: signed webhooks go in, badly signed ones do not, and what was accepted is settled. See usage().
set -euo pipefail

usage() {
  cat << 'TEXT'
Usage: test_webhook_receiver.sh [--target URL] [--ops URL] [--env-file FILE] [--timeout SECONDS]

Sends signed webhooks and looks at the answers (202, 200 for a repetition, 401 for a wrong or missing signature), then asks the
operations API until every accepted event is settled, and for the ledger, which must balance. Exit code 0: all as it should be.

  --target URL       gateway (default: http://localhost:8080)
  --ops URL          operations API (default: http://localhost:8081)
  --env-file FILE    where to find variables that are not set (default: .env beside docker-compose.yml, if it is there)
  --timeout SECONDS  how long events may take until they are settled (default: 30)

Variables: OPS_TOKEN; GITHUB_WEBHOOK_SECRET, HMAC_SECRET: at least one, each is tried with what it signs.
TEXT
}

fail() {
  printf 'test_webhook_receiver.sh: %s\n' "$1" >&2
  exit "${2:-1}"
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=http://localhost:8080
ops=http://localhost:8081
env_file=
timeout=30
while [[ $# -gt 0 ]]; do
  case $1 in
    --target | --ops | --env-file | --timeout)
      [[ -n ${2:-} && $2 != --* ]] || fail "$1 needs a value; see --help" 2
      case $1 in
        --target) target=${2%/} ;;
        --ops) ops=${2%/} ;;
        --env-file) env_file=$2 ;;
        --timeout) timeout=$2 ;;
      esac
      shift 2
      ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) fail "unknown argument '$1'; see --help" 2 ;;
  esac
done
[[ $timeout =~ ^[1-9][0-9]{0,3}$ ]] || fail "--timeout is a number of seconds, not '$timeout'" 2
for tool in curl openssl; do
  command -v "$tool" > /dev/null || fail "needs $tool (Debian, Ubuntu: apt-get install $tool)" 2
done

# Read, not sourced: it is a list of values, not a program.
if [[ -z $env_file && -f $root/.env ]]; then env_file=$root/.env; fi
if [[ -n $env_file ]]; then
  [[ -r $env_file ]] || fail "cannot read '$env_file'" 2
  while IFS='=' read -r name value; do
    case $name in
      OPS_TOKEN | GITHUB_WEBHOOK_SECRET | HMAC_SECRET) [[ -n ${!name:-} ]] || printf -v "$name" %s "$value" ;;
    esac
  done < "$env_file"
fi
[[ -n ${OPS_TOKEN:-} ]] || fail 'set OPS_TOKEN: the operations API says what became of the events' 2
[[ -n ${GITHUB_WEBHOOK_SECRET:-} || -n ${HMAC_SECRET:-} ]] || fail 'set GITHUB_WEBHOOK_SECRET or HMAC_SECRET to sign with' 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run="smoke-$(openssl rand -hex 8)"
status=''
answer=''

# The answer of a request in $answer, its status in $status; 000 when nobody answers.
request() {
  status=$(curl --silent --max-time 10 --output "$work/answer" --write-out '%{http_code}' "$@") || status=000
  answer=$(cat "$work/answer" 2> /dev/null || :)
}

# By standard input: arguments can be seen by everybody on the machine.
ask_ops() {
  status=$(printf 'header = "Authorization: Bearer %s"\n' "$OPS_TOKEN" |
    curl --silent --max-time 10 --config - --output "$work/answer" --write-out '%{http_code}' "$ops$1") || status=000
  answer=$(cat "$work/answer" 2> /dev/null || :)
}

field() { sed -n "s/.*\"$1\":\"\\{0,1\\}\\([^\",}]*\\).*/\\1/p" <<< "$answer" | head -n 1; }

expect() {
  if [[ $status == 000 ]]; then fail "$1: nobody answers at $2"; fi
  [[ $status == "$3" ]] || fail "$1: expected $3, got $status: ${answer:0:300}"
  printf 'ok    %-58s %s\n' "$1" "$status"
}

# secret, bytes in a file: the HMAC in hex. openssl has the secret as an argument, for a moment.
hmac() { openssl dgst -sha256 -hmac "$1" < "$2" | sed 's/^.*= *//'; }

events=()
request "$target/health"
expect 'the gateway is alive' "$target" 200
request "$target/ready"
expect 'the gateway is ready' "$target" 200
[[ $(field status) == ok ]] || fail "the gateway is ready, but $(field status): ${answer:0:300}"

if [[ -n ${GITHUB_WEBHOOK_SECRET:-} ]]; then
  printf '{"zen":"Mind the weir.","hook_id":1,"run":"%s"}' "$run" > "$work/body"
  github() {
    request --request POST --data-binary "@$work/body" --header 'content-type: application/json' \
      --header 'x-github-event: ping' --header "x-github-delivery: $1" "${@:2}" "$target/webhooks/github"
  }
  signature="x-hub-signature-256: sha256=$(hmac "$GITHUB_WEBHOOK_SECRET" "$work/body")"
  github "$run" --header "$signature"
  expect 'GitHub: a signed webhook is accepted' "$target" 202
  first=$(field event_id)
  events+=("$first")
  github "$run" --header "$signature"
  expect 'GitHub: the same delivery again is a duplicate' "$target" 200
  [[ $(field event_id) == "$first" ]] || fail "the duplicate of $first is answered with '$(field event_id)'"
  github "$run-forged" --header "x-hub-signature-256: sha256=$(hmac 'another secret' "$work/body")"
  expect 'GitHub: a wrong signature is refused' "$target" 401
  github "$run-unsigned"
  expect 'GitHub: no signature is refused' "$target" 401
fi

if [[ -n ${HMAC_SECRET:-} ]]; then
  printf '{"type":"smoke.test","run":"%s"}' "$run" > "$work/body"
  now=$(date +%s)
  { printf '%s.' "$now" && cat "$work/body"; } > "$work/signed"
  generic() {
    request --request POST --data-binary "@$work/body" --header 'content-type: application/json' \
      --header "x-webhook-timestamp: $now" --header "x-webhook-id: $1" --header "x-webhook-signature: sha256=$2" "$target/webhooks/generic"
  }
  generic "$run" "$(hmac "$HMAC_SECRET" "$work/signed")"
  expect 'generic: a signed webhook is accepted' "$target" 202
  events+=("$(field event_id)")
  generic "$run-forged" "$(hmac 'another secret' "$work/signed")"
  expect 'generic: a wrong signature is refused' "$target" 401
fi

deadline=$((SECONDS + timeout))
for event in "${events[@]}"; do
  [[ -n $event ]] || fail 'an event was accepted without an event_id'
  while :; do
    ask_ops "/events/$event"
    case $status in
      200)
        place=$(field place)
        [[ $place != settled ]] || break
        [[ $place != dead ]] || fail "$event became a dead letter: ${answer:0:300}"
        ;;
      401) fail 'the operations API does not take this OPS_TOKEN' ;;
      000) fail "nobody answers at $ops" ;;
    esac
    ((SECONDS < deadline)) || fail "$event is not settled after $timeout s, but '${place:-unknown}': does the consumer run?"
    sleep 0.2
  done
  printf 'ok    %-58s %s\n' 'it was settled' "$event"
done

ask_ops /ledger
expect 'the ledger is there' "$ops" 200
[[ $(field unaccounted) == 0 ]] || fail "the ledger does not balance: ${answer:0:300}"
printf 'ok    %-58s\n' 'the ledger balances'
