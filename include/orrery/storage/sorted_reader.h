// SortedReader: the view of an evaluation that looks at many keys in order. Instead of a seek a key, with its
// filters and its search from the top, it walks one iterator over the versions forward; keys without a version
// cost a comparison. Right for any order of look-ups, quick for an ascending one.
//
// It sees the versions as they are when the first is read: the caller's latches keep its keys as they are
// (OverlayBatch asks the same). Thread safety: none, one task. The base must outlive it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "orrery/storage/engine.h"

namespace orrery::storage {

class SortedReader final : public Reader {
 public:
  // Walks between the user keys `first` and `last`, both included; whatever lies outside of them, and all column
  // families but kMvcc, are the base's.
  SortedReader(const Reader& base, std::string_view first, std::string_view last);
  ~SortedReader() override;

  StatusOr<bool> GetInto(ColumnFamily cf, std::string_view key, std::string& value) const override;
  std::unique_ptr<Iterator> NewIterator(ColumnFamily cf, IteratorOptions options) const override;
  StatusOr<bool> SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes,
                              std::string& key, std::string& value) const override;

 private:
  bool Covers(ColumnFamily cf, std::string_view key) const;
  // To the first entry at or behind `target`; whether there is one within the bounds.
  StatusOr<bool> MoveTo(std::string_view target) const;

  const Reader& base_;
  const IteratorOptions bounds_;
  mutable std::unique_ptr<Iterator> walk_;  // null: not begun
  mutable std::string target_;              // walk_ stands on the first entry at or behind it
};

}  // namespace orrery::storage
