#!/usr/bin/env bash
# A disk that forgets what it has synced breaks every promise: the run must say so. An audit that passes it would
# pass anything.
set -uo pipefail
server=$1
for workload in bank register; do
  output=$("$server" sim --seeds=1..3 --workload="$workload" --nemesis=crash-many,lying-disk)
  code=$?
  if [ $code -ne 1 ] || ! grep -q "violated: I1[13]" <<< "$output"; then
    printf '%s: loss went unnoticed (exit code %s):\n%s\n' "$workload" "$code" "$output"
    exit 1
  fi
done
echo "lost writes are found"
