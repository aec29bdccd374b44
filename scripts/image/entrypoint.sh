#!/bin/sh
# Entry of the image: the first argument says what runs. Called as `webhook-cli`, it is the operators' command.
set -eu

usage() {
  cat << 'TEXT'
Usage: gateway | consumer | curator | console | cli [arguments]

  gateway    takes webhooks in (port 8080)
  consumer   works events off (health and metrics: port 8082)
  curator    keeps contexts (health and metrics: port 8083)
  console    operations API (port 8081)
  cli        webhook-cli, with its arguments: cli status --json
TEXT
}

# By its real place: it is called through links, and from any directory.
self=$(readlink -f "$0")
root=${self%/scripts/image/*}
if [ "${0##*/}" = webhook-cli ]; then set -- cli "$@"; fi

options=
case ${1-} in
  gateway)
    room=ingest
    # Short pauses: scripts/node-options.ts says how.
    options=--max-semi-space-size=8
    ;;
  consumer | curator | console | cli) room=$1 ;;
  --help | -h)
    usage
    exit 0
    ;;
  '')
    usage >&2
    exit 2
    ;;
  *)
    printf "weir: nothing in this image is called '%s'; it has gateway, consumer, curator, console and cli\n" "$1" >&2
    exit 2
    ;;
esac
shift
# exec: signals must reach Node itself, or a rolling update would cut events off after the grace period.
# shellcheck disable=SC2086 # none, or words
exec node $options "$root/apps/$room/src/main.ts" "$@"
