#include <map>
#include <set>

#include "tidy.h"

namespace tidy {
namespace {

using Layers = std::set<std::string, std::less<>>;

// Direct arrows: what a layer may include besides itself and base. Kept equal to docs/design/architecture.md.
const std::map<std::string, Layers, std::less<>>& Arrows() {
  static const Layers kSqlTop = {"runtime", "observability", "sql/types", "sql/parser", "sql/catalog", "sql/binder",
                                 "sql/optimizer", "sql/exec", "sql/session", "kv/api", "kv/client"};
  static const std::map<std::string, Layers, std::less<>> kArrows = {
      {"base", {}},
      {"runtime", {}},
      {"runtime/threads", {"runtime", "observability"}},
      {"runtime/sim", {"runtime", "observability"}},
      {"observability", {"runtime"}},
      {"storage", {"runtime", "observability", "storage/engine", "storage/mvcc"}},
      {"storage/engine", {"runtime", "observability"}},
      {"storage/mvcc", {"runtime", "storage/engine", "observability"}},
      {"raft", {}},
      {"kv/api", {"runtime"}},  // Context, in the Sender's signature
      {"kv/hlc", {"runtime", "kv/api"}},
      {"kv/concurrency", {"kv/api", "kv/hlc"}},
      {"kv/txn", {"kv/api", "kv/hlc", "kv/concurrency"}},
      {"kv/replica", {"runtime", "observability", "storage/engine", "storage/mvcc", "raft", "kv/api", "kv/hlc",
                      "kv/concurrency", "kv/txn", "kv/changes"}},
      {"kv/store", {"runtime", "observability", "storage/engine", "storage/mvcc", "raft", "kv/api", "kv/hlc",
                    "kv/concurrency", "kv/txn", "kv/changes", "kv/replica"}},
      {"kv/changes", {"runtime", "observability", "kv/api", "storage/engine"}},
      {"kv/client", {"runtime", "observability", "kv/api", "kv/hlc"}},
      {"kv/cluster", {"runtime", "observability", "kv/api", "kv/hlc", "kv/client"}},
      {"sql/types", {}},
      {"sql/parser", {"sql/types"}},
      {"sql/catalog", {"runtime", "observability", "sql/types", "sql/parser", "kv/api", "kv/client"}},
      {"sql/binder", {"runtime", "sql/types", "sql/parser", "sql/catalog"}},
      {"sql/optimizer", {"sql/types", "sql/parser", "sql/catalog", "sql/binder", "kv/api"}},
      {"sql/exec", {"runtime", "observability", "sql/types", "sql/parser", "sql/catalog", "sql/binder",
                    "sql/optimizer", "kv/api", "kv/client"}},
      {"sql/session", kSqlTop},
      {"sql/pgwire", kSqlTop},
      {"server", {"*"}},
      {"cli", {"*"}},
  };
  return kArrows;
}

// Pure records and interfaces that cross an arrow on purpose.
const std::set<std::string, std::less<>>& SharedRecords() {
  static const std::set<std::string, std::less<>> kShared = {"orrery/storage/mvcc/txn_meta.h",
                                                              "orrery/kv/store/placement_policy.h"};
  return kShared;
}

// The longest layer name that is a folder prefix of the path; empty if none.
std::string LayerOf(std::string_view path) {
  std::string best;
  for (const auto& [layer, unused] : Arrows()) {
    if (path.starts_with(layer + "/") && layer.size() > best.size()) best = layer;
  }
  return best;
}

}  // namespace

void CheckArrows(const File& file, std::vector<Finding>& findings) {
  std::string_view path = file.path;
  bool in_public = path.starts_with("include/orrery/");
  if (!in_public && !path.starts_with("src/")) return;
  path.remove_prefix(in_public ? 15 : 4);
  const std::string from = LayerOf(path);
  if (from.empty()) {
    findings.push_back({file.path, 1, "folder is not a layer of architecture.md; add it to tools/tidy/arrows.cc"});
    return;
  }
  const Layers& allowed = Arrows().find(from)->second;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    std::string_view line = file.lines[i];
    if (!line.starts_with("#include \"")) continue;
    std::string_view target = line.substr(10, line.find('"', 10) - 10);
    if (SharedRecords().contains(target)) continue;
    const bool to_public = target.starts_with("orrery/");
    const std::string to = LayerOf(to_public ? target.substr(7) : target);
    if (to.empty() || to == from || to == "base") continue;
    // storage's public headers stand in one folder for its two libraries
    if (to == "storage" && (from.starts_with("storage") || allowed.contains("storage/engine"))) continue;
    if (!to_public) {
      if (from == "server" || from == "cli") continue;  // the composition root sees everything
      // the store owns the replicas and drives them: it alone sees their insides
      if (from == "kv/store" && to == "kv/replica") continue;
      // runtime and its back ends, and storage's two libraries, are one family
      const auto family = [](std::string_view layer) { return layer.substr(0, layer.find('/')); };
      if (family(to) == family(from) && (family(to) == "runtime" || family(to) == "storage")) continue;
      findings.push_back({file.path, int(i + 1), "private header of another layer: " + std::string(target)});
    } else if (!allowed.contains("*") && !allowed.contains(to)) {
      findings.push_back({file.path, int(i + 1), "arrow " + from + " -> " + to + " is not allowed (" + std::string(target) + ")"});
    }
    if (to == "server" && from != "cli") findings.push_back({file.path, int(i + 1), "nothing may include server"});
  }
}

}  // namespace tidy
