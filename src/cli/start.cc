// dbserver start: opens the store, puts the node together, serves until a signal.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/version.h"
#include "orrery/base/hash.h"
#include "orrery/observability/log.h"
#include "orrery/runtime/threads_runtime.h"
#include "orrery/server/node.h"
#include "orrery/storage/cached_engine.h"
#include "orrery/storage/rocksdb_engine.h"

namespace orrery::cli {
namespace {

enum class JoinMode { kAlone, kJoin };

int exit_code = 0;

int Fail(const Status& status) {
  std::fprintf(stderr, "dbserver: %s\n", std::string(status.message()).c_str());
  if (!status.fields().hint.empty()) std::fprintf(stderr, "hint: %s\n", status.fields().hint.c_str());
  return 1;
}

// Without passwords and TLS whoever connects is superuser, so only this machine may, unless the operator says that the
// network is one of trusted machines. Names are judged by all they resolve to.
Status CheckListenAddresses(const StartSettings& s) {
  const std::pair<const char*, const std::string*> addresses[] = {
      {"--sql-addr", &s.sql_address}, {"--rpc-addr", &s.rpc_address}, {"--http-addr", &s.http_address}};
  for (const auto& [option, address] : addresses) {
    if (s.insecure_listen || address->empty()) continue;
    auto outside = runtime::ReachableFromOutside(*address);
    if (!outside.ok()) return outside.status().Annotate(option);
    if (outside->empty()) continue;
    return FailedPreconditionError(std::string(option) + " " + *address + " would listen on " + *outside +
                                   ", which other machines can reach: there are no passwords and no TLS, so whoever "
                                   "connects would be superuser")
        .WithHint("Listen on 127.0.0.1, [::1] or localhost. Or, in a network that only trusted machines and containers "
                  "share, add --insecure-listen.");
  }
  return OkStatus();
}

// A folder that holds something else is not taken over.
Status PrepareFolder(runtime::FileSystem& files, const std::string& folder) {
  ASSIGN_OR_RETURN(const bool exists, files.Exists(folder));
  if (!exists) return files.CreateFolder(folder);
  auto names = files.List(folder);
  if (!names.ok()) return names.status().Annotate("opening the store " + folder);
  for (const auto& name : *names) {
    if (name == "engine" || name == "lock") return OkStatus();
  }
  if (names->empty()) return OkStatus();
  return FailedPreconditionError("the folder " + folder + " is not empty and holds no OrreryDB store (found \"" +
                                 names->front() + "\")")
      .WithHint("Name a new or empty folder with --store.");
}

void PrintReady(const server::NodeReadyInfo& info, const StartSettings& settings) {
  std::printf("OrreryDB %s, node %s: %s\n", VersionText().c_str(), ToString(info.node).c_str(),
              info.new_cluster ? "initialised new cluster or joined one" : "restarted");
  std::printf("  sql    postgresql://postgres@%s/postgres\n", info.sql_address.c_str());
  if (!info.http_address.empty()) std::printf("  http   http://%s\n", info.http_address.c_str());
  std::printf("  rpc    %s\n  store  %s\n  connect with: psql postgresql://postgres@%s/postgres\n",
              info.rpc_address.c_str(), settings.store.c_str(), info.sql_address.c_str());
  std::fflush(stdout);
}

server::NodeOptions MakeNodeOptions(const StartSettings& settings, JoinMode mode) {
  server::NodeOptions options;
  options.store_folder = settings.store;
  options.sql_address = settings.sql_address;
  options.rpc_address = settings.rpc_address;
  options.http_address = settings.http_address;
  options.join = settings.join;
  options.locality = settings.locality;
  options.version = VersionText();
  options.init_alone = mode == JoinMode::kAlone;
  options.store.max_clock_offset = std::chrono::milliseconds(settings.max_clock_offset_ms);
  options.store.range_bytes_max = settings.range_mib << 20;
  options.sql_connections_max = settings.max_connections;
  options.table_ranges = settings.table_ranges == "own" ? kv::TableRanges::kOwn : kv::TableRanges::kShared;
  return options;
}

// A connection takes a descriptor, and so does a file of the store. Takes what the system allows, and says so if
// that does not suffice.
void RaiseDescriptorLimit(uint64_t connections_max, observability::Logger& log) {
  constexpr uint64_t kOwnDescriptors = 2000;  // files of the store, streams to other nodes
  const uint64_t wanted = connections_max + kOwnDescriptors;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return;
  log.Warning("the limit of open files does not suffice for --max-connections: raise it (ulimit -n, LimitNOFILE)",
              {{"limit", uint64_t(limit.rlim_cur)}, {"wanted", wanted}, {"max_connections", connections_max}});
}

uint64_t DiskReserveBytes(const StartSettings& settings) {
  if (settings.disk_reserve_mib) return *settings.disk_reserve_mib << 20;
  constexpr uint64_t kBytesMin = 64ull << 20;
  constexpr uint64_t kBytesMax = 1ull << 30;
  std::error_code error;
  const auto disk = std::filesystem::space(settings.store, error);
  return error ? kBytesMin : std::clamp<uint64_t>(disk.capacity / 20, kBytesMin, kBytesMax);
}

// Waits for SIGTERM or SIGINT (drain), or for the node to end by itself (SIGUSR2 from its task).
void ServeUntilSignal(server::Node& node, const sigset_t& signals) {
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal == SIGHUP) continue;  // a closed terminal is no reason to stop
    if (signal != SIGUSR2) node.RequestStop();
    return;
  }
}

