#!/usr/bin/env bash
# ./dev bench NAME, ./dev profile NAME: builds, installs the peer, and runs tools/bench/bench.py, which knows the names.
set -euo pipefail
. "$ROOT/tools/dev/lib.sh"
PRESET=${ORRERY_PRESET:-release}
script=$ROOT/tools/bench/bench.py
profile=() extra=() targets=(dbserver dbctl)
[ "${1:-}" = --profile ] && { profile=(--profile) extra+=(linux-perf); shift; }
case " $* " in "  " | *" --help "* | *" -h "*) exec /usr/bin/python3 "$script" "${profile[@]}" "$@" ;; esac
case ${profile[*]}${1:-} in --profilefailover) exec /usr/bin/python3 "$script" "${profile[@]}" "$@" ;; esac
case ${1:-} in
  sysbench | cluster) extra+=(sysbench) ;;
  raft) extra+=(etcd-server) targets+=(bench_puts) ;;
  oltp | copy | failover | idle) ;;
  *) exec /usr/bin/python3 "$script" "${profile[@]}" "$@" ;;
esac
ensure_packages "${extra[@]}"
if [ -z "${ORRERY_BIN:-}" ]; then
  build "$PRESET" "${targets[@]}"
  export ORRERY_BIN="$ROOT/build/$PRESET/bin"
fi
PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 "$script" "${profile[@]}" "$@"
