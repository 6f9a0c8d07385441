#!/usr/bin/env bash
# Makes cmake/profile/release.tar.xz anew: builds dbserver with counters, lets one node and then three serve, and keeps what was counted.
set -euo pipefail
. "$ROOT/tools/dev/lib.sh"
port=15900 seconds=5
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) cat <<'TXT'
usage: ./dev train [--base-port P] [--seconds S]
Builds dbserver with GCC's counters (build/train), runs each load for S seconds (default 5) on one node and on three, and writes the profile by
which the release preset is compiled: cmake/profile/release.tar.xz. Worth it when the paths of statements have changed much: what has changed
since the last time is compiled without a profile.
TXT
      exit 0 ;;
    --base-port) need_value "$@"; port=$2; shift 2 ;;
    --seconds) need_value "$@"; seconds=$2; shift 2 ;;
    *) die "unknown option '$1' (try ./dev train --help)" ;;
  esac
done
ensure_packages
build=$ROOT/build/train
# Without ccache, which does not know where these objects count.
(cd "$ROOT" && cmake --preset release -B "$build" -DORRERY_PROFILE=OFF -DORRERY_TRAIN=ON -DCMAKE_CXX_COMPILER_LAUNCHER= >&2 &&
  cmake --build "$build" --target dbserver dbctl >&2) || die "building failed"
rm -rf "$build/profile"
folder=$(mktemp -d)
export ORRERY_BIN=$build/bin PGHOST=127.0.0.1 PGPORT=$port PGUSER=postgres PGDATABASE=postgres
finish() {
  "$ROOT/dev" down --dir "$folder/cluster" >&2 || true
  rm -rf "$folder"
}
trap finish EXIT
cat >"$folder/put.sql" <<'SQL'
\set k random(1, 100000)
INSERT INTO puts VALUES (:k, 'a value of some length, as a client would put it') ON CONFLICT (k) DO UPDATE SET v = excluded.v;
SQL

# load MODE OPTIONS…: one run of pgbench
load() {
  say "== $*"
  pgbench -n -j 2 -T "$seconds" -M "$@" >&2
}

for nodes in 1 3; do
  "$ROOT/dev" up --dir "$folder/cluster" --nodes "$nodes" --base-port "$port" >&2
  psql -qc 'CREATE TABLE puts (k bigint PRIMARY KEY, v text)'
  pgbench -q -i -s 5 >&2
  for clients in 8 32; do
    load prepared -c "$clients" -N
    load prepared -c "$clients" -b tpcb-like
    load prepared -c "$clients" -f "$folder/put.sql"
  done
  for ((k = 0; k < nodes; k++)); do PGPORT=$((port + k)) load prepared -c 8 -S; done
  load simple -c 8 -N
  load extended -c 8 -S
  psql -q >/dev/null <<'SQL'
SELECT count(*), sum(abalance) FROM pgbench_accounts;
SELECT bid, count(*) FROM pgbench_accounts WHERE aid BETWEEN 1000 AND 9000 GROUP BY bid ORDER BY bid;
COPY (SELECT aid, bid FROM pgbench_accounts) TO STDOUT;
SQL
  "$ROOT/dev" down --dir "$folder/cluster" >&2  # the counts are written when a server ends
  rm -rf "$folder/cluster"
done

mkdir -p "$ROOT/cmake/profile"
tar -C "$build/profile" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cJf "$ROOT/cmake/profile/release.tar.xz" .
say "Written: cmake/profile/release.tar.xz"
