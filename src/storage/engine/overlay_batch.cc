#include "orrery/storage/overlay_batch.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "orrery/base/assert.h"

namespace orrery::storage {

StatusOr<std::optional<std::string>> Reader::Get(ColumnFamily cf, std::string_view key) const {
  std::string value;
  ASSIGN_OR_RETURN(const bool found, GetInto(cf, key, value));
  if (!found) return std::optional<std::string>();
  return std::optional<std::string>(std::move(value));
}

// An engine that has no better way.
StatusOr<std::unique_ptr<PreparedLoad>> Engine::PrepareLoad(const WriteBatch&) {
  return std::make_unique<PreparedLoad>();
}
Status Engine::Ingest(const WriteBatch& rows, std::unique_ptr<PreparedLoad>) { return Write(rows, SyncMode::kSync); }

namespace {
struct Entry {
  bool deleted = false;
  std::string value;
};
using EntryMap = absl::btree_map<std::string, Entry, std::less<>>;
struct Writes {
  EntryMap entries;
  std::vector<std::pair<std::string, std::string>> hidden;  // deleted intervals of the base

  bool Hides(std::string_view key) const {
    return std::any_of(hidden.begin(), hidden.end(),
                       [&](const auto& h) { return h.first <= key && key < h.second; });
  }
};

// Merges a base iterator with the writes on top of it. Where both have a key the write wins.
class OverlayIterator final : public Iterator {
 public:
  OverlayIterator(std::unique_ptr<Iterator> base, std::shared_ptr<const Writes> writes, IteratorOptions options)
      : base_(std::move(base)), writes_(std::move(writes)), options_(std::move(options)) {}

  void Seek(std::string_view target) override {
    base_->Seek(target);
    write_ = writes_->entries.lower_bound(std::max(target, std::string_view(options_.lower)));
    FindForward();
  }
  void SeekToFirst() override { Seek(options_.lower); }
  void SeekForPrev(std::string_view target) override {
    base_->SeekForPrev(target);
    if (!options_.upper.empty() && target >= options_.upper) {
      write_ = writes_->entries.lower_bound(options_.upper);
    } else {
      write_ = writes_->entries.upper_bound(target);
    }
    FindBackward();
  }
  void SeekToLast() override {
    base_->SeekToLast();
    write_ = options_.upper.empty() ? writes_->entries.end() : writes_->entries.lower_bound(options_.upper);
    FindBackward();
  }
  void Next() override {
    if (!forward_) {
      const std::string from = std::string(key()) + '\0';
      Seek(from);
      return;
    }
    if (at_write_) ++write_;
    if (!at_write_ || both_) base_->Next();
    FindForward();
  }
  void Prev() override {
    if (forward_) {
      const std::string from(key());
      base_->SeekForPrev(from);
      if (base_->Valid() && base_->key() == from) base_->Prev();
      write_ = writes_->entries.lower_bound(from);
      FindBackward();
      return;
    }
    if (at_write_) --write_;
    if (!at_write_ || both_) base_->Prev();
    FindBackward();
  }
  bool Valid() const override { return valid_; }
  std::string_view key() const override { return at_write_ ? std::string_view(Current()->first) : base_->key(); }
  std::string_view value() const override {
    return at_write_ ? std::string_view(Current()->second.value) : base_->value();
  }
  Status status() const override { return base_->status(); }

 private:
  // Going forward write_ is the candidate itself, going backward the one after it.
  EntryMap::const_iterator Current() const { return forward_ ? write_ : std::prev(write_); }

  void FindForward() {
    forward_ = true;
    valid_ = false;
    while (true) {
      while (base_->Valid() && writes_->Hides(base_->key())) base_->Next();
      const bool has_base = base_->Valid();
      if (!has_base && !base_->status().ok()) return;
      const bool has_write = write_ != writes_->entries.end() &&
                             (options_.upper.empty() || write_->first < options_.upper);
      if (!has_base && !has_write) return;
      at_write_ = has_write && (!has_base || write_->first <= base_->key());
      both_ = at_write_ && has_base && write_->first == base_->key();
      if (!at_write_ || !write_->second.deleted) break;
      ++write_;
      if (both_) base_->Next();
    }
    valid_ = true;
  }

  void FindBackward() {
    forward_ = false;
    valid_ = false;
    while (true) {
      while (base_->Valid() && writes_->Hides(base_->key())) base_->Prev();
      const bool has_base = base_->Valid();
      if (!has_base && !base_->status().ok()) return;
      const bool has_write =
          write_ != writes_->entries.begin() && std::prev(write_)->first >= options_.lower;
      if (!has_base && !has_write) return;
      at_write_ = has_write && (!has_base || std::prev(write_)->first >= base_->key());
      both_ = at_write_ && has_base && std::prev(write_)->first == base_->key();
      if (!at_write_ || !std::prev(write_)->second.deleted) break;
      --write_;
      if (both_) base_->Prev();
    }
    valid_ = true;
  }

