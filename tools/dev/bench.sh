#!/usr/bin/env bash
set -euo pipefail
. "$ROOT/tools/dev/lib.sh"
PRESET=${ORRERY_PRESET:-release}
usage="usage: ./dev bench oltp [options]     (./dev bench oltp --help lists them)
Runs pgbench on this server and on PostgreSQL 15 in turn, on this machine, with the same durability, and prints the ratio."
name=""
[ $# -gt 0 ] && { name=$1; shift; }
case $name in
  oltp) ;;
  -h | --help | "") echo "$usage"; exit 0 ;;
  *) die "there is no benchmark '$name' (try ./dev bench --help)" ;;
esac
case " $* " in *" --help "* | *" -h "*) exec /usr/bin/python3 "$ROOT/tools/bench/$name.py" --help ;; esac
if [ -z "${ORRERY_BIN:-}" ]; then
  ensure_packages
  build "$PRESET" dbserver dbctl
  export ORRERY_BIN="$ROOT/build/$PRESET/bin"
fi
exec /usr/bin/python3 "$ROOT/tools/bench/$name.py" "$@"
