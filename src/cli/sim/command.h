// dbserver sim: runs whole clusters under simulation, one a seed.
#pragma once

namespace CLI {
class App;
}

namespace orrery::cli {

// `set_exit_code`: 0 all seeds passed, 1 some failed, 2 wrong usage.
void AddSimCommand(CLI::App& app, void (*set_exit_code)(int));

}  // namespace orrery::cli
