#!/usr/bin/env bash
# Every test there is: unit and transcript tests, tidy, SQL logic files, simulation seeds, real processes under faults.
set -euo pipefail
. "$ROOT/tools/dev/lib.sh"
only="" list=""
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) echo "usage: ./dev test [--only REGEX] [--list]
Installs what is missing, builds, and runs every test. --only runs those whose name matches; --list names them."; exit 0 ;;
    --only) need_value "$@"; only=$2; shift 2 ;;
    --list) list=1; shift ;;
    *) die "unknown option '$1' (try ./dev test --help)" ;;
  esac
done
started=$(date +%s)
ensure_packages sysbench etcd-server linux-perf
build "$PRESET"
say "Built after $(($(date +%s) - started)) s. Testing:"
args=(--test-dir "$ROOT/build/$PRESET" --output-on-failure --no-tests=error)
[ -n "$only" ] && args+=(-R "$only")
[ -n "$list" ] && args+=(-N)
ctest "${args[@]}"
say "Finished after $(($(date +%s) - started)) s."
