#!/usr/bin/env bash
# Brings an image to the staging cluster, waits until it runs, and tries it. See usage().
set -euo pipefail

usage() {
  cat << 'TEXT'
Usage: IMAGE_SHA=<commit> deploy-staging.sh [--overlay DIR] [--dry-run] [--skip-smoke-tests] [--timeout DURATION]

  1. checks tools, cluster and secrets; writes those keys of the Secret webhook-secrets whose variables are set
  2. builds the overlay with the image of the commit, and applies it
  3. waits for every roll-out
  4. sends signed webhooks through a port-forward (scripts/test_webhook_receiver.sh)
  5. imports dashboards/*.json into Grafana, where GRAFANA_URL and GRAFANA_TOKEN are set

  --overlay DIR        kustomization to deploy (default: k8s/overlays/staging)
  --dry-run            changes nothing: builds, and lets the cluster judge the result
  --skip-smoke-tests   leaves step 4 out
  --timeout DURATION   how long one roll-out may take (default: 300s)

Variables:
  IMAGE_SHA                      the commit whose image to run, 7 to 40 hexadecimal digits (needed)
  IMAGE_REPOSITORY               image without its tag (default: that of the overlay)
  REDIS_PASSWORD, OPS_TOKEN, HMAC_SECRET, ENCRYPTION_MASTER_KEY, OPENAI_API_KEY, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
                                 written into webhook-secrets; keys whose variable is not set stay as they are
  GRAFANA_URL, GRAFANA_TOKEN     for the dashboards

Going back: kubectl rollout undo, or this script with the commit before.
TEXT
}

fail() {
  printf 'deploy-staging.sh: %s\n' "$1" >&2
  exit "${2:-1}"
}
say() { printf '── %s\n' "$1"; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
overlay=$root/k8s/overlays/staging
dry_run=no
smoke=yes
timeout=300s
while [[ $# -gt 0 ]]; do
  case $1 in
    --overlay | --timeout)
      [[ -n ${2:-} && $2 != --* ]] || fail "$1 needs a value; see --help" 2
      case $1 in
        --overlay) overlay=$2 ;;
        --timeout) timeout=$2 ;;
      esac
      shift 2
      ;;
    --dry-run)
      dry_run=yes
      shift
      ;;
    --skip-smoke-tests)
      smoke=no
      shift
      ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) fail "unknown argument '$1'; see --help" 2 ;;
  esac
done

[[ -n ${IMAGE_SHA:-} ]] || fail 'set IMAGE_SHA to the commit whose image to deploy: IMAGE_SHA=<commit> deploy-staging.sh' 2
[[ $IMAGE_SHA =~ ^[0-9a-f]{7,40}$ ]] || fail "IMAGE_SHA is a commit, 7 to 40 hexadecimal digits, not '$IMAGE_SHA'" 2
[[ $timeout =~ ^[1-9][0-9]*[smh]$ ]] || fail "--timeout is a duration such as 300s, not '$timeout'" 2
[[ -f $overlay/kustomization.yaml ]] || fail "'$overlay' has no kustomization.yaml" 2
command -v kubectl > /dev/null || fail 'needs kubectl, 1.27 or later (https://kubernetes.io/docs/tasks/tools)' 2
if [[ $smoke == yes && $dry_run == no ]]; then
  for tool in curl openssl; do
    command -v "$tool" > /dev/null || fail "needs $tool for the smoke tests (or --skip-smoke-tests)" 2
  done
fi

work=$(mktemp -d)
# Kustomize takes only relative paths below or beside it.
layer=$(mktemp -d "$root/k8s/overlays/.deploy-XXXXXX")
forwards=()
cleanup() {
  for pid in "${forwards[@]}"; do kill "$pid" 2> /dev/null || :; done
  rm -rf "$work" "$layer"
}
trap cleanup EXIT

say 'building'
{
  printf 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - %s\n' "$(realpath --relative-to="$layer" "$overlay")"
} > "$layer/kustomization.yaml"
kubectl kustomize "$layer" > "$work/plain.yaml" || fail "the overlay '$overlay' cannot be built (above)"
# What the overlay made of the image, to which the tag belongs.
built=$(sed -n 's/^ *image: *\(.*weir-webhook\)[:@].*/\1/p' "$work/plain.yaml" | sort -u)
[[ -n $built && $built != *$'\n'* ]] || fail "the overlay '$overlay' must use one image called …/weir-webhook; found: ${built:-none}"
repository=${IMAGE_REPOSITORY:-$built}
printf 'images:\n  - name: %s\n    newName: %s\n    newTag: "%s"\n' "$built" "$repository" "$IMAGE_SHA" >> "$layer/kustomization.yaml"
kubectl kustomize "$layer" > "$work/manifests.yaml" || fail "the overlay '$overlay' cannot be built with that image (above)"
image=$repository:$IMAGE_SHA
grep -qF "image: $image" "$work/manifests.yaml" || fail "the image $image is not in what was built"
namespace=$(sed -n 's/^  namespace: *//p' "$work/manifests.yaml" | sort -u)
[[ -n $namespace && $namespace != *$'\n'* ]] || fail "the overlay '$overlay' must be in one namespace; found: ${namespace:-none}"
printf '%s into the namespace %s\n' "$image" "$namespace"

say 'cluster and secrets'
kubectl version > /dev/null 2> "$work/log" || fail "the cluster does not answer; look at kubectl config current-context ($(tail -n 1 "$work/log"))"
if ! kubectl get namespace "$namespace" > /dev/null 2>&1; then
  if [[ $dry_run == yes ]]; then
    fail "the namespace $namespace does not exist, so nothing can be tried in it: kubectl create namespace $namespace"
  fi
  kubectl create namespace "$namespace"
fi

# Files, not arguments: those can be seen by everybody on the machine.
entries=
for pair in redis-password:REDIS_PASSWORD ops-token:OPS_TOKEN hmac-secret:HMAC_SECRET encryption-key:ENCRYPTION_MASTER_KEY \
  openai-api-key:OPENAI_API_KEY aws-access-key-id:AWS_ACCESS_KEY_ID aws-secret-access-key:AWS_SECRET_ACCESS_KEY; do
  variable=${pair#*:}
  [[ -n ${!variable:-} ]] || continue
  entries="$entries${entries:+,}\"${pair%%:*}\":\"$(printf %s "${!variable}" | base64 | tr -d '\n')\""
done
# shellcheck disable=SC2016 # of the template, not of the shell
keys_of() { kubectl --namespace "$namespace" get secret "$1" --output 'go-template={{range $key, $value := .data}}{{$key}}{{"\n"}}{{end}}' 2> /dev/null || :; }
if [[ -n $entries && $dry_run == no ]]; then
  (umask 077 && printf '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"webhook-secrets"},"data":{%s}}' "$entries" > "$work/secret.json")
  # Keys that are not named stay: a merge, not a replacement.
  if [[ -n $(keys_of webhook-secrets) ]]; then
    kubectl --namespace "$namespace" patch secret webhook-secrets --type merge --patch-file "$work/secret.json"
  else
    kubectl --namespace "$namespace" create --filename "$work/secret.json"
  fi
fi
need() { # secret, keys…
  local secret=$1 present key
  present=$(keys_of "$secret")
  shift
  for key in "$@"; do
    grep -qx "$key" <<< "$present" && continue
    # What would be written counts as there.
    [[ $secret != webhook-secrets || $entries != *"\"$key\":"* ]] || continue
    fail "the Secret $secret in $namespace has no key $key; docs/kubernetes.md, \"Secrets\", says how to make it"
  done
}
need webhook-secrets redis-password ops-token hmac-secret
need redis-tls ca.crt client.crt client.key server.crt server.key

if [[ $dry_run == yes ]]; then
  say 'dry run: the cluster judges it'
  kubectl apply --dry-run=server --filename "$work/manifests.yaml" || fail 'the cluster would not take it (above)'
  say 'nothing was changed'
  exit 0
fi

say 'applying'
kubectl apply --filename "$work/manifests.yaml" || fail 'the cluster did not take all of it (above)'

say 'waiting'
# Redis first: the others are ready only with it.
workloads=$(awk '
  /^kind: / { kind = tolower($2) }
  /^  name: / && (kind == "statefulset" || kind == "deployment") { print ($2 ~ /^webhook-redis/ ? 0 : 1), kind "/" $2; kind = "" }
' "$work/manifests.yaml" | sort | cut -d ' ' -f 2)
for workload in $workloads; do
  if ! kubectl --namespace "$namespace" rollout status "$workload" --timeout "$timeout"; then
    kubectl --namespace "$namespace" get pods >&2 || :
    fail "$workload did not come up within $timeout; see why: kubectl -n $namespace describe $workload; go back: kubectl -n $namespace rollout undo $workload"
  fi
done

# The local port of a port-forward to $1 (service:port), in $port.
forward() {
  local log=$work/forward-${1%%:*}
  # Read below before kubectl has been started, perhaps.
  : > "$log"
  kubectl --namespace "$namespace" port-forward "service/${1%%:*}" ":${1##*:}" > "$log" 2>&1 &
  forwards+=($!)
  for _ in {1..100}; do
    port=$(sed -n 's/^Forwarding from 127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$log" | head -n 1)
    [[ -z $port ]] || return 0
    kill -0 "${forwards[-1]}" 2> /dev/null || break
    sleep 0.1
  done
  fail "no port-forward to ${1%%:*}: $(tail -n 1 "$log")"
}
secret_value() { kubectl --namespace "$namespace" get secret webhook-secrets --output "go-template={{index .data \"$1\" | base64decode}}"; }

if [[ $smoke == yes ]]; then
  say 'smoke tests'
  forward webhook-processor:80
  gateway=$port
  forward webhook-console:8081
  OPS_TOKEN=$(secret_value ops-token) HMAC_SECRET=$(secret_value hmac-secret) GITHUB_WEBHOOK_SECRET='' \
    "$root/scripts/test_webhook_receiver.sh" --target "http://127.0.0.1:$gateway" --ops "http://127.0.0.1:$port" --env-file /dev/null ||
    fail "the smoke tests failed; go back: kubectl -n $namespace rollout undo statefulset/webhook-gateway deployment/webhook-processor deployment/webhook-console deployment/webhook-curator"
fi

if [[ -n ${GRAFANA_URL:-} && -n ${GRAFANA_TOKEN:-} ]]; then
  say 'dashboards'
  for dashboard in "$root"/dashboards/*.json; do
    [[ -f $dashboard ]] || fail 'there are no dashboards/*.json to import'
    { printf '{"overwrite":true,"dashboard":' && cat "$dashboard" && printf '}'; } > "$work/dashboard"
    printf 'header = "Authorization: Bearer %s"\n' "$GRAFANA_TOKEN" |
      curl --silent --show-error --fail --max-time 30 --config - --header 'content-type: application/json' \
        --data-binary "@$work/dashboard" "${GRAFANA_URL%/}/api/dashboards/db" > /dev/null ||
      fail "Grafana at $GRAFANA_URL did not take ${dashboard##*/}"
    printf '%s\n' "${dashboard##*/}"
  done
fi

say "$image runs in $namespace"
