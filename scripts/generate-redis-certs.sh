#!/usr/bin/env bash
# Makes the certificates of a Redis that speaks TLS and knows its clients by certificate. See usage() below.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: generate-redis-certs.sh [--dir DIR] [--days N] [--hosts NAME,ADDRESS,...] [--force]

Makes an authority of its own, and a server's and a client's certificate signed by it, as PEM files:

  ca.crt      the authority's certificate: servers and clients need it to check the other side
  ca.key      the authority's key: keep it away from both; whoever has it can make more certificates
  server.crt  server.key   for every Redis server, replica, Sentinel and Cluster node
  client.crt  client.key   for Weir and redis-cli

  --dir DIR     where the files go; made if need be (default: the current directory)
  --days N      days until all of them expire (default: 365)
  --hosts LIST  names and addresses under which clients reach the servers; wildcards such as
                *.redis.webhook-system.svc.cluster.local are allowed (default: localhost,127.0.0.1)
  --force       replace files that exist
  --help        show this

Redis:  tls-port 6379, port 0, tls-auth-clients yes, tls-protocols TLSv1.3, tls-replication yes,
        tls-ca-cert-file ca.crt, tls-cert-file server.crt, tls-key-file server.key
Weir:   REDIS_TLS_ENABLED=true REDIS_TLS_CA_FILE=ca.crt REDIS_TLS_CERT_FILE=client.crt
        REDIS_TLS_KEY_FILE=client.key
Try it: redis-cli --tls --cacert ca.crt --cert client.crt --key client.key -h HOST ping
TEXT
}

fail() {
  printf 'generate-redis-certs.sh: %s\n' "$1" >&2
  exit "${2:-1}"
}

dir=.
days=365
hosts=localhost,127.0.0.1
force=no
while [[ $# -gt 0 ]]; do
  case $1 in
    --dir | --days | --hosts)
      [[ -n ${2:-} && $2 != --* ]] || fail "$1 needs a value; see --help" 2
      case $1 in
        --dir) dir=$2 ;;
        --days) days=$2 ;;
        --hosts) hosts=$2 ;;
      esac
      shift 2
      ;;
    --force)
      force=yes
      shift
      ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) fail "unknown argument '$1'; see --help" 2 ;;
  esac
done

[[ $days =~ ^[1-9][0-9]{0,4}$ ]] || fail "--days is a number from 1 to 99999, not '$days'" 2
# A comma or line break inside a name would end it in openssl's own syntax.
[[ $hosts =~ ^[][A-Za-z0-9.:*_-]+(,[][A-Za-z0-9.:*_-]+)*$ ]] ||
  fail "--hosts is a list of names and addresses separated by commas, not '$hosts'" 2
command -v openssl > /dev/null || fail 'needs openssl (Debian, Ubuntu: apt-get install openssl)'

mkdir -p -- "$dir" || fail "cannot make the directory '$dir'"
names=(ca.key ca.crt server.key server.crt client.key client.crt)
for name in "${names[@]}"; do
  if [[ -e $dir/$name && $force == no ]]; then
    fail "'$dir/$name' exists: whoever uses it would stop working. Use --force to replace it, or another --dir"
  fi
done

# Nobody else may read what follows, from the first byte on; and nothing is replaced before all is made.
umask 077
work=$(mktemp -d -- "$dir/.generate-redis-certs.XXXXXX")
trap 'rm -rf -- "$work"' EXIT

# openssl talks on stderr even when all is well: shown only when it is not.
quiet() {
  openssl "$@" 2> "$work/log" || {
    cat "$work/log" >&2
    fail "openssl $1 failed"
  }
}

new_key() { quiet genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

# name, common name: signs a certificate with the extensions of [name].
sign() {
  new_key "$work/$1.key"
  quiet req -new -config "$work/openssl.cnf" -key "$work/$1.key" -subj "/O=Weir/CN=$2" -out "$work/$1.csr"
  quiet x509 -req -in "$work/$1.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
    -days "$days" -sha256 -extfile "$work/openssl.cnf" -extensions "$1" -out "$work/$1.crt"
}

subject_names() {
  local -a list
  local host kind separator=''
  IFS=, read -ra list <<< "$hosts"
  for host in "${list[@]}"; do
    host=${host#[}
    host=${host%]}
    kind=DNS
    [[ $host == *:* || $host =~ ^[0-9.]+$ ]] && kind=IP
    printf '%s%s:%s' "$separator" "$kind" "$host"
    separator=,
  done
}

# A server is a client of its master, too: with tls-replication it shows the same certificate.
cat > "$work/openssl.cnf" <<CONFIG
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = $(subject_names)
authorityKeyIdentifier = keyid
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
authorityKeyIdentifier = keyid
CONFIG

new_key "$work/ca.key"
quiet req -new -x509 -config "$work/openssl.cnf" -extensions ca -key "$work/ca.key" -sha256 -days "$days" \
  -subj "/O=Weir/CN=Weir Redis authority" -out "$work/ca.crt"
sign server 'Weir Redis server'
sign client 'Weir Redis client'

for name in "${names[@]}"; do
  chmod 600 "$work/$name"
  mv -f -- "$work/$name" "$dir/$name"
done
printf 'Made in %s, good for %s days, server reached as %s:\n' "$dir" "$days" "$hosts"
printf '  %s\n' "${names[@]}"
