#include "storage/engine/scan_cache.h"

#include <algorithm>
#include <cstring>

#include "orrery/base/assert.h"

namespace orrery::storage {

using runtime::MutexLock;

// ---- EntryRun ----------------------------------------------------------------------------------------------

EntryRun::Entry EntryRun::Store(std::string_view key, size_t prefix_bytes, std::string_view value) {
  Entry entry;
  entry.at = uint32_t(bytes_.size());
  entry.prefix_bytes = uint32_t(prefix_bytes);
  entry.key_bytes = uint32_t(key.size());
  entry.value_bytes = uint32_t(value.size());
  entry.capacity = uint32_t(key.size() + value.size());
  bytes_.append(key).append(value);
  return entry;
}

void EntryRun::Append(std::string_view key, size_t prefix_bytes, std::string_view value) {
  entries_.push_back(Store(key, prefix_bytes, value));
}

void EntryRun::Insert(size_t i, std::string_view key, size_t prefix_bytes, std::string_view value) {
  entries_.insert(entries_.begin() + ptrdiff_t(i), Store(key, prefix_bytes, value));
}

void EntryRun::Set(size_t i, std::string_view key, std::string_view value) {
  Entry& entry = entries_[i];
  if (key.size() + value.size() > entry.capacity) {
    unused_bytes_ += entry.capacity;
    entry = Store(key, entry.prefix_bytes, value);
    if (unused_bytes_ > bytes_.size() / 2) *this = Part(0, count());
    return;
  }
  entry.key_bytes = uint32_t(key.size());
  entry.value_bytes = uint32_t(value.size());
  std::memcpy(bytes_.data() + entry.at, key.data(), key.size());
  if (!value.empty()) std::memcpy(bytes_.data() + entry.at + key.size(), value.data(), value.size());
}

void EntryRun::Clear() {
  entries_.clear();
  bytes_.clear();
  unused_bytes_ = 0;
}

EntryRun EntryRun::Part(size_t begin, size_t end) const {
  EntryRun part;
  size_t bytes = 0;
  for (size_t i = begin; i < end; ++i) bytes += entries_[i].key_bytes + entries_[i].value_bytes;
  part.bytes_.reserve(bytes);
  part.entries_.reserve(end - begin);
  for (size_t i = begin; i < end; ++i) part.Append(key(i), entries_[i].prefix_bytes, value(i));
  return part;
}

size_t EntryRun::LowerBound(std::string_view prefix) const {
  size_t low = 0;
  size_t high = count();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (this->prefix(middle) < prefix) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// ---- ScanCache ---------------------------------------------------------------------------------------------

ScanCache::Blocks::iterator ScanCache::Find(std::string_view prefix) {
  auto it = blocks_.upper_bound(prefix);
  if (it == blocks_.begin()) return blocks_.end();
  --it;
  return prefix < it->second->upper ? it : blocks_.end();
}

NewestEntries::Walked ScanCache::Walk(std::string_view lower, std::string_view upper, NewestEntries::Visitor& visitor) {
  using Stop = NewestEntries::Stop;
  std::string at(lower);
  while (true) {
    std::shared_ptr<Block> block;
    {
      MutexLock lock(mutex_);
      if (auto it = Find(at); it != blocks_.end()) {
        block = it->second;
        block->recent = true;
      } else {
        it = blocks_.upper_bound(at);
        const bool to_the_end = it == blocks_.end() || it->first >= upper;
        return {Stop::kUnknown, std::move(at), to_the_end ? std::string(upper) : it->first};
      }
    }
    MutexLock lock(block->mutex);
    if (block->forgotten) continue;
    const EntryRun& run = block->run;
    for (size_t i = run.LowerBound(at); i < run.count() && run.prefix(i) < upper; ++i) {
      if (!visitor.Visit(run.key(i), run.value(i))) return {Stop::kVisitor, std::string(run.prefix(i)), {}};
    }
    if (block->upper >= upper) return {Stop::kEnd, std::string(upper), {}};
    at = block->upper;
  }
}

uint64_t ScanCache::BeginLearning(std::string_view lower, std::string_view upper) {
  MutexLock lock(mutex_);
  learning_.emplace(next_ticket_, Learning{std::string(lower), std::string(upper)});
  return next_ticket_++;
}

void ScanCache::EndLearning(uint64_t ticket, std::string_view upper, const EntryRun* run) {
  MutexLock lock(mutex_);
  const auto it = learning_.find(ticket);
  ORRERY_ASSERT(it != learning_.end(), "a ticket of the scan cache is used once");
  const Learning learning = std::move(it->second);
  learning_.erase(it);
  if (run == nullptr || learning.outdated || upper <= learning.lower || bytes_max_ == 0) return;
  // Others may have learnt parts of it meanwhile.
  const auto next = blocks_.lower_bound(learning.lower);
  if (next != blocks_.end() && next->first < upper) return;
  if (Find(learning.lower) != blocks_.end()) return;
  std::string_view from = learning.lower;
  size_t begin = 0;
  do {
    const size_t end = std::min(run->count(), begin + kEntriesOfBlock);
    const std::string_view to = end < run->count() ? run->prefix(end) : upper;
    Add(from, to, run->Part(begin, end));
    begin = end;
    from = to;
  } while (begin < run->count());
  MakeRoom();
}

// Small neighbours become one: gaps between scans that overlap leave many.
void ScanCache::Add(std::string_view lower, std::string_view upper, EntryRun run) {
  const auto after = blocks_.lower_bound(lower);
  if (after != blocks_.begin() && std::prev(after)->second->upper == lower) {
    const std::shared_ptr<Block> left = std::prev(after)->second;
    MutexLock lock(left->mutex);
    if (left->run.count() + run.count() <= kEntriesOfBlock) {
      EntryRun joined = left->run.Part(0, left->run.count());
      for (size_t i = 0; i < run.count(); ++i) joined.Append(run.key(i), run.prefix(i).size(), run.value(i));
      auto whole = std::make_shared<Block>(left->lower, upper, std::move(joined));
      whole->recent = left->recent;
      left->forgotten = true;
      bytes_ += whole->bytes - left->bytes;
      std::prev(after)->second = std::move(whole);
      return;
    }
  }
  auto block = std::make_shared<Block>(lower, upper, std::move(run));
  bytes_ += block->bytes;
  blocks_.emplace_hint(after, std::string(lower), std::move(block));
}

ScanCache::Blocks::iterator ScanCache::Forget(Blocks::iterator it) {
  {
    MutexLock lock(it->second->mutex);
    it->second->forgotten = true;
  }
  bytes_ -= it->second->bytes;
  return blocks_.erase(it);
}

void ScanCache::ForgetInterval(std::string_view begin, std::string_view end) {
  auto it = blocks_.upper_bound(begin);
  if (it != blocks_.begin()) --it;
  while (it != blocks_.end() && it->first < end) it = it->second->upper <= begin ? std::next(it) : Forget(it);
}

void ScanCache::Split(Blocks::iterator it) {
  const std::shared_ptr<Block> block = it->second;
  EntryRun left, right;
  {
    MutexLock lock(block->mutex);
    left = block->run.Part(0, block->run.count() / 2);
    right = block->run.Part(block->run.count() / 2, block->run.count());
  }
  Forget(it);
  const std::string middle(right.prefix(0));
  for (auto& half : {std::make_shared<Block>(block->lower, middle, std::move(left)),
                     std::make_shared<Block>(middle, block->upper, std::move(right))}) {
    half->recent = block->recent;
    bytes_ += half->bytes;
    blocks_.emplace(half->lower, half);
  }
}

void ScanCache::MakeRoom() {
  while (bytes_ > bytes_max_ && !blocks_.empty()) {
    auto it = blocks_.lower_bound(hand_);
    if (it == blocks_.end()) it = blocks_.begin();
    if (it->second->recent) {
      it->second->recent = false;
      ++it;
    } else {
      it = Forget(it);
    }
    hand_ = it == blocks_.end() ? std::string() : it->first;
  }
}

uint64_t ScanCache::BeginWrite() {
  MutexLock lock(mutex_);
  ++writers_;
  return ended_writes_;
}

// Two writes at once: which of them came first only the engine knows, so what both touch is forgotten.
void ScanCache::EndWrite(uint64_t began, const MvccOps& ops, Outcome outcome) {
  MutexLock lock(mutex_);
  ORRERY_ASSERT(writers_ > 0, "a write ends once");
  if (writers_ > 1 || ended_writes_ != began) outcome = Outcome::kUnknown;
  --writers_;
  ++ended_writes_;
  if (blocks_.empty() && learning_.empty()) return;
  ops.ForEach([&](const MvccOp& op) { ApplyOp(op, outcome); });
  MakeRoom();
}

void ScanCache::ApplyOp(const MvccOp& op, Outcome outcome) {
  if (op.kind == WriteBatch::OpKind::kDeleteRange) {
    for (auto& [ticket, learning] : learning_) {
      learning.outdated = learning.outdated || (op.key < learning.upper && learning.lower < op.value);
    }
    return ForgetInterval(op.key, op.value);
  }
  const std::string_view prefix = op.prefix;
  if (prefix.empty()) return;
  for (auto& [ticket, learning] : learning_) {
    learning.outdated = learning.outdated || (learning.lower <= prefix && prefix < learning.upper);
  }
  const auto it = Find(prefix);
  if (it == blocks_.end()) return;
  bool keep = outcome == Outcome::kWritten;
  size_t count = 0;
  if (keep) {
    Block& block = *it->second;
    MutexLock lock(block.mutex);
    EntryRun& run = block.run;
    const size_t i = run.LowerBound(prefix);
    const bool there = i < run.count() && run.prefix(i) == prefix;
    if (op.kind == WriteBatch::OpKind::kDelete) {
      keep = !there || run.key(i) != op.key;  // else the store alone knows what comes to light
    } else if (!there) {
      run.Insert(i, op.key, prefix.size(), op.value);
    } else if (op.key <= run.key(i)) {  // newer versions sort first
      run.Set(i, op.key, op.value);
    }
    count = run.count();
    bytes_ -= block.bytes;
    block.bytes = block.BytesOf();
    bytes_ += block.bytes;
  }
  if (!keep) {
    Forget(it);
  } else if (count > kEntriesOfBlockMax) {
    Split(it);
  }
}

uint64_t ScanCache::bytes() const {
  MutexLock lock(mutex_);
  return bytes_;
}

uint64_t ScanCache::entry_count() const {
  MutexLock lock(mutex_);
  uint64_t count = 0;
  for (const auto& [lower, block] : blocks_) {
    MutexLock own(block->mutex);
    count += block->run.count();
  }
  return count;
}

}  // namespace orrery::storage
