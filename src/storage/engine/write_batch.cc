#include "orrery/storage/write_batch.h"

#include "orrery/base/assert.h"
#include "orrery/base/wire.h"
#include "orrery/storage/load.h"

namespace orrery::storage {
namespace {

// An operation: one byte (kind << 4 | column family), then key and, except for kDelete, value, each a varint
// length and the bytes.
constexpr uint8_t kKindShift = 4;
constexpr uint8_t kFamilyMask = 0x0F;

void AppendBytes(std::string& out, std::string_view bytes) {
  wire::AppendVarint(out, bytes.size());
  out.append(bytes);
}

bool ReadBytes(std::string_view& in, std::string_view& bytes) {
  uint64_t size = 0;
  if (!wire::ReadVarint(in, size) || size > in.size()) return false;
  bytes = in.substr(0, size);
  in.remove_prefix(size);
  return true;
}

}  // namespace

void WriteBatch::AppendOp(OpKind kind, ColumnFamily cf, std::string_view key) {
  constexpr size_t kFirstBytes = 256;  // a small transaction's, instead of growing from nothing
  if (bytes_.capacity() < kFirstBytes) bytes_.reserve(kFirstBytes);
  bytes_.push_back(char(uint8_t(kind) << kKindShift | uint8_t(cf)));
  AppendBytes(bytes_, key);
  ++op_count_;
}

void WriteBatch::Put(ColumnFamily cf, std::string_view key, std::string_view value) {
  AppendOp(OpKind::kPut, cf, key);
  AppendBytes(bytes_, value);
}

void WriteBatch::Delete(ColumnFamily cf, std::string_view key) { AppendOp(OpKind::kDelete, cf, key); }

void WriteBatch::DeleteRange(ColumnFamily cf, std::string_view begin, std::string_view end) {
  if (begin >= end) return;
  AppendOp(OpKind::kDeleteRange, cf, begin);
  AppendBytes(bytes_, end);
}

void WriteBatch::Append(const WriteBatch& other) {
  bytes_.append(other.bytes_);
  op_count_ += other.op_count_;
}

void WriteBatch::Clear() {
  bytes_.clear();
  op_count_ = 0;
}

namespace {

// Watches the operations of a batch go by: whether those on versions and locks can be ingested.
class LoadCheck {
 public:
  static bool Concerns(const WriteBatch::Op& op) { return op.cf == ColumnFamily::kMvcc || op.cf == ColumnFamily::kLock; }
  // Precondition: Concerns.
  void See(const WriteBatch::Op& op) {
    const bool version = op.cf == ColumnFamily::kMvcc;
    std::string_view& last = version ? last_version_ : last_lock_;
    fits_ = fits_ && op.kind == WriteBatch::OpKind::kPut && op.key > last;
    last = op.key;
    rows_ += version;
  }
  bool fits() const { return fits_; }
  size_t rows() const { return rows_; }

 private:
  std::string_view last_version_;
  std::string_view last_lock_;
  bool fits_ = true;
  size_t rows_ = 0;
};

}  // namespace

std::optional<Load> TakeLoad(WriteBatch& batch) {
  LoadCheck check;
  bool all = true;
  batch.ForEach([&](const WriteBatch::Op& op) {
    if (LoadCheck::Concerns(op)) {
      check.See(op);
    } else {
      all = false;
    }
  });
  if (!check.fits() || check.rows() == 0) return std::nullopt;
  Load load;
  load.row_count = check.rows();
  WriteBatch rest;
  if (!all) rest = batch.TakeOut([](const WriteBatch::Op& op) { return !LoadCheck::Concerns(op); });
  load.rows = std::exchange(batch, std::move(rest));
  return load;
}

bool WriteBatch::IsLoad() const {
  LoadCheck check;
  bool others = false;
  ForEach([&](const Op& op) {
    if (LoadCheck::Concerns(op)) {
      check.See(op);
    } else {
      others = true;
    }
  });
  return check.fits() && !others;
}

std::string WriteBatch::TakeBytes() && {
  op_count_ = 0;
  return std::exchange(bytes_, {});
}

bool WriteBatch::ReadOp(std::string_view& rest, Op& op) {
  if (rest.empty()) return false;
  const uint8_t head = uint8_t(rest[0]);
  rest.remove_prefix(1);
  if ((head >> kKindShift) > uint8_t(OpKind::kDeleteRange)) return false;
  if ((head & kFamilyMask) >= kColumnFamilyCount) return false;
  op.kind = OpKind(head >> kKindShift);
  op.cf = ColumnFamily(head & kFamilyMask);
  op.value = {};
  if (!ReadBytes(rest, op.key)) return false;
  if (op.kind == OpKind::kDelete) return true;
  if (!ReadBytes(rest, op.value)) return false;
  return op.kind != OpKind::kDeleteRange || op.key < op.value;
}

void WriteBatch::NextOp(std::string_view& rest, Op& op) {
  ORRERY_ASSERT(ReadOp(rest, op), "WriteBatch: bytes() is well-formed");
}

StatusOr<WriteBatch> WriteBatch::FromBytes(std::string bytes) {
  WriteBatch batch;
  std::string_view rest = bytes;
  Op op;
  while (!rest.empty()) {
    if (!ReadOp(rest, op)) return DataLossError("malformed write batch");
    ++batch.op_count_;
  }
  batch.bytes_ = std::move(bytes);
  return batch;
}

}  // namespace orrery::storage