int Run(const StartSettings& settings, JoinMode mode) {
  if (const Status addresses = CheckListenAddresses(settings); !addresses.ok()) {
    Fail(addresses);
    return 2;
  }
  // Before any thread is made: signals go to the main thread's sigwait alone.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) sigaddset(&signals, s);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto runtime = runtime::ThreadsRuntime::Create({});
  const auto format = observability::ParseLogFormat(settings.log_format);
  const auto level = observability::ParseLogLevel(settings.log_level);
  if (!format.ok()) return Fail(format.status());
  if (!level.ok()) return Fail(level.status());
  auto sink = observability::NewStderrSink();
  observability::Logger log(runtime->clock(), *sink, *format, *level);

  RaiseDescriptorLimit(settings.max_connections, log);

  if (const Status folder = PrepareFolder(runtime->file_system(), settings.store); !folder.ok()) return Fail(folder);
  auto lock = runtime->file_system().Lock(settings.store + "/lock");
  if (!lock.ok()) return Fail(lock.status().Annotate("the store " + settings.store + " is in use"));
  storage::StoreOptions store;
  store.block_cache_bytes = settings.cache_mib << 20;
  store.disk_reserve_bytes = DiskReserveBytes(settings);
  auto engine = storage::OpenStore(settings.store + "/engine", store);
  if (!engine.ok()) return Fail(engine.status().Annotate("opening the store " + settings.store));
  // A quarter of the rows' memory is for those that are scanned.
  const uint64_t row_bytes = settings.version_cache_mib << 20;
  storage::CachedEngine cached(**engine, row_bytes / 4 * 3, row_bytes / 4);

  if (settings.insecure_listen) {
    log.Warning("--insecure-listen: whoever reaches the node's addresses is superuser; there are no passwords and no TLS");
  }
  server::NodeHooks hooks;
  hooks.on_ready = [&](const server::NodeReadyInfo& info) { PrintReady(info, settings); };
  hooks.on_waiting = [&] {
    std::printf("Waiting for a cluster: run `dbctl init --host %s` once the nodes are up.\n", settings.rpc_address.c_str());
    std::fflush(stdout);
  };
  auto node = server::Node::Create(*runtime, cached, log, MakeNodeOptions(settings, mode), std::move(hooks));
  const runtime::Context root{*runtime};
  const auto scope = root.WithCancel();
  Status result;
  auto task = runtime->scheduler().Spawn(scope.context, {.name = "node"}, [&](const runtime::Context& context) {
    result = node->Run(context);
    kill(getpid(), SIGUSR2);
  });
  ServeUntilSignal(*node, signals);
  task->Join();
  node.reset();
  const Status closed = (*engine)->Close();
  if (!result.ok()) return Fail(result);
  if (!closed.ok()) return Fail(closed.Annotate("closing the store"));
  log.Info("stopped");
  return 0;
}

}  // namespace