  const std::unique_ptr<Iterator> base_;
  const std::shared_ptr<const Writes> writes_;
  const IteratorOptions options_;
  EntryMap::const_iterator write_;
  bool forward_ = true;
  bool valid_ = false;
  bool at_write_ = false;
  bool both_ = false;  // both sides stand on the current key
};
}  // namespace

// Shared with the iterators over it; cloned before it changes under one.
struct OverlayBatch::Index {
  std::shared_ptr<Writes> writes = std::make_shared<Writes>();

  Writes& Mutable() {
    if (writes.use_count() > 1) writes = std::make_shared<Writes>(*writes);
    return *writes;
  }
};

OverlayBatch::OverlayBatch(const Reader& base) : base_(base) {}
OverlayBatch::~OverlayBatch() = default;

void OverlayBatch::BuildIndex() const {
  batch_.ForEach(
      [this](const WriteBatch::Op& op) {
        auto& slot = index_[size_t(op.cf)];
        if (!slot) slot = std::make_unique<Index>();
        Writes& writes = slot->Mutable();
        if (op.kind == WriteBatch::OpKind::kDeleteRange) {
          writes.entries.erase(writes.entries.lower_bound(op.key), writes.entries.lower_bound(op.value));
          writes.hidden.emplace_back(op.key, op.value);
          return;
        }
        auto it = writes.entries.lower_bound(op.key);
        if (it == writes.entries.end() || it->first != op.key) {
          it = writes.entries.emplace_hint(it, std::string(op.key), Entry());
        }
        it->second.deleted = op.kind == WriteBatch::OpKind::kDelete;
        it->second.value.assign(op.value);
      },
      indexed_bytes_);
  indexed_bytes_ = batch_.bytes().size();
}

OverlayBatch::Index* OverlayBatch::IndexOf(ColumnFamily cf) const {
  if (indexed_bytes_ != batch_.bytes().size()) BuildIndex();
  return index_[size_t(cf)].get();
}

StatusOr<bool> OverlayBatch::GetInto(ColumnFamily cf, std::string_view key, std::string& value) const {
  if (IsBehind(cf, key)) return base_.GetInto(cf, key, value);
  const Index* index = IndexOf(cf);
  if (index == nullptr) return base_.GetInto(cf, key, value);
  const Writes& writes = *index->writes;
  const auto it = writes.entries.find(key);
  if (it == writes.entries.end()) {
    if (writes.Hides(key)) return false;
    return base_.GetInto(cf, key, value);
  }
  if (it->second.deleted) return false;
  value.assign(it->second.value);
  return true;
}

std::unique_ptr<Iterator> OverlayBatch::NewIterator(ColumnFamily cf, IteratorOptions options) const {
  if (IsBehind(cf, options.lower)) return base_.NewIterator(cf, std::move(options));
  const Index* index = IndexOf(cf);
  if (index == nullptr) return base_.NewIterator(cf, std::move(options));
  auto base = base_.NewIterator(cf, options);
  return std::make_unique<OverlayIterator>(std::move(base), index->writes, std::move(options));
}

StatusOr<bool> OverlayBatch::SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes,
                                          std::string& key, std::string& value) const {
  if (IsBehind(cf, target)) return base_.SeekInPrefix(cf, target, prefix_bytes, key, value);
  const Index* index = IndexOf(cf);
  if (index == nullptr) return base_.SeekInPrefix(cf, target, prefix_bytes, key, value);
  const Writes& writes = *index->writes;
  const std::string prefix(target.substr(0, prefix_bytes));
  std::string from(target);
  bool has_base = false;
  while (true) {  // the first base entry that no write replaces
    ASSIGN_OR_RETURN(has_base, base_.SeekInPrefix(cf, from, prefix_bytes, key, value));
    if (!has_base || (!writes.entries.contains(key) && !writes.Hides(key))) break;
    from.assign(key).push_back('\0');
  }
  auto it = writes.entries.lower_bound(target);
  while (it != writes.entries.end() && it->second.deleted && it->first.starts_with(prefix)) ++it;
  if (it == writes.entries.end() || !it->first.starts_with(prefix)) return has_base;
  if (has_base && key < it->first) return true;
  key.assign(it->first);
  value.assign(it->second.value);
  return true;
}

bool OverlayBatch::HasPut(ColumnFamily cf, std::string_view key) const {
  if (IsBehind(cf, key)) return false;
  const Index* index = IndexOf(cf);
  if (index == nullptr) return false;
  const auto it = index->writes->entries.find(key);
  return it != index->writes->entries.end() && !it->second.deleted;
}

WriteBatch OverlayBatch::TakeBatch() {
  for (auto& index : index_) index.reset();
  for (Extent& extent : extents_) extent = Extent();
  indexed_bytes_ = 0;
  return std::exchange(batch_, {});
}

}  // namespace orrery::storage
