// SortedList: a skip list (W. Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees", CACM 1990) of entries packed as
// RocksDB's memtables have them: length of the internal key (varint32) · user key · trailer (sequence number and type, 8 bytes,
// little-endian) · value. Whoever inserts owns the memory; an entry's links stand right before its bytes.
//
// Thread safety: one thread at a time inserts, any number read meanwhile. Invariant: an entry never goes, moves or changes.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace orrery::storage {

class SortedList {
 public:
  using Entry = const char*;  // its packed bytes
  using Link = std::atomic<Entry>;
  static constexpr int kHeightMax = 12;

  // By user key, bytewise, then by trailer, descending: the newest version of a key comes first.
  struct Key {
    std::string_view user;
    uint64_t trailer = 0;

    bool operator<(const Key& other) const {
      const int order = std::memcmp(user.data(), other.user.data(), std::min(user.size(), other.user.size()));
      if (order != 0) return order < 0;
      if (user.size() != other.user.size()) return user.size() < other.user.size();
      return trailer > other.trailer;
    }
  };
  static Key KeyOf(Entry entry);
  // `internal`: user key and trailer.
  static Key KeyOfInternal(std::string_view internal);

  // Where one kind of entries was inserted last: a good place to begin the search for the next one's.
  class Finger {
   public:
    explicit Finger(const SortedList& list) { before_.fill(list.Head()); }

   private:
    friend class SortedList;
    // At each level an entry before the last inserted one, or that one; never behind that of the level below.
    std::array<Entry, kHeightMax> before_;
  };

  SortedList() : last_insert_(*this) {}
  SortedList(const SortedList&) = delete;
  SortedList& operator=(const SortedList&) = delete;

  // How many links the next entry has.
  int TakeHeight();
  // `entry`: behind room for `height` links, which begin at a multiple of alignof(Link). False: its key is there already.
  bool Insert(Entry entry, int height) { return InsertFrom(last_insert_, 1, entry, height); }
  // Looks for the place from the finger on, upward as far as needed, and leaves the finger there.
  bool InsertAt(Finger& finger, Entry entry, int height) { return InsertFrom(finger, kHeightMax, entry, height); }

  // Null: there is none.
  Entry First() const { return Next(Head()); }
  Entry Last() const;
  Entry Next(Entry entry) const { return LinkOf(entry, 0).load(std::memory_order_acquire); }
  Entry FirstAtOrAfter(const Key& key) const;
  Entry LastBefore(const Key& key) const;

 private:
  // No packed entry, but with links as one.
  Entry Head() const { return reinterpret_cast<Entry>(&head_[kHeightMax]); }
  static Link& LinkOf(Entry entry, int level) {
    return *(reinterpret_cast<Link*>(const_cast<char*>(entry)) - 1 - level);
  }
  Entry ToPublic(Entry entry) const { return entry == Head() ? nullptr : entry; }

  bool InsertFrom(Finger& finger, int climb_max, Entry entry, int height);
  // The lowest level at which `key` lies between finger and the next entry; `levels` if none of those does.
  int Climb(const Finger& finger, int levels, const Key& key) const;
  // The last entry of the level that is before `key`, from `from` on, which is before it. `behind`: an entry known not to be before `key`,
  // or null; becomes the next one of the level.
  Entry Walk(Entry from, int level, const Key& key, Entry& behind) const;

  Link head_[kHeightMax + 1] = {};
  std::atomic<int> height_{1};
  uint64_t random_ = 0x9e3779b97f4a7c15;
  Finger last_insert_;
};

}  // namespace orrery::storage
