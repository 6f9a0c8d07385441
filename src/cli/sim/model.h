// VersionModel: every committed version that a cluster holds, by key and time; and the exact test of a
// transaction's reads against it (I12): what it saw is what stood there at its timestamp.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "orrery/base/status.h"
#include "orrery/base/timestamp.h"
#include "orrery/kv/api/keys.h"
#include "orrery/storage/engine.h"

namespace orrery::cli {

class VersionModel {
 public:
  // Adds what the engine holds in the span. DataLoss if a version fails its checks.
  Status Load(const storage::Reader& engine, const kv::Span& span);
  // The value at `ts`, none if there is none.
  std::optional<std::string> At(std::string_view key, Timestamp ts) const;
  // The versions around `ts`, newest first, for messages.
  std::string Around(std::string_view key, Timestamp ts) const;
  // The newest value.
  std::optional<std::string> Latest(std::string_view key) const { return At(key, Timestamp::Max()); }
  // When versions with this value were written.
  std::vector<Timestamp> TimesOf(std::string_view key, std::string_view value) const;
  // The keys of the span that have a value at `ts`.
  std::vector<std::pair<std::string, std::string>> ScanAt(const kv::Span& span, Timestamp ts) const;
  size_t version_count() const { return version_count_; }

 private:
  std::map<std::string, std::map<Timestamp, std::optional<std::string>>, std::less<>> versions_;
  size_t version_count_ = 0;
};

// What one transaction or statement saw.
struct SeenReads {
  Timestamp ts;
  // Keys it wrote: their versions at exactly `ts` are its own and were not there yet. Other keys may have been written
  // by others at the same timestamp, which it sees.
  std::set<std::string, std::less<>> written;
  std::vector<std::pair<std::string, std::optional<std::string>>> keys;
  std::optional<kv::Span> span;  // it saw exactly `keys` in it
  std::string who;
};
// Empty if the reads agree with the model; else what differs.
std::string Compare(const SeenReads& seen, const VersionModel& model);

}  // namespace orrery::cli
