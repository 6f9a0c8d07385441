// dbctl: administration of a cluster. Noun, verb; data on stdout, everything else on stderr; exit codes 0 done,
// 1 failed, 2 wrong usage.
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "orrery/base/hash.h"
#include "orrery/runtime/threads_runtime.h"
#include "orrery/server/admin_messages.h"
#include "server/range_admin.h"
#include "server/status_service.h"

namespace orrery::cli {
namespace {

struct Settings {
  std::string host = "127.0.0.1:15532";
  std::string format = "table";
  uint64_t timeout_s = 30;
};

int Fail(const Status& status) {
  std::fprintf(stderr, "dbctl: %s\n", std::string(status.message()).c_str());
  if (!status.fields().hint.empty()) std::fprintf(stderr, "hint: %s\n", status.fields().hint.c_str());
  return 1;
}

// One question to one node.
template <class Request, class Response>
Status Ask(const Settings& settings, runtime::Method method, const Request& request, Response& response) {
  auto runtime = runtime::ThreadsRuntime::Create({});
  const runtime::Context context =
      runtime::Context(*runtime).WithTimeout(std::chrono::seconds(settings.timeout_s));
  auto bytes = runtime->transport().CallAddress(context, settings.host, method, wire::Encode(request));
  runtime->transport().Stop();
  if (!bytes.ok()) return bytes.status().Annotate("asking the node at " + settings.host);
  return wire::Decode(*bytes, response);
}

int Init(const Settings& settings) {
  server::BootstrapResponse response;
  const Status asked = Ask(settings, runtime::Method::kBootstrap, server::BootstrapRequest(), response);
  if (!asked.ok()) return Fail(asked);
  if (settings.format == "json") {
    std::printf("{\"cluster\": \"%s\", \"nodes\": %zu}\n", response.cluster_id.c_str(), response.nodes.size());
  } else {
    std::printf("Initialised cluster %s of %zu nodes.\n", response.cluster_id.c_str(), response.nodes.size());
  }
  return 0;
}

StatusOr<server::StatusResponse> GetStatus(const Settings& settings, uint8_t with_ranges) {
  server::StatusResponse response;
  RETURN_IF_ERROR(Ask(settings, runtime::Method::kStoreStatus,
                      server::StatusRequest{server::StatusScope::kCluster, with_ranges}, response));
  return response;
}

int NodeStatus(const Settings& settings) {
  const auto status = GetStatus(settings, 0);
  if (!status.ok()) return Fail(status.status());
  if (settings.format == "json") return std::fputs(server::StatusToJson(*status).c_str(), stdout), 0;
  std::printf("%-5s %-9s %7s %7s %12s  %-22s %-22s %s\n", "node", "state", "ranges", "leases", "connections", "sql", "rpc", "note");
  for (const auto& node : status->nodes) {
    const char* state = !node.live ? "down" : node.draining ? "draining" : node.ready ? "ready" : "starting";
    std::printf("%-5s %-9s %7llu %7llu %12llu  %-22s %-22s %s\n", ToString(node.node.node).c_str(), state,
                static_cast<unsigned long long>(node.range_count), static_cast<unsigned long long>(node.lease_count),
                static_cast<unsigned long long>(node.sql_connections), node.node.sql_address.c_str(),
                node.node.rpc_address.c_str(), node.error.c_str());
  }
  return 0;
}

int RangeList(const Settings& settings) {
  const auto status = GetStatus(settings, 1);
  if (!status.ok()) return Fail(status.status());
  if (settings.format == "json") return std::fputs(server::StatusToJson(*status).c_str(), stdout), 0;
  std::printf("%-6s %-5s %-6s %-11s %10s %10s  %-18s %s\n", "range", "node", "lease", "replicas", "applied", "rows", "start", "end");
  for (const auto& node : status->nodes) {
    for (const auto& range : node.ranges) {
      std::string replicas;
      for (const auto& r : range.descriptor.replicas) replicas += (replicas.empty() ? "" : ",") + ToString(r.node);
      std::printf("%-6s %-5s %-6s %-11s %10llu %10lld  %-18s %s\n", ToString(range.descriptor.range).c_str(),
                  ToString(node.node.node).c_str(), range.lease_here ? "here" : "", replicas.c_str(),
                  static_cast<unsigned long long>(range.applied.value()), static_cast<long long>(range.live_count),
                  Printable(range.descriptor.start).c_str(), Printable(range.descriptor.end).c_str());
    }
  }
  return 0;
}

struct Nothing {
  template <class V> void Visit(V&) {}
};

// Keys as `range list` prints them; from `file` ("-": standard input) one a line.
int RangeSplit(const Settings& settings, const std::vector<std::string>& keys, const std::string& file) {
  std::vector<std::string> texts = keys;
  std::ifstream opened;
  if (!file.empty() && file != "-") {
    opened.open(file);
    if (!opened) return Fail(NotFoundError("cannot read " + file));
  }
  if (!file.empty()) {
    std::istream& lines = file == "-" ? std::cin : opened;
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty()) texts.push_back(line);
    }
  }
  server::RangeSplitRequest request;
  for (const std::string& text : texts) {
    auto key = server::KeyFromPrintable(text);
    if (!key.ok()) return Fail(key.status().Annotate(text));
    request.keys.push_back(std::move(*key));
  }
  Nothing answer;
  const Status asked = Ask(settings, server::kRangeSplitMethod, request, answer);
  if (!asked.ok()) return Fail(asked);
  std::printf(settings.format == "json" ? "{\"keys\": %zu}\n" : "Ranges begin at %zu keys.\n", request.keys.size());
  return 0;
}

