#include "cli/version.h"

namespace orrery::cli {

std::string VersionText() { return std::string(ORRERY_VERSION) + " (" + ORRERY_COMMIT + ")"; }

}  // namespace orrery::cli
