#!/usr/bin/env bash
set -euo pipefail
. "$ROOT/tools/dev/lib.sh"
targets=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) echo "usage: ./dev build [--preset dev|release|asan|tsan] [TARGET…]
Compiles into build/<preset> (default: $PRESET). The programs are in build/<preset>/bin."; exit 0 ;;
    --preset) need_value "$@"; PRESET=$2; shift 2 ;;
    *) targets+=("$1"); shift ;;
  esac
done
ensure_packages
build "$PRESET" "${targets[@]}"
say "Built: build/$PRESET/bin"
