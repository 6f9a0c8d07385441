#!/usr/bin/env bash
set -euo pipefail
. "$ROOT/tools/dev/lib.sh"
case ${1:-} in -h | --help) echo "usage: ./dev lint
Runs tools/tidy over the tree (arrows, banned identifiers, sizes, document titles)."; exit 0 ;; esac
ensure_packages
build "$PRESET" tidy
"$ROOT/build/$PRESET/bin/tidy" "$ROOT"
