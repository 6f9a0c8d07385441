#!/usr/bin/env bash
set -euo pipefail
. "$ROOT/tools/dev/lib.sh"
case ${1:-} in -h | --help) echo "usage: ./dev setup
Installs the Debian packages that building, running and testing need. Does nothing when all are there."; exit 0 ;; esac
ensure_packages
say "All packages are installed."
