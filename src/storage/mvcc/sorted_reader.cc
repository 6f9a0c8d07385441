#include "orrery/storage/sorted_reader.h"

#include "orrery/storage/mvcc/keys.h"

namespace orrery::storage {
namespace {

// Steps to a near key before it is sought: a step costs a twentieth of a seek.
constexpr int kStepsMax = 8;

IteratorOptions BoundsAround(std::string_view first, std::string_view last) {
  return {BoundsOf(first, "").lower, BoundsOf(last, "").upper};
}

}  // namespace

SortedReader::SortedReader(const Reader& base, std::string_view first, std::string_view last)
    : base_(base), bounds_(BoundsAround(first, last)) {}

SortedReader::~SortedReader() = default;

// Not the locks: most of those on disk were resolved and are waiting to be compacted away, and a walk would step
// over each, while a look-up's filter knows at once that there is none.
bool SortedReader::Covers(ColumnFamily cf, std::string_view key) const {
  return cf == ColumnFamily::kMvcc && key >= bounds_.lower && key < bounds_.upper;
}

StatusOr<bool> SortedReader::MoveTo(std::string_view target) const {
  const bool begins = walk_ == nullptr;
  if (begins) walk_ = base_.NewIterator(ColumnFamily::kMvcc, bounds_);
  if (begins || target < target_) {
    walk_->Seek(target);
  } else {
    for (int i = 0; i < kStepsMax && walk_->Valid() && walk_->key() < target; ++i) walk_->Next();
    if (walk_->Valid() && walk_->key() < target) walk_->Seek(target);
  }
  target_.assign(target);
  if (walk_->Valid()) return true;
  RETURN_IF_ERROR(walk_->status());
  return false;
}

StatusOr<bool> SortedReader::GetInto(ColumnFamily cf, std::string_view key, std::string& value) const {
  if (!Covers(cf, key)) return base_.GetInto(cf, key, value);
  ASSIGN_OR_RETURN(const bool found, MoveTo(key));
  if (!found || walk_->key() != key) return false;
  value.assign(walk_->value());
  return true;
}

std::unique_ptr<Iterator> SortedReader::NewIterator(ColumnFamily cf, IteratorOptions options) const {
  return base_.NewIterator(cf, std::move(options));
}

StatusOr<bool> SortedReader::SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes,
                                          std::string& key, std::string& value) const {
  if (!Covers(cf, target)) return base_.SeekInPrefix(cf, target, prefix_bytes, key, value);
  ASSIGN_OR_RETURN(const bool found, MoveTo(target));
  if (!found || !walk_->key().starts_with(target.substr(0, prefix_bytes))) return false;
  key.assign(walk_->key());
  value.assign(walk_->value());
  return true;
}

}  // namespace orrery::storage
