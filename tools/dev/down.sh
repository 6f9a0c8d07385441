#!/usr/bin/env bash
set -euo pipefail
. "$ROOT/tools/dev/lib.sh"
dir="$ROOT/.orrery/cluster"
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) echo "usage: ./dev down [--dir D]
Stops the nodes that ./dev up started there (drains, then ends them). Their data stays."; exit 0 ;;
    --dir) need_value "$@"; dir=$2; shift 2 ;;
    *) die "unknown option '$1' (try ./dev down --help)" ;;
  esac
done
[ -d "$dir" ] || { say "No cluster in $dir."; exit 0; }
dir=$(cd "$dir" && pwd)
# Only a dbserver of this folder: a pid may have been given to another process since, or be that of a dead one.
running() { tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF -- "--store $dir/node"; } 2>/dev/null
pids=()
for file in "$dir"/node*/pid; do
  [ -f "$file" ] || continue
  pid=$(cat "$file")
  if running "$pid"; then
    kill -TERM "$pid" 2>/dev/null && pids+=("$pid")
  fi
  rm -f "$file"
done
for pid in "${pids[@]}"; do
  for ((i = 0; i < 150; i++)); do
    running "$pid" || break
    sleep 0.1
  done
  if running "$pid"; then
    say "Process $pid did not drain within 15 s: killed."
    kill -KILL "$pid" 2>/dev/null || true
  fi
done
say "Stopped ${#pids[@]} nodes; their data is in $dir."
