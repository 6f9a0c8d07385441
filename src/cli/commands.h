// The commands of dbserver. Each Add… registers one with its options; when the command line names it, it runs
// and leaves its exit code: 0 done, 1 failed, 2 wrong usage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace orrery::cli {

// 512 MiB, or an eighth of the memory of a machine that has less than 4 GiB.
uint64_t DefaultVersionCacheMib();

struct StartSettings {
  std::string store = "orrery-data";
  std::string sql_address = "127.0.0.1:15432";
  std::string rpc_address = "127.0.0.1:15532";
  std::string http_address = "127.0.0.1:15632";
  bool insecure_listen = false;  // addresses may be other than loopback though nothing asks clients who they are
  std::vector<std::string> join;
  std::string locality;
  std::string log_format = "text";
  std::string log_level = "info";
  uint64_t cache_mib = 64;
  uint64_t version_cache_mib = DefaultVersionCacheMib();
  std::optional<uint64_t> disk_reserve_mib;  // none: a twentieth of the disk, 64 MiB to 1 GiB
  uint64_t max_clock_offset_ms = 500;
  uint64_t range_mib = 256;
  uint64_t max_connections = 10'000;
  std::string table_ranges = "shared";
};

void AddStartOptions(CLI::App& app, StartSettings& settings);
void AddStartCommand(CLI::App& app);
void AddDemoCommand(CLI::App& app);
void AddVersionCommand(CLI::App& app, const char* program);
int RunSingleNode(const StartSettings& settings);
int ExitCode();
void SetExitCode(int code);

}  // namespace orrery::cli
