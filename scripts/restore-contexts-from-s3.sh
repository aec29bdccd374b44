#!/usr/bin/env bash
# Rebuilds the contexts that cold storage holds (S3, or the directory where there is no bucket) in a Redis that has lost them.
# Takes what `webhook-cli context restore` takes: --tenant, --dry-run, --redis-url, --config, --json.
# S3_BUCKET, S3_ENDPOINT, S3_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and REDIS_URL say where, as for every process of Weir.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if command -v webhook-cli > /dev/null; then
  cd "$caller"
  exec webhook-cli context restore "$@"
fi
exec npx --yes pnpm@12 --silent webhook-cli context restore "$@"
