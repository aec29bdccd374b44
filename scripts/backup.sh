#!/usr/bin/env bash
# Backs up what a Weir would be rebuilt from: Redis, and cold storage. See usage().
set -euo pipefail

usage() {
  cat << 'TEXT'
Usage: backup.sh --to DIR [--redis HOST:PORT]... [--cold-directory DIR | --cold-bucket s3://BUCKET/PREFIX]
       backup.sh --verify DIR

Makes DIR/<time>/ with redis-<host>-<port>.rdb, a snapshot of each server as it is at one moment, and cold/, a copy of cold
storage; then checks every file, and writes their SHA-256 to MANIFEST. Only a backup that has a MANIFEST is whole.

  --to DIR             where backups go; made if need be
  --redis HOST:PORT    server to take a snapshot of (default: 127.0.0.1:6379); of a Cluster name every master. A replica is
                       as good as its master, and has less to do
  --cold-directory DIR cold storage that is a directory
  --cold-bucket URL    bucket to copy cold storage from; needs the command aws, with its own credentials
                       (AWS_ENDPOINT_URL where it is not AWS)
  --verify DIR         checks a backup against its MANIFEST, and each snapshot by redis-check-rdb

Variables: REDIS_PASSWORD; REDIS_TLS_ENABLED=true with REDIS_TLS_CA_FILE, REDIS_TLS_CERT_FILE, REDIS_TLS_KEY_FILE.

Redis comes first, cold storage after it: what the snapshot points to is in the copy then. The keyring is not in it, on purpose: a
backup that had the keys too could not be made unreadable by destroying them (docs/encryption.md). To restore: docs/kubernetes.md.
TEXT
}

fail() {
  printf 'backup.sh: %s\n' "$1" >&2
  exit "${2:-1}"
}

to=
verify=
servers=()
cold_directory=
cold_bucket=
while [[ $# -gt 0 ]]; do
  case $1 in
    --to | --redis | --cold-directory | --cold-bucket | --verify)
      [[ -n ${2:-} && $2 != --* ]] || fail "$1 needs a value; see --help" 2
      case $1 in
        --to) to=$2 ;;
        --redis) servers+=("$2") ;;
        --cold-directory) cold_directory=$2 ;;
        --cold-bucket) cold_bucket=$2 ;;
        --verify) verify=$2 ;;
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
[[ -n $to || -n $verify ]] || fail 'says --to DIR, where the backup goes; see --help' 2
for tool in redis-cli redis-check-rdb sha256sum; do
  command -v "$tool" > /dev/null || fail "needs $tool (Debian, Ubuntu: apt-get install redis-tools coreutils)" 2
done

check_snapshots() { # directory
  local snapshot log
  for snapshot in "$1"/*.rdb; do
    [[ -f $snapshot ]] || fail "there is no snapshot in '$1'"
    log=$(redis-check-rdb "$snapshot") || fail "$snapshot is damaged: $(tail -n 1 <<< "$log")"
  done
}

if [[ -n $verify ]]; then
  [[ -f $verify/MANIFEST ]] || fail "'$verify' has no MANIFEST: it is no backup, or one that was not finished"
  (cd "$verify" && sha256sum --quiet --strict --check MANIFEST) || fail "'$verify' is not what was backed up (above)"
  # Files that no line names are not known to be whole.
  # In it, behind the 64 digits and two blanks of each line stands the name.
  extra=$(cd "$verify" && comm -13 <(cut -c 67- MANIFEST | sort) <(find . -type f ! -name MANIFEST | sort))
  [[ -z $extra ]] || fail "'$verify' has files that are not in its MANIFEST: $extra"
  check_snapshots "$verify"
  printf '%s: %s files, all as they were\n' "$verify" "$(wc -l < "$verify/MANIFEST")"
  exit 0
fi

[[ -z $cold_directory || -z $cold_bucket ]] || fail 'takes --cold-directory or --cold-bucket, not both' 2
[[ -z $cold_directory || -d $cold_directory ]] || fail "the cold directory '$cold_directory' does not exist" 2
if [[ -n $cold_bucket ]]; then
  [[ $cold_bucket =~ ^s3://[a-z0-9.-]+(/.*)?$ ]] || fail "--cold-bucket is s3://BUCKET or s3://BUCKET/PREFIX, not '$cold_bucket'" 2
  command -v aws > /dev/null || fail 'needs the command aws to copy a bucket (https://aws.amazon.com/cli)' 2
fi
[[ ${#servers[@]} -gt 0 ]] || servers=(127.0.0.1:6379)
for server in "${servers[@]}"; do
  [[ $server =~ ^[A-Za-z0-9._-]+:[0-9]+$ ]] || fail "--redis is HOST:PORT, not '$server'" 2
done
options=(--no-auth-warning)
[[ -z ${REDIS_PASSWORD:-} ]] || export REDISCLI_AUTH=$REDIS_PASSWORD
if [[ ${REDIS_TLS_ENABLED:-} == true ]]; then
  options+=(--tls)
  [[ -z ${REDIS_TLS_CA_FILE:-} ]] || options+=(--cacert "$REDIS_TLS_CA_FILE")
  [[ -z ${REDIS_TLS_CERT_FILE:-} ]] || options+=(--cert "$REDIS_TLS_CERT_FILE")
  [[ -z ${REDIS_TLS_KEY_FILE:-} ]] || options+=(--key "$REDIS_TLS_KEY_FILE")
fi

# Payloads and secrets of senders are in it.
umask 077
backup=$to/$(date -u +%Y%m%dT%H%M%SZ)
mkdir -p -- "$to" || fail "cannot make the directory '$to'"
mkdir -- "$backup" || fail "'$backup' exists already: another backup runs"
trap '[[ -f $backup/MANIFEST ]] || printf "backup.sh: %s is not whole; remove it\n" "$backup" >&2' EXIT

for server in "${servers[@]}"; do
  host=${server%:*} port=${server##*:}
  answer=$(redis-cli "${options[@]}" -h "$host" -p "$port" ping 2>&1) || :
  [[ $answer == PONG ]] || fail "Redis at $server does not answer: $answer"
  # As a replica gets it: BGSAVE on the server, streamed here. So no access to its disk is needed.
  file=$backup/redis-$host-$port.rdb
  log=$(redis-cli "${options[@]}" -h "$host" -p "$port" --rdb "$file" 2>&1) || fail "no snapshot of $server: $(tail -n 1 <<< "$log")"
  [[ -s $file ]] || fail "no snapshot of $server: $(tail -n 1 <<< "$log")"
done
check_snapshots "$backup"

if [[ -n $cold_directory ]]; then
  cp -a -- "$cold_directory" "$backup/cold"
elif [[ -n $cold_bucket ]]; then
  aws s3 sync --only-show-errors "$cold_bucket" "$backup/cold" || fail "cold storage could not be copied from $cold_bucket (above)"
fi

# On the disk before it is called whole.
(cd "$backup" && find . -type f ! -name 'MANIFEST*' -print0 | sort -z | xargs -0 sha256sum > MANIFEST.new && sync -f . && mv MANIFEST.new MANIFEST && sync -f .)
printf '%s: %s files, %s\n' "$backup" "$(wc -l < "$backup/MANIFEST")" "$(du -sh "$backup" | cut -f 1)"
