#!/usr/bin/env bash
# Makes cmake/profile/release.tar.xz anew: builds dbserver with counters, lets it serve pgbench, and keeps what was counted.
set -euo pipefail
. "$ROOT/tools/dev/lib.sh"
port=15900 seconds=5
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) cat <<'TXT'
usage: ./dev train [--base-port P] [--seconds S]
Builds dbserver with GCC's counters (build/train), runs each load on it for S seconds (default 5), and writes the profile by which
the release preset is compiled: cmake/profile/release.tar.xz. Worth it when the paths of statements have changed much: what has changed since
the last time is compiled without a profile.
TXT
      exit 0 ;;
    --base-port) need_value "$@"; port=$2; shift 2 ;;
    --seconds) need_value "$@"; seconds=$2; shift 2 ;;
    *) die "unknown option '$1' (try ./dev train --help)" ;;
  esac
done
ensure_packages
build=$ROOT/build/train
# Without ccache, which does not know these options either.
(cd "$ROOT" && cmake --preset release -B "$build" -DORRERY_PROFILE=OFF -DORRERY_TRAIN=ON -DCMAKE_CXX_COMPILER_LAUNCHER= >&2 &&
  cmake --build "$build" --target dbserver >&2) || die "building failed"
rm -rf "$build/profile"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$build/bin/dbserver" --store "$folder/store" --sql-addr "127.0.0.1:$port" --rpc-addr "127.0.0.1:$((port + 1))" \
  --http-addr "127.0.0.1:$((port + 2))" >"$folder/log" 2>&1 &
server=$!
export PGHOST=127.0.0.1 PGPORT=$port PGUSER=postgres PGDATABASE=postgres
for _ in $(seq 100); do psql -qc 'SELECT 1' >/dev/null 2>&1 && break || sleep 0.2; done
pgbench -q -i -s 5 >&2
for load in "-N -c 8" "-c 8" "-S -c 8" "-N -c 32" "-c 32" "-S -c 16"; do
  say "== $load"
  # shellcheck disable=SC2086  # a load is several words
  pgbench -n -M prepared -j 2 -T "$seconds" $load >&2
done
pgbench -n -M simple -j 2 -T "$seconds" -N -c 8 >&2
pgbench -n -M extended -j 2 -T "$seconds" -S -c 8 >&2
psql -q >/dev/null <<'SQL'
SELECT count(*), sum(abalance) FROM pgbench_accounts;
SELECT bid, count(*) FROM pgbench_accounts WHERE aid BETWEEN 1000 AND 9000 GROUP BY bid ORDER BY bid;
COPY (SELECT aid, bid FROM pgbench_accounts) TO STDOUT;
SQL
kill "$server"
wait "$server" || die "the server ended with an error: $(tail -n 3 "$folder/log")"

mkdir -p "$ROOT/cmake/profile"
tar -C "$build/profile" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cJf "$ROOT/cmake/profile/release.tar.xz" .
say "Written: cmake/profile/release.tar.xz"
