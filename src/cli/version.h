// What `--version` and the system views print.
#pragma once

#include <string>

namespace orrery::cli {

// "0.1.0 (a1b2c3d4e5f6)"
std::string VersionText();

}  // namespace orrery::cli
