// dbserver demo: a whole cluster in one process, in memory, gone when it ends.
#include <csignal>
#include <cstdio>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/version.h"
#include "orrery/observability/log.h"
#include "orrery/runtime/threads_runtime.h"
#include "orrery/server/admin_messages.h"
#include "orrery/server/node.h"
#include "orrery/storage/rocksdb_engine.h"

namespace orrery::cli {
namespace {

struct DemoSettings {
  uint64_t nodes = 3;
  uint64_t base_port = 15432;
};

// One in-process node with everything it stands on.
struct DemoNode {
  std::unique_ptr<runtime::ThreadsRuntime> runtime;
  std::unique_ptr<observability::LogSink> sink;
  std::unique_ptr<observability::Logger> log;
  std::unique_ptr<storage::Engine> engine;
  std::unique_ptr<server::Node> node;
  std::unique_ptr<runtime::Task> task;
  Status result;
};

std::string Address(uint64_t port) { return "127.0.0.1:" + std::to_string(port); }

// Where the nodes' own files (peers, plans) go: a folder in the system's temporary one, removed at the end.
std::string MakeFolder() {
  char pattern[] = "/tmp/orrery-demo-XXXXXX";
  const char* made = mkdtemp(pattern);
  return made ? made : "";
}

Status StartNode(DemoNode& n, const DemoSettings& settings, uint64_t k, const std::string& folder,
                 std::function<void(const server::NodeReadyInfo&)> on_ready) {
  n.runtime = runtime::ThreadsRuntime::Create({});
  n.sink = observability::NewStderrSink();
  n.log = std::make_unique<observability::Logger>(n.runtime->clock(), *n.sink, observability::LogFormat::kText,
                                                  observability::LogLevel::kWarning);
  ASSIGN_OR_RETURN(n.engine, storage::OpenStoreInMemory({}));
  server::NodeOptions options;
  options.store_folder = folder + "/node" + std::to_string(k);
  RETURN_IF_ERROR(n.runtime->file_system().CreateFolder(options.store_folder));
  options.sql_address = Address(settings.base_port + k);
  options.rpc_address = Address(settings.base_port + 100 + k);
  options.http_address = Address(settings.base_port + 200 + k);
  options.version = VersionText();
  options.init_alone = settings.nodes == 1;
  for (uint64_t other = 0; other < settings.nodes; ++other) options.join.push_back(Address(settings.base_port + 100 + other));
  n.node = server::Node::Create(*n.runtime, *n.engine, *n.log, options, {.on_ready = std::move(on_ready)});
  n.task = n.runtime->scheduler().Spawn(runtime::Context(*n.runtime), {.name = "node"}, [&n](const runtime::Context& c) {
    n.result = n.node->Run(c);
    if (!n.result.ok()) kill(getpid(), SIGUSR2);
  });
  return OkStatus();
}

Status InitCluster(DemoNode& first, const DemoSettings& settings) {
  if (settings.nodes == 1) return OkStatus();
  const runtime::Context context = runtime::Context(*first.runtime).WithTimeout(20s);
  for (;;) {
    auto made = first.runtime->transport().CallAddress(context, Address(settings.base_port + 100),
                                                       runtime::Method::kBootstrap, wire::Encode(server::BootstrapRequest()));
    if (made.ok() || made.status().code() != Code::kUnavailable) return made.ok() ? OkStatus() : made.status();
    RETURN_IF_ERROR(first.runtime->scheduler().SleepFor(context, 50ms));
  }
}

int Run(const DemoSettings& settings) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGINT, SIGUSR2}) sigaddset(&signals, s);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  const std::string folder = MakeFolder();
  if (folder.empty()) return std::fprintf(stderr, "dbserver: no folder could be made in /tmp\n"), 1;

  std::vector<DemoNode> nodes(settings.nodes);
  Status status;
  for (uint64_t k = 0; k < settings.nodes && status.ok(); ++k) {
    status = StartNode(nodes[k], settings, k, folder, [](const server::NodeReadyInfo& info) {
      std::printf("node %s  psql postgresql://postgres@%s/postgres   http://%s\n", ToString(info.node).c_str(),
                  info.sql_address.c_str(), info.http_address.c_str());
      std::fflush(stdout);
    });
  }
  if (status.ok()) status = InitCluster(nodes[0], settings);
  if (status.ok()) {
    std::printf("OrreryDB %s demo: %llu nodes in this process, data in memory. Ctrl-C ends it.\n", VersionText().c_str(),
                static_cast<unsigned long long>(settings.nodes));
    std::fflush(stdout);
    int signal = 0;
    sigwait(&signals, &signal);
  }
  for (auto& n : nodes) if (n.node) n.node->RequestStop();
  for (auto& n : nodes) {
    if (n.task) n.task->Join();
    if (status.ok()) status = n.result;
  }
  for (uint64_t k = 0; k < settings.nodes; ++k) {
    if (!nodes[k].runtime) continue;
    auto& files = nodes[k].runtime->file_system();
    const std::string own = folder + "/node" + std::to_string(k);
    if (auto names = files.List(own); names.ok()) {
      for (const auto& name : *names) (void)files.Remove(own + "/" + name);
    }
    rmdir(own.c_str());
  }
  rmdir(folder.c_str());
  if (status.ok()) return 0;
  std::fprintf(stderr, "dbserver: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

void AddDemoCommand(CLI::App& app) {
  auto settings = std::make_shared<DemoSettings>();
  auto* demo = app.add_subcommand("demo", "A cluster in this process, in memory: to try things out");
  demo->add_option("--nodes", settings->nodes, "How many")->check(CLI::Range(1, 9))->capture_default_str();
  demo->add_option("--base-port", settings->base_port, "SQL port of the first node")->capture_default_str();
  demo->callback([settings] { SetExitCode(Run(*settings)); });
}

}  // namespace orrery::cli
