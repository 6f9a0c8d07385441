// WriteBatch: an ordered list of changes that reach the engine together or not at all. Its serialised form is
// what a Raft command carries (docs/formats/storage.md), so a batch is one string that only grows.
//
// Thread safety: none; one owner at a time. Invariant: bytes() always holds well-formed operations, since
// bytes from elsewhere come in through FromBytes alone, which checks them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "orrery/base/status_or.h"

namespace orrery::storage {

// The four parts of a store (docs/formats/storage.md): each an ordered map of its own, all under one WAL.
enum class ColumnFamily : uint8_t {
  kRaft = 0,   // log entries, HardState, truncated state, by range id
  kState = 1,  // store-local and range-local records: identity, descriptor, lease, applied state, txn records
  kLock = 2,   // replicated locks: intents, exclusive and shared locks
  kMvcc = 3,   // versions of user keys
};
inline constexpr size_t kColumnFamilyCount = 4;

class WriteBatch {
 public:
  enum class OpKind : uint8_t { kPut = 0, kDelete = 1, kDeleteRange = 2 };
  // One operation; the views point into the batch and live until it changes.
  struct Op {
    OpKind kind;
    ColumnFamily cf;
    std::string_view key;    // kDeleteRange: first key deleted
    std::string_view value;  // kPut: the value; kDeleteRange: the first key after `key` that stays
  };

  void Put(ColumnFamily cf, std::string_view key, std::string_view value);
  void Delete(ColumnFamily cf, std::string_view key);
  // Deletes [begin, end). Only for the removal of whole replicas (B56); an empty interval is no operation.
  void DeleteRange(ColumnFamily cf, std::string_view begin, std::string_view end);
  // Adds the operations of `other` after ours.
  void Append(const WriteBatch& other);
  void Clear();
  // A promise of the writer, no part of the serialised form: each version put here (kMvcc) is the newest of its key
  // by then. So it is with the effects of commands: their evaluation has looked.
  void PromiseNewestVersions() { newest_versions_ = true; }
  bool has_newest_versions() const { return newest_versions_; }

  // Whether it holds puts into kMvcc and kLock alone, in each of them by ascending key, each key once.
  bool IsLoad() const;
  // Takes the operations out for which goes(const Op&) holds. They, and those that stay, keep their order.
  template <class F>
  WriteBatch TakeOut(F&& goes) {
    WriteBatch taken;
    size_t kept = 0;
    std::string_view rest = bytes_;
    Op op;
    while (!rest.empty()) {
      const std::string_view from = rest;
      NextOp(rest, op);
      const std::string_view bytes = from.substr(0, from.size() - rest.size());
      if (goes(static_cast<const Op&>(op))) {
        taken.bytes_.append(bytes);
        ++taken.op_count_;
      } else {
        if (bytes_.data() + kept != bytes.data()) std::memmove(bytes_.data() + kept, bytes.data(), bytes.size());
        kept += bytes.size();
      }
    }
    bytes_.resize(kept);
    op_count_ -= taken.op_count_;
    return taken;
  }

  bool empty() const { return bytes_.empty(); }
  size_t op_count() const { return op_count_; }
  const std::string& bytes() const { return bytes_; }
  std::string TakeBytes() &&;

  // Reads a serialised batch; DataLoss if it is malformed.
  static StatusOr<WriteBatch> FromBytes(std::string bytes);

  // Calls f(const Op&) for each operation in order, beginning at byte `offset` of bytes() (an operation's
  // border, such as an earlier bytes().size()).
  template <class F>
  void ForEach(F&& f, size_t offset = 0) const {
    std::string_view rest = std::string_view(bytes_).substr(offset);
    Op op;
    while (!rest.empty()) {
      NextOp(rest, op);
      f(static_cast<const Op&>(op));
    }
  }

 private:
  void AppendOp(OpKind kind, ColumnFamily cf, std::string_view key);
  static bool ReadOp(std::string_view& rest, Op& op);
  static void NextOp(std::string_view& rest, Op& op);

  std::string bytes_;
  size_t op_count_ = 0;
  bool newest_versions_ = false;
};

}  // namespace orrery::storage
