#!/usr/bin/env bash
set -euo pipefail
. "$ROOT/tools/dev/lib.sh"
seeds=1..20 workload=bank nodes=3
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) echo "usage: ./dev sim [--seeds A..B] [--workload bank|register|load] [--nodes N]
Runs whole simulated clusters with crashes, partitions, message loss and clock offsets, one for each seed. A failing seed
prints how to run it again: the same seed gives the same trace."; exit 0 ;;
    --seeds) need_value "$@"; seeds=$2; shift 2 ;;
    --workload) need_value "$@"; workload=$2; shift 2 ;;
    --nodes) need_value "$@"; nodes=$2; shift 2 ;;
    *) die "unknown option '$1' (try ./dev sim --help)" ;;
  esac
done
ensure_packages
build "$PRESET" dbserver
"$ROOT/build/$PRESET/bin/dbserver" sim --seeds="$seeds" --nodes="$nodes" --workload="$workload"
