#!/usr/bin/env bash
# Sends signed deliveries at a constant rate, tells how long the answers took, and sees that every accepted event was settled.
#
#     scripts/load-test-webhooks.sh --target http://localhost:8080 --rate 500 --duration 60s --tool github
#
# --help tells the rest.
set -euo pipefail
exec node "$(dirname "${BASH_SOURCE[0]}")/run.mjs" scripts/load-test.ts "$@"
