# Third-party packages, all from Debian 12 (./dev setup installs them). Where each is used is decided by the
# library that links it; see docs/design/dependencies.md.

find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED MODULE)  # gRPC's config needs it found first
find_package(gRPC REQUIRED CONFIG)
find_package(absl REQUIRED CONFIG)
find_package(RocksDB REQUIRED CONFIG)
find_package(spdlog REQUIRED CONFIG)
find_package(fmt REQUIRED CONFIG)
find_package(OpenSSL REQUIRED)
find_package(GTest REQUIRED CONFIG)
find_package(CLI11 REQUIRED CONFIG)
find_package(nlohmann_json REQUIRED CONFIG)
find_package(Boost REQUIRED CONFIG COMPONENTS context)
find_package(PostgreSQL REQUIRED)  # libpq: clients in tests and tools only
find_package(PgQuery REQUIRED MODULE)

# The allocator of dbserver: a tenth less CPU a transaction than glibc's (docs/design/dependencies.md). The sanitizers bring their own.
if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  find_library(JEMALLOC_LIBRARY NAMES libjemalloc.a REQUIRED)
endif()

# The sources' own version string: "<release> (<commit>)". Generated at configure time.
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short=12 HEAD
  OUTPUT_VARIABLE ORRERY_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT ORRERY_COMMIT)
  set(ORRERY_COMMIT "unknown")
endif()
