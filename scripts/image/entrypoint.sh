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

case ${1-} in
  gateway) room=ingest ;;
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
exec node "$root/apps/$room/src/main.ts" "$@"
