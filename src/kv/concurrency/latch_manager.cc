#include "orrery/kv/concurrency/latch_manager.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "orrery/base/assert.h"

namespace orrery::kv {
namespace {

template <class Vector, class T>
void EraseValue(Vector& v, const T& value) {
  auto it = std::find(v.begin(), v.end(), value);
  if (it != v.end()) v.erase(it);
}

bool LatchesConflict(const LatchSpan& a, const LatchSpan& b) {
  if (a.access == Access::kRead && b.access == Access::kRead) return false;
  if (a.access == Access::kWrite && b.access == Access::kWrite) return true;
  const LatchSpan& read = a.access == Access::kRead ? a : b;
  const LatchSpan& write = a.access == Access::kRead ? b : a;
  // A write above the read cannot change what it sees.
  return read.ts.IsZero() || write.ts.IsZero() || write.ts <= read.ts;
}

uint64_t BigEndian(const unsigned char* bytes) {
  uint64_t value;
  std::memcpy(&value, bytes, sizeof value);
  return std::endian::native == std::endian::little ? __builtin_bswap64(value) : value;
}

}  // namespace

LatchKey::LatchKey(std::string_view key) : key_(key) {
  unsigned char bytes[2 * sizeof first_] = {};
  std::memcpy(bytes, key.data(), std::min(key.size(), sizeof bytes));
  first_ = BigEndian(bytes);
  second_ = BigEndian(bytes + sizeof first_);
}

void LatchManager::Block(Admission& request, const Admission::Latch& mine, const Admission::Latch& other) {
  if (other.owner == &request || !LatchesConflict(*mine.span, *other.span)) return;
  auto& blocked = other.owner->blocked_;
  if (!blocked.empty() && blocked.back() == &request) return;  // entered by another of our latches just now
  blocked.push_back(&request);
  request.blockers_.push_back(other.owner);
}

bool LatchManager::Acquire(Admission& request) {
  ORRERY_ASSERT(request.latches_.empty(), "latches: acquired once before they are released");
  request.latches_.reserve(request.spec_.latches.size());  // they stay where they are: the others point to them
  for (const LatchSpan& latch : request.spec_.latches) {
    const SpanRef& span = latch.span;
    const LatchKey start(span.start);
    Admission::Latch& mine = request.latches_.emplace_back(Admission::Latch{&latch, &request, {}});
    auto at = points_.lower_bound(start);
    for (; at != points_.end() && span.Contains(at->first.key()); ++at) Block(request, mine, *at->second);
    for (const Admission::Latch* other : spans_) {
      if (span.Overlaps(other->span->span)) Block(request, mine, *other);
    }
    if (span.is_point()) {
      mine.at = points_.emplace_hint(at, start, &mine);
    } else {
      spans_.push_back(&mine);
    }
  }
  return request.blockers_.empty();
}

bool LatchManager::WouldWait(std::string_view key, Timestamp ts) const {
  const LatchSpan read{SpanRef(key), Access::kRead, ts};
  for (auto it = points_.lower_bound(LatchKey(key)); it != points_.end() && it->first.key() == key; ++it) {
    if (LatchesConflict(read, *it->second->span)) return true;
  }
  return std::any_of(spans_.begin(), spans_.end(), [&](const Admission::Latch* other) {
    return other->span->span.Contains(key) && LatchesConflict(read, *other->span);
  });
}

void LatchManager::Release(Admission& request, Woken& woken) {
  for (const Admission::Latch& mine : request.latches_) {
    if (mine.span->span.is_point()) {
      points_.erase(mine.at);
    } else {
      EraseValue(spans_, &mine);
    }
  }
  request.latches_.clear();
  for (Admission* blocker : request.blockers_) EraseValue(blocker->blocked_, &request);
  request.blockers_.clear();
  for (Admission* waiting : request.blocked_) {
    EraseValue(waiting->blockers_, &request);
    if (waiting->blockers_.empty()) woken.push_back(waiting);
  }
  request.blocked_.clear();
}

}  // namespace orrery::kv
