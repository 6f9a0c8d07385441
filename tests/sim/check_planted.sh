#!/usr/bin/env bash
# Tests of the tests: each planted bug (docs/design/simulation.md) must be found by one of the seeds named for it, by the rule
# named for it; the seed that finds it must pass without it. A line of the list: NAME ; RULE ; options of `dbserver sim`.
set -uo pipefail
server=$1
list=$2
failed=0
names=" "
while IFS=';' read -r name rule options; do
  name=${name// /}
  case $name in ''|'#'*) continue ;; esac
  rule=$(sed 's/^ *//; s/ *$//' <<< "$rule")
  names+="$name "
  # shellcheck disable=SC2086  # several options
  output=$("$server" sim $options --plant="$name" --stop-at-failure 2>&1)
  code=$?
  if [ $code -ne 1 ] || ! grep -qE "violated: ($rule)" <<< "$output"; then
    printf '%s was not found by "%s" (exit code %s):\n%s\n' "$name" "$rule" "$code" "$output"
    failed=1
    continue
  fi
  again=$(sed -n 's/^ *again: dbserver \(sim .*\) --plant=[a-z-]*\(.*\)$/\1\2/p' <<< "$output" | head -1)
  echo "$name: $again"
  # shellcheck disable=SC2086
  if ! output=$("$server" $again 2>&1); then
    printf 'without %s the run must pass:\n%s\n' "$name" "$output"
    failed=1
  fi
done < "$list"
known=$("$server" sim --help | tr '\n' ' ' | sed -n 's/.*--plant TEXT:{\([^}]*\)}.*/\1/p' | tr ',' ' ')
[ -n "${known// /}" ] || { echo "no planted bugs in the help"; failed=1; }
for name in $known; do
  [[ $names == *" $name "* ]] || { echo "nothing is known to find the planted bug $name"; failed=1; }
done
[ $failed -eq 0 ] && echo "all planted bugs are found"
exit $failed
