#include "storage/engine/memtable.h"

#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include "orrery/base/assert.h"
#include "orrery/base/hash.h"
#include "storage/engine/sorted_list.h"

namespace orrery::storage {
namespace {

using rocksdb::Allocator;
using rocksdb::Arena;
using rocksdb::KeyHandle;
using rocksdb::MemTableRep;
using rocksdb::Slice;

std::string_view ToView(const Slice& slice) { return {slice.data(), slice.size()}; }

class ListIterator final : public MemTableRep::Iterator {
 public:
  explicit ListIterator(const SortedList& list) : list_(list) {}
  bool Valid() const override { return at_ != nullptr; }
  const char* key() const override { return at_; }
  void Next() override { at_ = list_.Next(at_); }
  void Prev() override { at_ = list_.LastBefore(SortedList::KeyOf(at_)); }
  void Seek(const Slice& internal_key, const char* packed) override {
    at_ = list_.FirstAtOrAfter(Target(internal_key, packed));
  }
  void SeekForPrev(const Slice& internal_key, const char* packed) override {
    const SortedList::Key target = Target(internal_key, packed);
    at_ = list_.FirstAtOrAfter(target);
    if (at_ == nullptr || target < SortedList::KeyOf(at_)) at_ = list_.LastBefore(target);
  }
  void SeekToFirst() override { at_ = list_.First(); }
  void SeekToLast() override { at_ = list_.Last(); }

 private:
  static SortedList::Key Target(const Slice& internal_key, const char* packed) {
    return packed != nullptr ? SortedList::KeyOf(packed) : SortedList::KeyOfInternal(ToView(internal_key));
  }

  const SortedList& list_;
  SortedList::Entry at_ = nullptr;
};

// Some of what a memtable needs, RocksDB's public headers only name: Arena, Allocator, LookupKey. What they have to give is had
// through MemTableRep's own functions.
class ReadOnlyList : public MemTableRep {
 public:
  ReadOnlyList(Allocator* allocator, const SortedList& list) : MemTableRep(allocator), list_(list) {}

  void Insert(KeyHandle) override { ORRERY_ASSERT(false, "a memtable's reader inserts nothing"); }
  bool Contains(const char* packed) const override {
    const SortedList::Key key = SortedList::KeyOf(packed);
    const SortedList::Entry found = list_.FirstAtOrAfter(key);
    return found != nullptr && !(key < SortedList::KeyOf(found));
  }
  size_t ApproximateMemoryUsage() override { return 0; }  // beyond the allocator's
  void Get(const rocksdb::LookupKey& key, void* arguments, bool (*visit)(void*, const char*)) override;
  // An iterator in an arena is destroyed, not deleted. An Arena is an Allocator.
  Iterator* GetIterator(Arena* arena) override {
    if (arena == nullptr) return new ListIterator(list_);
    return new (ReadOnlyList(reinterpret_cast<Allocator*>(arena), list_).AllocateAligned(sizeof(ListIterator))) ListIterator(list_);
  }

 protected:
  char* AllocateAligned(size_t bytes) {
    constexpr size_t kAlign = alignof(SortedList::Link);
    static_assert(alignof(ListIterator) <= kAlign && alignof(SortedList::Finger) <= kAlign);
    char* memory = nullptr;
    MemTableRep::Allocate(bytes + kAlign - 1, &memory);
    return memory + (kAlign - reinterpret_cast<uintptr_t>(memory) % kAlign) % kAlign;
  }

  const SortedList& list_;
};

// MemTableRep::Get, which knows what a LookupKey is, seeks with the iterator it is given here and does not delete it.
class LookupInList final : public ReadOnlyList {
 public:
  explicit LookupInList(const SortedList& list) : ReadOnlyList(nullptr, list), iterator_(list) {}
  Iterator* GetDynamicPrefixIterator(Arena*) override { return &iterator_; }

 private:
  ListIterator iterator_;
};

void ReadOnlyList::Get(const rocksdb::LookupKey& key, void* arguments, bool (*visit)(void*, const char*)) {
  LookupInList(list_).MemTableRep::Get(key, arguments, visit);
}

struct ListHolder {
  SortedList list;
};

// One for each of the kinds that are written at a time. More kinds share them: then a search begins at a worse place.
constexpr size_t kFingers = 64;

// RocksDB's own hints (InsertKeyWithHint) are not used: it hands those of a memtable to that of range deletions, too, whose list
// is another.
class Memtable final : private ListHolder, public ReadOnlyList {
 public:
  Memtable(Allocator* allocator, KindOfKey kind_of) : ReadOnlyList(allocator, ListHolder::list), kind_of_(kind_of) {}

  // Until it is inserted, an entry's height is kept where its lowest link will be.
  KeyHandle Allocate(const size_t bytes, char** packed) override {
    const int height = list.TakeHeight();
    const size_t link_bytes = size_t(height) * sizeof(SortedList::Link);
    *packed = AllocateAligned(link_bytes + bytes) + link_bytes;
    std::memcpy(*packed - sizeof(height), &height, sizeof(height));
    return *packed;
  }
  void Insert(KeyHandle entry) override { InsertKey(entry); }
  bool InsertKey(KeyHandle handle) override {
    const auto entry = static_cast<SortedList::Entry>(handle);
    const int height = HeightOf(entry);
    const std::string_view kind = kind_of_ != nullptr ? kind_of_(SortedList::KeyOf(entry).user) : std::string_view();
    if (kind.empty()) return list.Insert(entry, height);
    return list.InsertAt(FingerOf(kind), entry, height);
  }

 private:
  static int HeightOf(SortedList::Entry entry) {
    int height = 0;
    std::memcpy(&height, entry - sizeof(height), sizeof(height));
    return height;
  }
  SortedList::Finger& FingerOf(std::string_view kind) {
    auto& finger = fingers_[Hash64(kind) % kFingers];
    if (finger == nullptr) finger = new (AllocateAligned(sizeof(SortedList::Finger))) SortedList::Finger(list);
    return *finger;
  }

  const KindOfKey kind_of_;
  SortedList::Finger* fingers_[kFingers] = {};  // in the allocator's memory
};

class MemtableFactory final : public rocksdb::MemTableRepFactory {
 public:
  explicit MemtableFactory(KindOfKey kind_of) : kind_of_(kind_of) {}
  const char* Name() const override { return "OrreryMemtable"; }
  MemTableRep* CreateMemTableRep(const MemTableRep::KeyComparator&, Allocator* allocator, const rocksdb::SliceTransform*,
                                 rocksdb::Logger*) override {
    return new Memtable(allocator, kind_of_);
  }
  bool CanHandleDuplicatedKey() const override { return true; }

 private:
  const KindOfKey kind_of_;
};

}  // namespace

std::shared_ptr<rocksdb::MemTableRepFactory> MakeMemtableFactory(KindOfKey kind_of) {
  return std::make_shared<MemtableFactory>(kind_of);
}

}  // namespace orrery::storage