CLI::App* AddCommand(CLI::App& parent, const char* name, const char* help, std::function<int(const Settings&)> run) {
  auto settings = std::make_shared<Settings>();
  auto* command = parent.add_subcommand(name, help);
  command->add_option("--host", settings->host, "A node's rpc address")->envname("ORRERY_HOST")->capture_default_str();
  command->add_option("--format", settings->format, "table or json")->check(CLI::IsMember({"table", "json"}))->capture_default_str();
  command->add_option("--timeout", settings->timeout_s, "Seconds to wait for the answer")->capture_default_str();
  command->callback([settings, run = std::move(run)] { SetExitCode(run(*settings)); });
  return command;
}

void AddRangeSplit(CLI::App& range) {
  auto keys = std::make_shared<std::vector<std::string>>();
  auto file = std::make_shared<std::string>();
  auto* split = AddCommand(range, "split", "Begin ranges at these keys",
                           [keys, file](const Settings& settings) { return RangeSplit(settings, *keys, *file); });
  split->add_option("keys", *keys, "Keys as range list prints them: \\x and two hexadecimal digits for bytes that are no ASCII");
  split->add_option("--from", *file, "A file with a key a line; -: standard input");
}

}  // namespace
}  // namespace orrery::cli

int main(int argc, char** argv) {
  CLI::App app("dbctl: administration of an OrreryDB cluster");
  app.require_subcommand(1);
  orrery::cli::AddCommand(app, "init", "Make a cluster of a node and those it was told to join", orrery::cli::Init);
  auto* node = app.add_subcommand("node", "Nodes of the cluster");
  node->require_subcommand(1);
  orrery::cli::AddCommand(*node, "status", "Nodes with state, ranges, leases", orrery::cli::NodeStatus);
  auto* range = app.add_subcommand("range", "Ranges of the cluster");
  range->require_subcommand(1);
  orrery::cli::AddCommand(*range, "list", "Every replica with its range, lease and progress", orrery::cli::RangeList);
  orrery::cli::AddRangeSplit(*range);
  orrery::cli::AddVersionCommand(app, "dbctl");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return orrery::cli::ExitCode();
}
