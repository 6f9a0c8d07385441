// NewestEntries: what some readers know of whole intervals of kMvcc without a look at the store: the first entry of
// each prefix in them, and that there is no other prefix. A scan walks what is known, fetches what is not from the
// store, and teaches the reader what it found. CachedEngine is one; ask by dynamic_cast from a Reader.
//
// Prefixes are whole encoded user keys (mvcc/keys.h); bounds are any strings between all versions of one key and all of
// the next. Thread safety: methods by many tasks at once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::storage {

// Entries in ascending order of their prefixes, in one piece of memory. Not thread-safe.
class EntryRun {
 public:
  // Precondition: `key` begins with its prefix, which sorts after the last one.
  void Append(std::string_view key, size_t prefix_bytes, std::string_view value);
  // In the place of entry i; `key` has the same prefix.
  void Set(size_t i, std::string_view key, std::string_view value);
  // Before entry i.
  void Insert(size_t i, std::string_view key, size_t prefix_bytes, std::string_view value);
  void Clear();
  // A copy of the entries from `begin` up to `end`.
  EntryRun Part(size_t begin, size_t end) const;

  size_t count() const { return entries_.size(); }
  size_t bytes() const { return bytes_.capacity() + entries_.capacity() * sizeof(Entry); }
  std::string_view key(size_t i) const { return {bytes_.data() + entries_[i].at, entries_[i].key_bytes}; }
  std::string_view prefix(size_t i) const { return {bytes_.data() + entries_[i].at, entries_[i].prefix_bytes}; }
  std::string_view value(size_t i) const {
    return {bytes_.data() + entries_[i].at + entries_[i].key_bytes, entries_[i].value_bytes};
  }
  // The first entry whose prefix is not below `prefix`.
  size_t LowerBound(std::string_view prefix) const;

 private:
  struct Entry {
    uint32_t at = 0;            // in bytes_: the key, then the value
    uint32_t prefix_bytes = 0;
    uint32_t key_bytes = 0;
    uint32_t value_bytes = 0;
    uint32_t capacity = 0;
  };
  Entry Store(std::string_view key, size_t prefix_bytes, std::string_view value);

  std::vector<Entry> entries_;
  std::string bytes_;
  size_t unused_bytes_ = 0;  // of bytes_: left by entries that grew
};

class NewestEntries {
 public:
  virtual ~NewestEntries() = default;

  class Visitor {
   public:
    virtual ~Visitor() = default;
    // False ends the walk before this entry. Must not wait, nor ask the reader for anything.
    virtual bool Visit(std::string_view key, std::string_view value) = 0;
  };
  enum class Stop : uint8_t {
    kEnd,      // everything up to the upper bound was visited
    kVisitor,  // at `next`, the prefix of an entry
    kUnknown,  // nothing is known from `next` up to `known_again`, which is at most the upper bound
  };
  struct Walked {
    Stop stop = Stop::kEnd;
    std::string next;
    std::string known_again;
  };
  // Visits the entries from `lower` up to, without, `upper`, in order. Entries are those of the engine as it stood at
  // some moment of the call, for each entry one of its own; a write that ends meanwhile may be seen or not: callers
  // hold latches that keep out the writes that matter to them.
  virtual Walked Walk(std::string_view lower, std::string_view upper, Visitor& visitor) const = 0;

  // Announces that the interval is about to be read from the store: what is read after this call may be taught. Each
  // call needs its EndLearning.
  virtual uint64_t BeginLearning(std::string_view lower, std::string_view upper) const = 0;
  // `run` is all there is from the announced lower bound up to `upper`, which may lie below the announced one. Null: nothing was
  // learnt. Nor is anything kept if a write to the interval ended meanwhile.
  virtual void EndLearning(uint64_t ticket, std::string_view upper, const EntryRun* run) const = 0;
};

}  // namespace orrery::storage
