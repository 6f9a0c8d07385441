// OverlayBatch: the writes of one evaluation on top of a Reader, so that later requests of the evaluation see
// the writes of earlier ones before anything reaches the engine. The result is a WriteBatch to propose.
//
// The index over the writes is built only when something is read after something was written: evaluating one
// put appends to a string and no more. Thread safety: none, one task. The base must outlive it, and must not
// change in the keys that are read here meanwhile (latches or an EngineSnapshot see to that).
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

  void Put(ColumnFamily cf, std::string_view key, std::string_view value) { batch_.Put(cf, key, value); }
  void Delete(ColumnFamily cf, std::string_view key) { batch_.Delete(cf, key); }
  void DeleteRange(ColumnFamily cf, std::string_view begin, std::string_view end) {
    batch_.DeleteRange(cf, begin, end);
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
  Index* IndexOf(ColumnFamily cf) const;  // null: nothing written to this column family
  void BuildIndex() const;

  const Reader& base_;
  WriteBatch batch_;
  mutable size_t indexed_bytes_ = 0;             // prefix of batch_.bytes() that the indexes hold
  mutable std::unique_ptr<Index> index_[kColumnFamilyCount];
};

}  // namespace orrery::storage
