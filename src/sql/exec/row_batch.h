// RowBatch: up to kRowsMax rows between operators, cells side by side in one vector that is re-used from
// batch to batch. Cells may borrow bytes that the batch's pins keep alive. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "orrery/base/assert.h"
#include "orrery/sql/types/datum.h"

namespace orrery::sql {

class RowBatch {
 public:
  static constexpr size_t kRowsMax = 1024;

  // Empties it; rows to come have `width` cells.
  void Reset(size_t width) {
    width_ = width;
    count_ = 0;
    pins_.clear();
    pinned_bytes_ = 0;
  }
  size_t width() const { return width_; }
  size_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  bool full() const { return count_ >= kRowsMax; }

  std::span<Datum> row(size_t i) { return {cells_.data() + i * width_, width_}; }
  std::span<const Datum> row(size_t i) const { return {cells_.data() + i * width_, width_}; }
  // A new last row; its cells hold whatever was there before. May move all rows.
  std::span<Datum> AddRow() {
    size_t needed = (count_ + 1) * width_;
    if (cells_.size() < needed) cells_.resize(std::max(needed, cells_.size() * 2));
    return row(count_++);
  }
  void RemoveLast() { --count_; }
  void Truncate(size_t count) { count_ = std::min(count, count_); }
  // Moves row `from` to `to`.
  void MoveRow(size_t from, size_t to) {
    if (from == to) return;
    for (size_t c = 0; c < width_; ++c) cells_[to * width_ + c] = std::move(cells_[from * width_ + c]);
  }
  // Keeps borrowed bytes, so many, alive as long as the batch has its rows.
  void Pin(std::shared_ptr<const void> bytes, uint64_t size_bytes) {
    pins_.push_back(std::move(bytes));
    pinned_bytes_ += size_bytes;
  }
  void PinAllOf(const RowBatch& other) {
    pins_.insert(pins_.end(), other.pins_.begin(), other.pins_.end());
    pinned_bytes_ += other.pinned_bytes_;
  }
  uint64_t pinned_bytes() const { return pinned_bytes_; }
  void Swap(RowBatch& other) noexcept { std::swap(*this, other); }

 private:
  size_t width_ = 0;
  size_t count_ = 0;
  std::vector<Datum> cells_;
  std::vector<std::shared_ptr<const void>> pins_;
  uint64_t pinned_bytes_ = 0;
};

// Rows kept by an operator: datums that own their bytes, charged to the statement's memory.
using OwnedRow = std::vector<Datum>;
inline OwnedRow CopyOwned(std::span<const Datum> row) {
  OwnedRow copy;
  copy.reserve(row.size());
  for (const Datum& d : row) copy.push_back(d.Owned());
  return copy;
}
inline uint64_t BytesOf(std::span<const Datum> row) {
  uint64_t bytes = sizeof(OwnedRow) + row.size() * sizeof(Datum);
  for (const Datum& d : row) bytes += d.heap_bytes();
  return bytes;
}

}  // namespace orrery::sql
