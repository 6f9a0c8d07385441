#include "cli/sim/command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/sim/run.h"

namespace orrery::cli {
namespace {

struct SimSettings {
  std::string seeds = "1..20";
  uint64_t seed = 0;  // given: only this one
  uint64_t nodes = 3;
  bool grow = false;
  std::string workload = "bank";
  std::string backend = "fiber";
  std::string stack = "server";
  std::string format = "text";
  std::string nemesis = "seed";
  std::string plant;
  bool stop_at_failure = false;
  double duration_s = 8;
  uint64_t progress_every = 20;
  uint64_t repeat_every = 0;
  bool trace = false;
  bool logs = false;
};

// A crash of the process must still tell how to see it again. Written by the handler of a signal, hence
// plain.
char crash_notice[512];

void OnFatalSignal(int signal) {
  const ssize_t written = write(STDERR_FILENO, crash_notice, std::strlen(crash_notice));
  (void)written;
  std::signal(signal, SIG_DFL);
  raise(signal);
}

std::string ReplayCommand(const SimSettings& s, uint64_t seed) {
  std::string command = "dbserver sim --seed=" + std::to_string(seed) +
                        " --nodes=" + std::to_string(s.nodes) + " --workload=" + s.workload;
  if (s.grow) command += " --grow";
  if (s.duration_s != SimSettings().duration_s)
    command += " --duration=" + nlohmann::json(s.duration_s).dump();
  if (s.nemesis != SimSettings().nemesis) command += " --nemesis=" + s.nemesis;
  if (!s.plant.empty()) command += " --plant=" + s.plant;
  if (s.stack != SimSettings().stack) command += " --stack=" + s.stack;
  if (s.backend != SimSettings().backend) command += " --backend=" + s.backend;
  return command;
}

void ArmCrashNotice(const SimSettings& s, uint64_t seed) {
  std::snprintf(crash_notice, sizeof(crash_notice), "FAILED seed %llu: the process crashed. Again: %s\n",
                static_cast<unsigned long long>(seed), ReplayCommand(s, seed).c_str());
  // On a stack of its own: what crashed may have used up its own.
  static std::array<char, 64 * 1024> handler_stack;
  stack_t stack{};
  stack.ss_sp = handler_stack.data();
  stack.ss_size = handler_stack.size();
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_handler = OnFatalSignal;
  action.sa_flags = SA_ONSTACK;
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigaction(signal, &action, nullptr);
}

RunResult RunSeed(const SimSettings& s, uint64_t seed) {
  ArmCrashNotice(s, seed);
  RunOptions options;
  options.seed = seed;
  options.nodes = s.nodes;
  options.grow = s.grow;
  options.workload = s.workload == "bank"   ? WorkloadKind::kBank
                     : s.workload == "load" ? WorkloadKind::kLoad
                                            : WorkloadKind::kRegister;
  options.backend = s.backend == "baton" ? runtime::SimBackend::kBaton : runtime::SimBackend::kFiber;
  options.fault_time = Duration(int64_t(s.duration_s * 1e9));
  if (s.nemesis != SimSettings().nemesis) options.faults = ParseFaults(s.nemesis);
  if (!s.plant.empty()) options.planted = *kv::PlantedBugByName(s.plant);
  options.record_trace = s.trace;
  options.print_logs = s.logs;
  options.stack = s.stack == "kv" ? NodeStack::kKv : NodeStack::kServer;
  return RunOnce(options);
}

std::string HashText(uint64_t hash) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

void PrintJson(const SimSettings& s, uint64_t seed, const RunResult& result) {
  nlohmann::ordered_json violations = nlohmann::json::array();
  for (const auto& v : result.report.violations()) violations.push_back({{"rule", v.rule}, {"what", v.what}});
  const nlohmann::ordered_json line = {{"seed", seed},
                                       {"workload", s.workload},
                                       {"nodes", s.nodes},
                                       {"grow", s.grow},
                                       {"passed", !result.failed()},
                                       {"faults", result.faults.ToString()},
                                       {"trace_hash", HashText(result.trace_hash)},
                                       {"steps", result.step_count},
                                       {"virtual_ms", result.virtual_time.count() / 1'000'000},
                                       {"counts", result.report.counts()},
                                       {"violations", violations}};
  std::printf("%s\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void PrintText(const SimSettings& s, uint64_t seed, const RunResult& result, bool verbose) {
  if (s.trace) {
    for (const auto& line : result.trace) std::printf("%s\n", line.c_str());
  }
  if (verbose || result.failed()) {
    std::printf("seed %llu %s: %s, %.1f s virtual, %llu steps, trace %s, faults %s\n",
                static_cast<unsigned long long>(seed), s.workload.c_str(),
                result.failed() ? "FAILED" : "passed", double(result.virtual_time.count()) / 1e9,
                static_cast<unsigned long long>(result.step_count), HashText(result.trace_hash).c_str(),
                result.faults.ToString().c_str());
  }
  if (verbose) {
    for (const auto& [name, count] : result.report.counts()) {
      std::printf("  %-44s %llu\n", name.c_str(), static_cast<unsigned long long>(count));
    }
  }
  for (const auto& v : result.report.violations())
    std::printf("  violated: %s\n    %s\n", v.rule.c_str(), v.what.c_str());
  if (result.failed()) std::printf("  again: %s\n", ReplayCommand(s, seed).c_str());
}

bool ParseSeeds(const SimSettings& s, uint64_t& first, uint64_t& last) {
  if (s.seed != 0) {
    first = last = s.seed;
    return true;
  }
  const size_t dots = s.seeds.find("..");
  char* end = nullptr;
  first = std::strtoull(s.seeds.c_str(), &end, 10);
  if (dots == std::string::npos) {
    last = first;
    return *end == 0 && first > 0;
  }
  if (end != s.seeds.c_str() + dots) return false;
  last = std::strtoull(s.seeds.c_str() + dots + 2, &end, 10);
  return *end == 0 && first > 0 && first <= last;
}

// Totals over all seeds.
struct Totals {
  uint64_t runs = 0;
  uint64_t steps = 0;
  Duration virtual_time{0};
  std::vector<uint64_t> failed;
  std::map<std::string, uint64_t> counts;
};

void PrintTotals(const Totals& totals) {
  std::printf("%llu seeds, %zu failed, %.0f s virtual, %llu steps\n",
              static_cast<unsigned long long>(totals.runs), totals.failed.size(),
              double(totals.virtual_time.count()) / 1e9, static_cast<unsigned long long>(totals.steps));
  std::fflush(stdout);
}

int RunAll(const SimSettings& s) {
  uint64_t first = 0;
  uint64_t last = 0;
  if (!ParseSeeds(s, first, last)) {
    std::fprintf(stderr, "dbserver sim: --seeds wants A..B with 1 <= A <= B, not \"%s\"\n", s.seeds.c_str());
    return 2;
  }
  if (s.nemesis != SimSettings().nemesis && !ParseFaults(s.nemesis)) {
    std::fprintf(stderr, "dbserver sim: --nemesis wants seed, none, all or some of %s, not \"%s\"\n",
                 FaultNames().c_str(), s.nemesis.c_str());
    return 2;
  }
  if (s.grow && s.nodes < kGrownNodesMin) {
    std::fprintf(stderr, "dbserver sim: --grow wants at least %llu nodes\n", static_cast<unsigned long long>(kGrownNodesMin));
    return 2;
  }
  const bool text = s.format == "text";
  Totals totals;
  for (uint64_t seed = first; seed <= last; ++seed) {
    RunResult result = RunSeed(s, seed);
    if (s.repeat_every != 0 && (seed - first) % s.repeat_every == 0 && !result.failed()) {
      const RunResult again = RunSeed(s, seed);
      if (again.trace_hash != result.trace_hash) {
        result.report.Violate("a seed decides the run",
                              "a second run has trace " + HashText(again.trace_hash));
      }
    }
    if (text) {
      PrintText(s, seed, result, first == last);
    } else {
      PrintJson(s, seed, result);
    }
    ++totals.runs;
    totals.steps += result.step_count;
    totals.virtual_time += result.virtual_time;
    for (const auto& [name, count] : result.report.counts()) totals.counts[name] += count;
    if (result.failed()) totals.failed.push_back(seed);
    if (s.stop_at_failure && result.failed()) break;
    if (text && first != last && totals.runs % s.progress_every == 0 && seed != last) PrintTotals(totals);
  }
  if (text && first != last) {
    PrintTotals(totals);
    for (const auto& [name, count] : totals.counts) {
      std::printf("  %-44s %llu\n", name.c_str(), static_cast<unsigned long long>(count));
    }
    for (const uint64_t seed : totals.failed)
      std::printf("FAILED seed %llu: %s\n", static_cast<unsigned long long>(seed),
                  ReplayCommand(s, seed).c_str());
  }
  std::fflush(stdout);
  return totals.failed.empty() ? 0 : 1;
}

}  // namespace

void AddSimCommand(CLI::App& app, void (*set_exit_code)(int)) {
  auto s = std::make_shared<SimSettings>();
  auto* sim = app.add_subcommand(
      "sim", "Simulated clusters under faults, one for each seed; the same seed gives the same run");
  sim->add_option("--seed", s->seed, "Run this seed alone and tell all about it");
  sim->add_option("--seeds", s->seeds, "Run these seeds")->capture_default_str();
  sim->add_option("--nodes", s->nodes, "Nodes of a cluster")->check(CLI::Range(1, 9))->capture_default_str();
  sim->add_flag("--grow", s->grow, "Begin with node 1 alone: the others join while the workload and the faults go on");
  sim->add_option("--workload", s->workload, "What clients do")
      ->check(CLI::IsMember({"bank", "register", "load"}))
      ->capture_default_str();
  sim->add_option("--backend", s->backend, "fiber is fast; baton runs under debuggers and sanitizers")
      ->check(CLI::IsMember({"fiber", "baton"}))
      ->capture_default_str();
  sim->add_option("--stack", s->stack, "server: whole nodes; kv: only what is below SQL")
      ->check(CLI::IsMember({"server", "kv"}))
      ->capture_default_str();
  sim->add_option("--nemesis", s->nemesis,
                  "Faults: seed (two to four kinds, chosen by the seed), none, all, or of " + FaultNames())
      ->capture_default_str();
  std::vector<std::string> bugs;
  for (const auto& planted : kv::PlantedBugNames()) bugs.emplace_back(planted.name);
  sim->add_option("--plant", s->plant, "Nodes make this mistake on purpose: such a run must fail")
      ->check(CLI::IsMember(bugs));
  sim->add_flag("--stop-at-failure", s->stop_at_failure, "Run no further seeds after one that failed");
  sim->add_option("--duration", s->duration_s, "Virtual seconds of faults")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  sim->add_option("--format", s->format, "text, or json: a line for each seed")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  sim->add_option("--progress-every", s->progress_every, "Seeds between two lines of progress")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  sim->add_option("--repeat-every", s->repeat_every,
                  "Run each so-many-th seed twice and compare the traces (0: none)")
      ->capture_default_str();
  sim->add_flag("--logs", s->logs, "Print the nodes' logs");
  sim->add_flag("--trace", s->trace, "Print every event");
  sim->callback([s, set_exit_code] { set_exit_code(RunAll(*s)); });
}

}  // namespace orrery::cli
