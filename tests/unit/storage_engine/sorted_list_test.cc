// The skip list under our memtables, beside a std::set, with readers beside a writer; and the memtable under RocksDB.
#include "storage/engine/sorted_list.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "orrery/runtime/threads_runtime.h"
#include "rocksdb/db.h"
#include "storage/engine/memtable.h"

namespace orrery::storage {
namespace {

std::string Packed(std::string_view user, uint64_t trailer) {
  std::string out;
  size_t length = user.size() + sizeof(trailer);
  for (; length >= 0x80; length >>= 7) out.push_back(char(length | 0x80));
  out.push_back(char(length));
  out.append(user);
  out.append(reinterpret_cast<const char*>(&trailer), sizeof(trailer));
  return out;
}

// A list with memory for its entries.
class OwnedList {
 public:
  // By key, then by trailer, the greatest first.
  using Order = std::tuple<std::string, uint64_t>;
  static Order OrderOf(std::string_view user, uint64_t trailer) { return {std::string(user), ~trailer}; }
  static Order OrderOf(SortedList::Entry entry) {
    const SortedList::Key key = SortedList::KeyOf(entry);
    return OrderOf(key.user, key.trailer);
  }

  enum class Way { kPlain, kFinger };
  bool Insert(std::string_view user, uint64_t trailer, Way way = Way::kPlain, size_t finger = 0) {
    const std::string packed = Packed(user, trailer);
    const int height = list_.TakeHeight();
    const size_t links = size_t(height);
    auto& memory = memory_.emplace_back(new uint64_t[links + (packed.size() + 7) / 8]);
    char* const entry = reinterpret_cast<char*>(memory.get() + links);
    std::memcpy(entry, packed.data(), packed.size());
    if (way == Way::kPlain) return list_.Insert(entry, height);
    while (fingers_.size() <= finger) fingers_.emplace_back(list_);
    return list_.InsertAt(fingers_[finger], entry, height);
  }
  const SortedList& list() const { return list_; }

