#!/usr/bin/env bash
set -euo pipefail
. "$ROOT/tools/dev/lib.sh"
case ${1:-} in -h | --help) echo "usage: ./dev fmt
Formats the C++ files changed against main with clang-format."; exit 0 ;; esac
format=$(command -v clang-format-14 || command -v clang-format) || die "clang-format is missing: apt-get install clang-format-14"
cd "$ROOT"
{ git diff --name-only --diff-filter=AM main 2>/dev/null; git ls-files --others --exclude-standard; } | sort -u |
  grep -E '\.(cc|h)$' | xargs -r "$format" -i
