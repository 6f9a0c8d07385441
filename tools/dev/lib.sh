# Shared by the commands of ./dev. Sourced, with ROOT set by ./dev.
# What up and test build; benchmarks always measure the release build.
PRESET=${ORRERY_PRESET:-dev}

# One compiler cache for all checkouts: paths inside the tree do not count.
export CCACHE_BASEDIR=$ROOT CCACHE_NOHASHDIR=1

say() { printf '%s\n' "$*" >&2; }
die() {
  say "dev: $*"
  exit 1
}

# Debian 12 packages: build tools, libraries, and the real peers that tests and benchmarks use.
PACKAGES=(g++ cmake ninja-build ccache mold pkg-config git ca-certificates
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libabsl-dev librocksdb-dev libgflags-dev
  libsnappy-dev zlib1g-dev libbz2-dev liblz4-dev libzstd-dev libxxhash-dev
  libpg-query-dev postgresql-server-dev-15 libpq-dev libssl-dev libspdlog-dev libfmt-dev libcli11-dev
  nlohmann-json3-dev libboost-dev libboost-context-dev libre2-dev libjemalloc-dev libgtest-dev
  postgresql-15 postgresql-client-15 python3 procps iproute2 curl tzdata util-linux e2fsprogs)

# Installs what is missing of these and of the packages named; quick and silent when nothing is.
ensure_packages() {
  local missing=() p
  local have
  have=$(dpkg-query -W -f='${Status} ${binary:Package}\n' 2>/dev/null | sed -n 's/^install ok installed //p' | sed 's/:.*//')
  for p in "${PACKAGES[@]}" "$@"; do
    grep -qxF -- "$p" <<<"$have" || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "these Debian packages are missing and neither root nor sudo is at hand: ${missing[*]}"
    as_root=(sudo)
  fi
  say "Installing Debian packages: ${missing[*]}"
  # Installing PostgreSQL would start a server of its own: the tests start theirs, so forbid that.
  "${as_root[@]}" mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] ||
    printf 'create_main_cluster = false\n' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
  # Likewise etcd, a benchmark's peer: masked, its service neither starts now nor at the next boot.
  if [[ " ${missing[*]} " == *" etcd-server "* && ! -e /etc/systemd/system/etcd.service ]]; then
    "${as_root[@]}" mkdir -p /etc/systemd/system
    "${as_root[@]}" ln -s /dev/null /etc/systemd/system/etcd.service
  fi
  "${as_root[@]}" apt-get update -q >&2
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
}

# Configures (once) and builds the given targets, all by default.
build() {
  local preset=$1
  shift
  if [ ! -f "$ROOT/build/$preset/build.ninja" ]; then
    (cd "$ROOT" && cmake --preset "$preset" >&2) || die "configuring failed"
  fi
  local targets=()
  [ $# -gt 0 ] && targets=(--target "$@")
  (cd "$ROOT" && cmake --build "build/$preset" "${targets[@]}" >&2) || die "building failed"
}

need_value() { [ $# -ge 2 ] && [ -n "$2" ] || die "$1 needs a value"; }