 private:
  SortedList list_;
  std::vector<std::unique_ptr<uint64_t[]>> memory_;
  std::vector<SortedList::Finger> fingers_;
};

// Against the set: every step forward and back, and a search before, at and behind each key.
void ExpectSame(const SortedList& list, const std::set<OwnedList::Order>& model) {
  SortedList::Entry at = list.First();
  for (const auto& want : model) {
    ASSERT_NE(at, nullptr);
    ASSERT_EQ(OwnedList::OrderOf(at), want);
    ASSERT_EQ(list.FirstAtOrAfter(SortedList::KeyOf(at)), at);
    const SortedList::Entry next = list.Next(at);
    if (next == nullptr) {
      ASSERT_EQ(list.Last(), at);
    } else {
      ASSERT_EQ(list.LastBefore(SortedList::KeyOf(next)), at);
    }
    at = next;
  }
  ASSERT_EQ(at, nullptr);
  if (list.First() != nullptr) {
    ASSERT_EQ(list.LastBefore(SortedList::KeyOf(list.First())), nullptr);
  }
}

TEST(SortedListTest, AnEmptyListHasNothing) {
  OwnedList owned;
  EXPECT_EQ(owned.list().First(), nullptr);
  EXPECT_EQ(owned.list().Last(), nullptr);
  EXPECT_EQ(owned.list().FirstAtOrAfter({"a", 1}), nullptr);
  EXPECT_EQ(owned.list().LastBefore({"a", 1}), nullptr);
}

TEST(SortedListTest, NewestVersionsComeFirstAndLongKeysAreRead) {
  OwnedList owned;
  const std::string lengthy(20'000, 'x');
  for (uint64_t trailer : {5, 9, 7}) ASSERT_TRUE(owned.Insert(lengthy, trailer));
  ASSERT_TRUE(owned.Insert("", 3));
  ASSERT_FALSE(owned.Insert(lengthy, 7)) << "it is there";
  const SortedList& list = owned.list();
  EXPECT_EQ(SortedList::KeyOf(list.First()).user, "");
  EXPECT_EQ(SortedList::KeyOf(list.FirstAtOrAfter({lengthy, ~uint64_t{0}})).trailer, 9u);
  EXPECT_EQ(SortedList::KeyOf(list.FirstAtOrAfter({lengthy, 8})).trailer, 7u);
  EXPECT_EQ(SortedList::KeyOf(list.Last()).trailer, 5u);
}

// Sequences of all kinds: single logs that grow, several by turns, deletions far behind, and random keys among them.
TEST(SortedListTest, IsAsASetWhateverTheFingers) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    OwnedList owned;
    std::set<OwnedList::Order> model;
    uint64_t log[4] = {100, 100, 100, 100};
    for (int i = 0; i < 400; ++i) {
      const size_t which = random() % 4;
      std::string user = std::string("log") + char('a' + which);
      bool fingered = true;
      switch (random() % 4) {
        case 0: user = std::to_string(random() % 300); fingered = random() % 4 == 0; break;
        case 1: user += std::to_string(1000 + random() % log[which]); break;
        default: user += std::to_string(1000 + log[which]++); break;
      }
      const uint64_t trailer = random() % 3;
      const bool is_new = model.insert(OwnedList::OrderOf(user, trailer)).second;
      ASSERT_EQ(owned.Insert(user, trailer, fingered ? OwnedList::Way::kFinger : OwnedList::Way::kPlain, which), is_new)
          << "seed " << seed << " step " << i;
    }
    ExpectSame(owned.list(), model);
    for (int i = 0; i < 400; ++i) {
      const std::string user = std::to_string(random() % 400);
      const uint64_t trailer = random() % 3;
      const auto want = model.lower_bound(OwnedList::OrderOf(user, trailer));
      const SortedList::Entry found = owned.list().FirstAtOrAfter({user, trailer});
      ASSERT_EQ(found == nullptr, want == model.end()) << "seed " << seed;
      if (found != nullptr) {
        ASSERT_EQ(OwnedList::OrderOf(found), *want) << "seed " << seed;
      }
    }
  }
}

// What a reader has been told is there, it finds, and in order, while the list grows.
TEST(SortedListTest, ReadersBesideAWriterSeeAllThatWasThere) {
  constexpr uint64_t kCount = 30'000;
  const auto runtime = runtime::ThreadsRuntime::Create();
  const runtime::Context root(*runtime);
  OwnedList owned;
  std::atomic<uint64_t> written{0};
  const auto user_of = [](uint64_t i) { return std::to_string(i * 2654435761u % 1'000'003); };
  runtime::TaskGroup group(root, "readers");
  for (uint64_t reader = 0; reader < 2; ++reader) {
    group.Spawn({}, [&, reader](const runtime::Context&) {
      std::mt19937_64 random(reader);
      for (uint64_t seen = 0; seen < kCount;) {
        seen = written.load(std::memory_order_acquire);
        if (seen == 0) continue;
        const std::string user = user_of(random() % seen);
        const SortedList::Key key{user, 1};
        SortedList::Entry at = owned.list().FirstAtOrAfter(key);
        if (at == nullptr || SortedList::KeyOf(at).user != user) return InternalError("lost " + user);
        for (int step = 0; step < 20 && at != nullptr; ++step) {
          const SortedList::Entry next = owned.list().Next(at);
          if (next != nullptr && !(SortedList::KeyOf(at) < SortedList::KeyOf(next))) return InternalError("out of order");
          at = next;
        }
        const SortedList::Entry before = owned.list().LastBefore(key);
        if (before != nullptr && !(SortedList::KeyOf(before) < key)) return InternalError("not before " + user);
      }
      return OkStatus();
    });
  }
  for (uint64_t i = 0; i < kCount; ++i) {
    ASSERT_TRUE(owned.Insert(user_of(i), 1, i % 2 == 0 ? OwnedList::Way::kPlain : OwnedList::Way::kFinger));
    written.store(i + 1, std::memory_order_release);
  }
  const Status status = group.Join();
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// RocksDB over this memtable and over its own, with the same writes: the same answers, before and after flushes.
TEST(MemtableTest, AnswersAsRocksDbsOwn) {
  const std::unique_ptr<rocksdb::Env> env(rocksdb::NewMemEnv(rocksdb::Env::Default()));
  const auto open = [&](const std::string& path, bool ours) {
    rocksdb::Options options;
    options.env = env.get();
    options.create_if_missing = true;
    options.flush_verify_memtable_count = true;
    options.write_buffer_size = 64 << 10;
    if (ours) {
      options.memtable_factory = MakeMemtableFactory([](std::string_view key) { return key.substr(0, key[0] == 'c' ? 0 : 1); });
      options.allow_concurrent_memtable_write = false;
    }
    rocksdb::DB* db = nullptr;
    EXPECT_TRUE(rocksdb::DB::Open(options, path, &db).ok());
    return std::unique_ptr<rocksdb::DB>(db);
  };
  const auto ours = open("/ours", true);
  const auto theirs = open("/theirs", false);
  std::mt19937_64 random(7);
  const auto key_of = [&] { return std::string(1, char('a' + random() % 3)) + std::to_string(random() % 500); };
  for (int round = 0; round < 40; ++round) {
    const std::unique_ptr<rocksdb::Iterator> old(ours->NewIterator({}));
    const std::unique_ptr<rocksdb::Iterator> same_old(theirs->NewIterator({}));
    for (int i = 0; i < 100; ++i) {
      rocksdb::WriteBatch batch;
      for (int op = 0; op < 5; ++op) {
        const std::string key = key_of();
        if (random() % 100 == 0) {
          batch.DeleteRange(key, key + "5");
        } else if (random() % 4 == 0) {
          batch.Delete(key);
        } else {
          batch.Put(key, std::string(random() % 60, char('A' + round % 26)));
        }
      }
      rocksdb::WriteBatch copy = batch;
      ASSERT_TRUE(ours->Write({}, &batch).ok());
      ASSERT_TRUE(theirs->Write({}, &copy).ok());
      const std::string asked = key_of();
      std::string a, b;
      ASSERT_EQ(ours->Get({}, asked, &a).ok(), theirs->Get({}, asked, &b).ok());
      ASSERT_EQ(a, b);
    }
    const auto expect_same = [](rocksdb::Iterator& a, rocksdb::Iterator& b) {
      ASSERT_EQ(a.Valid(), b.Valid());
      if (!a.Valid()) return;
      ASSERT_EQ(a.key().ToString(), b.key().ToString());
      ASSERT_EQ(a.value().ToString(), b.value().ToString());
    };
    const std::unique_ptr<rocksdb::Iterator> now(ours->NewIterator({}));
    const std::unique_ptr<rocksdb::Iterator> same_now(theirs->NewIterator({}));
    for (const auto& [a, b] : {std::pair(old.get(), same_old.get()), std::pair(now.get(), same_now.get())}) {
      for (a->SeekToFirst(), b->SeekToFirst(); a->Valid(); a->Next(), b->Next()) expect_same(*a, *b);
      expect_same(*a, *b);
      for (a->SeekToLast(), b->SeekToLast(); a->Valid(); a->Prev(), b->Prev()) expect_same(*a, *b);
      expect_same(*a, *b);
      for (int i = 0; i < 50; ++i) {
        const std::string target = key_of();
        a->Seek(target), b->Seek(target);
        expect_same(*a, *b);
        a->SeekForPrev(target), b->SeekForPrev(target);
        expect_same(*a, *b);
      }
    }
    if (round % 8 == 7) {
      ASSERT_TRUE(ours->Flush({}).ok());
      ASSERT_TRUE(theirs->Flush({}).ok());
    }
  }
}

}  // namespace
}  // namespace orrery::storage
