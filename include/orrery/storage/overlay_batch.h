// OverlayBatch: the writes of one evaluation on top of a Reader, so that later requests of the evaluation see
// the writes of earlier ones before anything reaches the engine. The result is a WriteBatch to propose.
//
// The index over the writes is built only when something is read at or before the last key written: evaluating
// one put, or many in key order, appends to a string and no more. Thread safety: none, one task. The base must
// outlive it, and must not change in the keys that are read here meanwhile (latches or an EngineSnapshot see to
// that).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "orrery/storage/engine.h"

namespace orrery::storage {

class OverlayBatch final : public Reader {
 public:
  explicit OverlayBatch(const Reader& base);
  ~OverlayBatch() override;
  OverlayBatch(const OverlayBatch&) = delete;
  OverlayBatch& operator=(const OverlayBatch&) = delete;

  void Put(ColumnFamily cf, std::string_view key, std::string_view value) {
    batch_.Put(cf, key, value);
    Note(cf, key);
  }
  void Delete(ColumnFamily cf, std::string_view key) {
    batch_.Delete(cf, key);
    Note(cf, key);
  }
  void DeleteRange(ColumnFamily cf, std::string_view begin, std::string_view end) {
    if (begin >= end) return;
    batch_.DeleteRange(cf, begin, end);
    Note(cf, end);
  }

  // Iterators see the writes made before they were made, not later ones.
  StatusOr<bool> GetInto(ColumnFamily cf, std::string_view key, std::string& value) const override;
  std::unique_ptr<Iterator> NewIterator(ColumnFamily cf, IteratorOptions options) const override;
  StatusOr<bool> SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes,
                              std::string& key, std::string& value) const override;

  // Whether the last change of this very key, if any here, is a Put of this batch.
  bool HasPut(ColumnFamily cf, std::string_view key) const;

  const WriteBatch& batch() const { return batch_; }
  // Leaves this overlay empty.
  WriteBatch TakeBatch();

 private:
  struct Index;
  // How far the writes reach: behind that the base alone answers, and writes in key order need no index.
  struct Extent {
    bool written = false;
    std::string last;  // largest key put or deleted
  };
  void Note(ColumnFamily cf, std::string_view key) {
    Extent& extent = extents_[size_t(cf)];
    if (extent.written && key <= extent.last) return;
    extent.written = true;
    extent.last.assign(key);
  }
  // Nothing here concerns `target` or any key behind it.
  bool IsBehind(ColumnFamily cf, std::string_view target) const {
    const Extent& extent = extents_[size_t(cf)];
    return !extent.written || target > extent.last;
  }
  Index* IndexOf(ColumnFamily cf) const;  // null: nothing written to this column family
  void BuildIndex() const;

  const Reader& base_;
  WriteBatch batch_;
  Extent extents_[kColumnFamilyCount];
  mutable size_t indexed_bytes_ = 0;             // prefix of batch_.bytes() that the indexes hold
  mutable std::unique_ptr<Index> index_[kColumnFamilyCount];
};

}  // namespace orrery::storage
