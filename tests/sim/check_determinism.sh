#!/usr/bin/env bash
# Runs seeds in two processes each and compares all they print: trace hash, counts, verdict. One seed also on the
# other back end.
set -euo pipefail
server=$1
for workload in bank register load; do
  for seed in 3 14; do
    args=(sim --seed=$seed --workload=$workload --format=json)
    first=$("$server" "${args[@]}")
    second=$("$server" "${args[@]}")
    if [ "$first" != "$second" ]; then
      printf 'seed %s of %s gave two different runs:\n%s\n%s\n' "$seed" "$workload" "$first" "$second"
      exit 1
    fi
  done
done
args=(sim --seed=3 --workload=bank --duration=2 --format=json)
fiber=$("$server" "${args[@]}")
baton=$("$server" "${args[@]}" --backend=baton)
if [ "$fiber" != "$baton" ]; then
  printf 'seed 3 differs between back ends:\n%s\n%s\n' "$fiber" "$baton"
  exit 1
fi
echo "the same seed gives the same run"
