// MvccOps: what a batch does to kMvcc, read once for all who follow its write (the caches of CachedEngine look at each
// operation before the write and after it). Operations of a load are not kept but read again, as they may be many.
//
// Thread safety: none needed, it never changes. The batch outlives it and does not change meanwhile.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "orrery/base/hash.h"
#include "orrery/storage/write_batch.h"
#include "storage/engine/rocksdb_options.h"

namespace orrery::storage {

struct MvccOp {
  WriteBatch::OpKind kind;
  std::string_view key;
  std::string_view value;
  std::string_view prefix;  // the user key of the version; empty for a range, and for a key that no seek can find
  uint64_t known_hash = 0;  // 0: not known yet

  uint64_t hash() const { return known_hash != 0 ? known_hash : Hash64(prefix); }
};

class MvccOps {
 public:
  explicit MvccOps(const WriteBatch& batch) : batch_(batch), kept_(batch.op_count() <= kKeptMax) {
    if (!kept_) return;
    Read([&](const MvccOp& op) {
      ops_.push_back(op);
      if (!op.prefix.empty()) ops_.back().known_hash = Hash64(op.prefix);
    });
  }
  MvccOps(const MvccOps&) = delete;
  MvccOps& operator=(const MvccOps&) = delete;

  const WriteBatch& batch() const { return batch_; }

  // Calls f(const MvccOp&) for each operation on kMvcc, in order.
  template <class F>
  void ForEach(F&& f) const {
    if (!kept_) return Read(f);
    for (const MvccOp& op : ops_) f(op);
  }

 private:
  static constexpr size_t kKeptMax = 64;

  template <class F>
  void Read(F&& f) const {
    batch_.ForEach([&](const WriteBatch::Op& op) {
      if (op.cf != ColumnFamily::kMvcc) return;
      MvccOp read{op.kind, op.key, op.value, {}};
      if (op.kind != WriteBatch::OpKind::kDeleteRange) read.prefix = op.key.substr(0, TerminatedBytes(op.key));
      f(read);
    });
  }

  const WriteBatch& batch_;
  const bool kept_;
  absl::InlinedVector<MvccOp, 8> ops_;
};

}  // namespace orrery::storage
