#!/usr/bin/env bash
# Runs every line of the corpus: options of `dbserver sim`, then what the seed once found.
set -euo pipefail
server=$1
while IFS= read -r line; do
  options=${line%%#*}
  [ -n "${options// /}" ] || continue
  # shellcheck disable=SC2086  # several options
  "$server" sim $options || { echo "corpus: $line"; exit 1; }
done < "$2"
