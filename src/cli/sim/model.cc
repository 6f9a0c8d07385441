#include "cli/sim/model.h"

#include "orrery/base/hash.h"
#include "orrery/storage/mvcc/keys.h"

namespace orrery::cli {

namespace {

std::string Show(const std::optional<std::string>& value) {
  return value ? "\"" + Printable(value->substr(0, 40)) + "\"" : "nothing";
}

}  // namespace

Status VersionModel::Load(const storage::Reader& engine, const kv::Span& span) {
  const auto bounds = storage::BoundsOf(span.start, span.end);
  auto it = engine.NewIterator(storage::ColumnFamily::kMvcc, {bounds.lower, bounds.upper});
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    std::string key;
    Timestamp ts;
    if (!storage::DecodeVersionKey(it->key(), key, ts)) return DataLossError("malformed version key");
    storage::VersionValue value;
    RETURN_IF_ERROR(storage::DecodeVersionValue(it->key(), it->value(), value));
    auto& slot = versions_[key][ts];
    if (!value.tombstone) slot = std::string(value.payload);
    ++version_count_;
  }
  return it->status();
}

std::optional<std::string> VersionModel::At(std::string_view key, Timestamp ts) const {
  const auto it = versions_.find(key);
  if (it == versions_.end()) return std::nullopt;
  auto version = it->second.upper_bound(ts);
  return version == it->second.begin() ? std::nullopt : (--version)->second;
}

std::vector<Timestamp> VersionModel::TimesOf(std::string_view key, std::string_view value) const {
  std::vector<Timestamp> times;
  const auto it = versions_.find(key);
  if (it == versions_.end()) return times;
  for (const auto& [ts, stored] : it->second) {
    if (stored == value) times.push_back(ts);
  }
  return times;
}

std::vector<std::pair<std::string, std::string>> VersionModel::ScanAt(const kv::Span& span, Timestamp ts) const {
  std::vector<std::pair<std::string, std::string>> rows;
  for (auto it = versions_.lower_bound(span.start); it != versions_.end() && it->first < span.end; ++it) {
    if (auto value = At(it->first, ts)) rows.emplace_back(it->first, *value);
  }
  return rows;
}

std::string VersionModel::Around(std::string_view key, Timestamp ts) const {
  constexpr int kShown = 3;  // on either side
  const auto it = versions_.find(key);
  if (it == versions_.end()) return "no versions";
  const auto& versions = it->second;
  auto from = versions.upper_bound(ts);
  auto to = from;
  for (int i = 0; i < kShown && from != versions.begin(); ++i) --from;
  for (int i = 0; i < kShown && to != versions.end(); ++i) ++to;
  std::string text;
  while (to != from) {
    --to;
    text += "\n      " + to->first.ToString() + " " + Show(to->second);
  }
  return text;
}

std::string Compare(const SeenReads& seen, const VersionModel& model) {
  const auto stood = [&](std::string_view key) {
    return model.At(key, seen.written.contains(key) ? seen.ts.Prev() : seen.ts);
  };
  for (const auto& [key, value] : seen.keys) {
    if (value == stood(key)) continue;
    return seen.who + " at " + seen.ts.ToString() + " saw " + Show(value) + " under " + Printable(key) + ", but there stood " +
           Show(stood(key)) + ":" + model.Around(key, seen.ts);
  }
  if (!seen.span) return "";
  size_t rows = 0;
  for (const auto& [key, value] : model.ScanAt(*seen.span, seen.ts)) rows += !seen.written.contains(key);
  for (const auto& key : seen.written) rows += seen.span->Contains(key) && stood(key).has_value();
  if (rows == seen.keys.size()) return "";
  return seen.who + " at " + seen.ts.ToString() + " saw " + std::to_string(seen.keys.size()) + " rows, but there stood " +
         std::to_string(rows);
}

}  // namespace orrery::cli
