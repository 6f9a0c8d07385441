// dbserver: one node. `dbserver` alone starts a single node beside the current folder's data; see --help.
#include <csignal>
#include <cstdio>
#include <cstring>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/sim/command.h"
#include "cli/version.h"

// jemalloc's own settings, which it looks for by this name. It gives allocations beyond 8 MiB back to the system at once
// unless told otherwise; the blocks of loads are of that size, and fetching their pages anew was a quarter of COPY's CPU.
extern "C" {
extern const char* const malloc_conf;
const char* const malloc_conf = "oversize_threshold:0";
}

int main(int argc, char** argv) {
  CLI::App app("OrreryDB: a distributed SQL database that speaks PostgreSQL.\n"
               "Without a command: starts a single node with its data in ./orrery-data.");
  app.require_subcommand(0, 1);
  orrery::cli::AddStartCommand(app);
  orrery::cli::AddDemoCommand(app);
  orrery::cli::AddSimCommand(app, orrery::cli::SetExitCode);
  orrery::cli::AddVersionCommand(app, "dbserver");
  orrery::cli::StartSettings alone;
  orrery::cli::AddStartOptions(app, alone);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  if (!app.get_subcommands().empty()) return orrery::cli::ExitCode();
  return orrery::cli::RunSingleNode(alone);
}
