#!/usr/bin/env bash
# A private PostgreSQL 15 for tests and benchmarks: postgres.sh start DIR PORT [name=value…] | stop DIR
# Listens on 127.0.0.1 only, trusts it, superuser postgres; data in DIR. Never touches a server of the machine.
set -euo pipefail
bindir=/usr/lib/postgresql/15/bin
as_user() {
  # PostgreSQL refuses to run as root.
  if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}
case ${1:-} in
  start)
    dir=$2 port=$3
    shift 3
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    [ "$(id -u)" -ne 0 ] || chown postgres "$dir"
    if [ ! -f "$dir/data/PG_VERSION" ]; then
      (cd "$dir" && as_user "$bindir/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1 ||
        { cat "$dir/initdb.log" >&2; exit 1; })
    fi
    options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$dir"
    for setting in "$@"; do options+=" -c $setting"; done
    (cd "$dir" && as_user "$bindir/pg_ctl" -D "$dir/data" -w -t 60 -l "$dir/log" -o "$options" start >/dev/null) ||
      { tail -n 20 "$dir/log" >&2; exit 1; }
    ;;
  stop)
    dir=$(cd "$2" && pwd)
    (cd "$dir" && as_user "$bindir/pg_ctl" -D "$dir/data" -w -m fast stop >/dev/null)
    ;;
  *)
    echo "usage: postgres.sh start DIR PORT [name=value…] | stop DIR" >&2
    exit 2
    ;;
esac
