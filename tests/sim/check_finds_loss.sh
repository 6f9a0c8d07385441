#!/usr/bin/env bash
# A disk that forgets what it has synced breaks every promise: the run must say so. Without the durability witness (--stack=kv)
# it is the audit that must, or it would pass anything; with it (--stack=server) the nodes find their stores too short (B58).
set -uo pipefail
server=$1
expect() {  # STACK WORKLOAD PATTERN
  output=$("$server" sim --seeds=1..3 --stack="$1" --workload="$2" --nemesis=crash-many,lying-disk)
  code=$?
  if [ $code -ne 1 ] || ! grep -q "$3" <<< "$output"; then
    printf '%s, %s: loss went unnoticed (exit code %s):\n%s\n' "$1" "$2" "$code" "$output"
    exit 1
  fi
}
for workload in bank register load; do
  expect kv "$workload" "violated: I1[13]"
  expect server "$workload" "the store has lost data that its disk had confirmed"
done
echo "lost writes are found"
