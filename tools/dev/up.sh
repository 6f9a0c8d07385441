#!/usr/bin/env bash
# Starts (or completes) a cluster of local nodes. One folder per node below the cluster's folder; each holds the
# store, the log and the pid file. The addresses are chosen at the first start and remembered.
set -euo pipefail
. "$ROOT/tools/dev/lib.sh"
nodes="" dir="$ROOT/.orrery/cluster" port=""
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) cat <<TXT
usage: ./dev up [--nodes N] [--dir D] [--base-port P] [--preset PRESET]
Builds dbserver (default: preset $PRESET; release takes longer to build and is a good deal faster), starts N nodes
(default 3) on this machine and waits until the cluster is ready, then prints one line for each node:
node K sql postgresql://… http http://… pid …
SQL ports are P, P+1, … (default 15432), node-to-node ports P+100, …, HTTP ports P+200, …
Run again on the same folder it starts the nodes that are not running. Data stays in D (default .orrery/cluster).
TXT
      exit 0 ;;
    --nodes) need_value "$@"; nodes=$2; shift 2 ;;
    --dir) need_value "$@"; dir=$2; shift 2 ;;
    --base-port) need_value "$@"; port=$2; shift 2 ;;
    --preset) need_value "$@"; PRESET=$2; shift 2 ;;
    *) die "unknown option '$1' (try ./dev up --help)" ;;
  esac
done
if [ -z "${ORRERY_BIN:-}" ]; then
  ensure_packages
  build "$PRESET" dbserver dbctl
fi
bin=${ORRERY_BIN:-$ROOT/build/$PRESET/bin}

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
if [ -f "$dir/cluster.conf" ]; then
  . "$dir/cluster.conf"
  [ -z "$nodes" ] || [ "$nodes" = "$NODES" ] || die "$dir holds a cluster of $NODES nodes; use another --dir for $nodes"
  [ -z "$port" ] || [ "$port" = "$PORT" ] || die "$dir holds a cluster on base port $PORT; use another --dir for $port"
else
  NODES=${nodes:-3} PORT=${port:-15432}
  [[ $NODES =~ ^[0-9]+$ ]] && [ "$NODES" -ge 1 ] && [ "$NODES" -le 99 ] || die "--nodes takes a number from 1 to 99"
  [[ $PORT =~ ^[0-9]+$ ]] && [ "$PORT" -le 65000 ] || die "--base-port takes a port number"
  printf 'NODES=%s\nPORT=%s\n' "$NODES" "$PORT" >"$dir/cluster.conf"
fi

join=""
for ((k = 1; k <= NODES; k++)); do join+="${join:+,}127.0.0.1:$((PORT + 99 + k))"; done

# Asks for the command line, not for the number: that may be another process by now, or a dead one nobody has reaped.
running() {
  local pid
  pid=$(cat "$dir/node$1/pid" 2>/dev/null) && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$dir/node$1/store"
} 2>/dev/null

for ((k = 1; k <= NODES; k++)); do
  running "$k" && continue
  mkdir -p "$dir/node$k"
  # setsid: a Ctrl-C in this terminal is not meant for the cluster.
  setsid "$bin/dbserver" start --store "$dir/node$k/store" --sql-addr "127.0.0.1:$((PORT + k - 1))" \
    --rpc-addr "127.0.0.1:$((PORT + 99 + k))" --http-addr "127.0.0.1:$((PORT + 199 + k))" --join "$join" \
    >>"$dir/node$k/log" 2>&1 </dev/null &
  echo $! >"$dir/node$k/pid"
done

fail() {
  say "dev: $*; the last lines of its log:"
  tail -n 5 "$dir/node$k/log" >&2
  exit 1
}

# The first start makes the cluster; later ones find it made.
if [ ! -f "$dir/initialised" ]; then
  k=1
  waited_until=$((SECONDS + 60))
  while :; do
    if "$bin/dbctl" init --host "127.0.0.1:$((PORT + 100))" >"$dir/init.log" 2>&1; then break; fi
    grep -q "already" "$dir/init.log" && break
    running 1 || fail "node 1 has stopped"
    [ "$SECONDS" -lt "$waited_until" ] || { cat "$dir/init.log" >&2; fail "the cluster could not be initialised"; }
    sleep 0.1
  done
  touch "$dir/initialised"
fi
waited_until=$((SECONDS + 60))
for ((k = 1; k <= NODES; k++)); do
  while :; do
    [ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 2 "http://127.0.0.1:$((PORT + 199 + k))/readyz" || true)" = 200 ] && break
    running "$k" || fail "node $k has stopped"
    [ "$SECONDS" -lt "$waited_until" ] || fail "node $k is not ready after a minute"
    sleep 0.1
  done
done
for ((k = 1; k <= NODES; k++)); do
  echo "node $k sql postgresql://postgres@127.0.0.1:$((PORT + k - 1))/postgres http http://127.0.0.1:$((PORT + 199 + k)) pid $(cat "$dir/node$k/pid")"
done
