#include "storage/engine/sorted_list.h"

#include <bit>
#include <new>

namespace orrery::storage {

SortedList::Key SortedList::KeyOfInternal(std::string_view internal) {
  static_assert(std::endian::native == std::endian::little, "the trailer is stored so");
  Key key{internal.substr(0, internal.size() - sizeof(uint64_t)), 0};
  std::memcpy(&key.trailer, internal.data() + key.user.size(), sizeof(uint64_t));
  return key;
}

SortedList::Key SortedList::KeyOf(Entry entry) {
  size_t length = uint8_t(*entry++);
  if (length >= 0x80) {
    length &= 0x7f;
    for (int shift = 7;; shift += 7) {
      const uint8_t byte = uint8_t(*entry++);
      length |= size_t(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
  }
  return KeyOfInternal({entry, length});
}

// xorshift64 (G. Marsaglia, 2003); a level has a quarter of the entries of the one below.
int SortedList::TakeHeight() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return 1 + std::min(kHeightMax - 1, std::countr_zero(random_) / 2);
}

SortedList::Entry SortedList::Walk(Entry from, int level, const Key& key, Entry& behind) const {
  Entry next = LinkOf(from, level).load(std::memory_order_acquire);
  while (next != nullptr && next != behind) {
    // What is looked at next, whatever comes of the comparison: each is a cache miss in a large list.
    const Entry after = LinkOf(next, level).load(std::memory_order_acquire);
    __builtin_prefetch(after);
    if (level > 0) __builtin_prefetch(LinkOf(from, level - 1).load(std::memory_order_relaxed));
    if (!(KeyOf(next) < key)) break;
    from = next;
    next = after;
  }
  behind = next;
  return from;
}

int SortedList::Climb(const Finger& finger, int levels, const Key& key) const {
  Entry not_before = nullptr;
  Entry before = nullptr;
  for (int level = 0; level < levels; ++level) {
    const Entry from = finger.before_[size_t(level)];
    if (from == not_before) continue;
    if (from != Head() && !(KeyOf(from) < key)) {
      not_before = from;
      continue;
    }
    const Entry next = LinkOf(from, level).load(std::memory_order_relaxed);
    if (next == nullptr) return level;
    if (next == before) continue;
    if (!(KeyOf(next) < key)) return level;
    before = next;
  }
  return levels;
}

bool SortedList::InsertFrom(Finger& finger, int climb_max, Entry entry, int height) {
  const Key key = KeyOf(entry);
  const int top = std::max(height, height_.load(std::memory_order_relaxed));
  auto& before = finger.before_;
  const int levels = std::min(climb_max, top);
  const int found = Climb(finger, levels, key);
  Entry behind = nullptr;
  if (found == levels) {
    Entry from = Head();
    for (int level = top - 1; level >= 0; --level) before[size_t(level)] = from = Walk(from, level, key, behind);
  } else {
    // Below, from there down. Above, the finger is before the key, but entries may have come between.
    Entry from = before[size_t(found)];
    behind = LinkOf(from, found).load(std::memory_order_relaxed);
    for (int level = found - 1; level >= 0; --level) before[size_t(level)] = from = Walk(from, level, key, behind);
    for (int level = found + 1; level < height; ++level) {
      Entry above = nullptr;
      before[size_t(level)] = Walk(before[size_t(level)], level, key, above);
    }
  }
  const Entry next = Next(before[0]);
  if (next != nullptr && !(key < KeyOf(next))) return false;
  for (int level = 0; level < height; ++level) {
    Link& above = LinkOf(before[size_t(level)], level);
    new (&LinkOf(entry, level)) Link(above.load(std::memory_order_relaxed));
  }
  height_.store(top, std::memory_order_relaxed);
  for (int level = 0; level < height; ++level) {
    LinkOf(before[size_t(level)], level).store(entry, std::memory_order_release);
    before[size_t(level)] = entry;
  }
  return true;
}

SortedList::Entry SortedList::LastBefore(const Key& key) const {
  Entry from = Head();
  Entry behind = nullptr;
  for (int level = height_.load(std::memory_order_relaxed) - 1; level >= 0; --level) from = Walk(from, level, key, behind);
  return ToPublic(from);
}

SortedList::Entry SortedList::FirstAtOrAfter(const Key& key) const {
  Entry from = Head();
  Entry behind = nullptr;
  for (int level = height_.load(std::memory_order_relaxed) - 1; level >= 0; --level) from = Walk(from, level, key, behind);
  return behind;
}

SortedList::Entry SortedList::Last() const {
  Entry from = Head();
  for (int level = height_.load(std::memory_order_relaxed) - 1; level >= 0; --level) {
    while (const Entry next = LinkOf(from, level).load(std::memory_order_acquire)) from = next;
  }
  return ToPublic(from);
}

}  // namespace orrery::storage
