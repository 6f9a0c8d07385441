#include "storage/engine/absent_keys.h"

#include <algorithm>
#include <utility>

#include "orrery/base/assert.h"

namespace orrery::storage {

using runtime::MutexLock;

bool AbsentKeys::Knows(std::string_view prefix) {
  MutexLock lock(mutex_);
  for (size_t i = 0; i < gaps_.size(); ++i) {
    if (!gaps_[i].Holds(prefix)) continue;
    const bool absent = !gaps_[i].written.contains(prefix);
    if (absent) ++answers_;
    if (i > 0) std::swap(gaps_[i], gaps_[i - 1]);
    return absent;
  }
  return false;
}

// A write that is under way could have put a key that the look to come does not see.
uint64_t AbsentKeys::BeginLearning(std::string_view prefix) {
  MutexLock lock(mutex_);
  if (++misses_ < kMissesALook || learning_ || writers_ > 0) return 0;
  misses_ = 0;
  learning_.emplace();
  sought_ = prefix;
  return ++ticket_;
}

void AbsentKeys::EndLearning(uint64_t ticket, std::optional<Gap> gap) {
  MutexLock lock(mutex_);
  if (ticket != ticket_) return;  // given up for a write meanwhile, and somebody else is learning
  std::optional<Interval> learned = std::exchange(learning_, std::nullopt);
  if (!learned || !gap || !learned->lower.empty()) return;  // not all of what was written meanwhile is known
  ORRERY_ASSERT(!gap->before || *gap->before <= sought_, "a gap lies around what was sought");
  ORRERY_ASSERT(!gap->behind || sought_ < *gap->behind, "a gap lies around what was sought");
  learned->lower = gap->before.value_or("");
  learned->upper = std::move(gap->behind);
  Keys& written = learned->written;
  written.erase(written.begin(), written.lower_bound(learned->lower));
  if (learned->upper) written.erase(written.lower_bound(*learned->upper), written.end());
  if (gap->before && !Add(*learned, *gap->before)) return;
  std::erase_if(gaps_, [&](const Interval& old) {
    return (!learned->upper || old.lower < *learned->upper) && (!old.upper || learned->lower < *old.upper);
  });
  if (gaps_.size() >= kGapsMax) gaps_.pop_back();
  gaps_.push_back(std::move(*learned));
}

void AbsentKeys::BeginWrite(const MvccOps& ops) {
  MutexLock lock(mutex_);
  ++writers_;
  if (gaps_.empty() && !learning_) return;
  if (ops.batch().op_count() > kWrittenMax) {  // a load: what it adds is more than is kept
    gaps_.clear();
    learning_.reset();
    return;
  }
  ops.ForEach([&](const MvccOp& op) {
    if (op.kind != WriteBatch::OpKind::kPut) return;  // a deletion makes no key
    if (learning_ && !Add(*learning_, op.prefix)) learning_.reset();
    for (size_t i = 0; i < gaps_.size();) {
      if (!gaps_[i].Holds(op.prefix) || Add(gaps_[i], op.prefix)) {
        ++i;
      } else {
        gaps_.erase(gaps_.begin() + ptrdiff_t(i));
      }
    }
  });
}

void AbsentKeys::EndWrite() {
  MutexLock lock(mutex_);
  ORRERY_ASSERT(writers_ > 0, "a write ends once");
  --writers_;
}

// False if the gap cannot be kept with that key.
bool AbsentKeys::Add(Interval& gap, std::string_view prefix) {
  if (prefix.size() > kKeyBytesMax) return false;
  // Nearly always a table's next key: behind all that were written before it.
  const auto at = gap.written.empty() || *gap.written.rbegin() < prefix ? gap.written.end() : gap.written.lower_bound(prefix);
  if (at != gap.written.end() && *at == prefix) return true;
  gap.written.insert(at, std::string(prefix));
  if (gap.written.size() <= kWrittenMax) return true;
  const auto middle = std::next(gap.written.begin(), kWrittenMax / 2);
  gap.written.erase(gap.written.begin(), middle);
  gap.lower = *gap.written.begin();
  return true;
}

uint64_t AbsentKeys::answers() const {
  MutexLock lock(mutex_);
  return answers_;
}

}  // namespace orrery::storage