uint64_t DefaultVersionCacheMib() {
  constexpr uint64_t kMibMax = 512;
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return kMibMax / 2;
  return std::min(kMibMax, (uint64_t(pages) * uint64_t(page_bytes) >> 20) / 8);
}

int ExitCode() { return exit_code; }
void SetExitCode(int code) { exit_code = code; }

void AddStartOptions(CLI::App& app, StartSettings& s) {
  app.add_option("--store", s.store, "Folder of this node's data")->envname("ORRERY_STORE")->capture_default_str();
  app.add_option("--sql-addr", s.sql_address, "PostgreSQL clients connect here")->envname("ORRERY_SQL_ADDR")->capture_default_str();
  app.add_option("--rpc-addr", s.rpc_address, "Other nodes and dbctl connect here")->envname("ORRERY_RPC_ADDR")->capture_default_str();
  app.add_option("--http-addr", s.http_address, "Status, health and metrics")->envname("ORRERY_HTTP_ADDR")->capture_default_str();
  app.add_flag("--insecure-listen", s.insecure_listen,
               "Allow addresses that other machines can reach. There are no passwords and no TLS: whoever connects is "
               "superuser, reads and destroys everything. Only for networks of trusted machines and containers")
      ->envname("ORRERY_INSECURE_LISTEN");
  app.add_option("--join", s.join, "Addresses (rpc) of the cluster's nodes")->delimiter(',')->envname("ORRERY_JOIN");
  app.add_option("--locality", s.locality, "Where this node is: region=eu,az=a")->envname("ORRERY_LOCALITY");
  app.add_option("--log-format", s.log_format, "text or json")->capture_default_str();
  app.add_option("--log-level", s.log_level, "debug, info, warning, error or off")->capture_default_str();
  app.add_option("--cache", s.cache_mib, "Block cache in MiB")->capture_default_str();
  app.add_option("--version-cache", s.version_cache_mib, "Cache of hot rows in MiB")->capture_default_str();
  app.add_option("--disk-reserve", s.disk_reserve_mib,
                 "Free space of the store's disk, in MiB, that new data does not take (default: a twentieth of the disk, 64 to 1024)");
  app.add_option("--max-clock-offset", s.max_clock_offset_ms, "Between any two nodes, in ms")->capture_default_str();
  app.add_option("--range-size", s.range_mib, "Ranges larger than this are split, in MiB")->capture_default_str();
  app.add_option("--table-ranges", s.table_ranges, "shared: small tables share a range; own: a range for each")
      ->envname("ORRERY_TABLE_RANGES")->check(CLI::IsMember({"shared", "own"}))->capture_default_str();
  app.add_option("--max-connections", s.max_connections, "SQL connections")->capture_default_str();
}

void AddStartCommand(CLI::App& app) {
  auto settings = std::make_shared<StartSettings>();
  auto* start = app.add_subcommand("start", "Start a node of a cluster. Without --join: a cluster of one");
  AddStartOptions(*start, *settings);
  start->callback([settings] {
    SetExitCode(Run(*settings, settings->join.empty() ? JoinMode::kAlone : JoinMode::kJoin));
  });
}

int RunSingleNode(const StartSettings& settings) { return Run(settings, JoinMode::kAlone); }

void AddVersionCommand(CLI::App& app, const char* program) {
  app.set_version_flag("--version", std::string(program) + " " + VersionText());
  auto json = std::make_shared<std::string>("text");
  auto* version = app.add_subcommand("version", "Print version and commit");
  version->add_option("--format", *json, "text or json")->check(CLI::IsMember({"text", "json"}));
  version->callback([json, program] {
    if (*json == "json") {
      std::printf("{\"program\": \"%s\", \"version\": \"%s\", \"commit\": \"%s\"}\n", program, ORRERY_VERSION, ORRERY_COMMIT);
    } else {
      std::printf("%s %s\n", program, VersionText().c_str());
    }
  });
}

}  // namespace orrery::cli
