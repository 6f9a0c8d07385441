// Random batches over a small key space, so that keys meet often; and whole-state comparison of readers.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>

#include "gtest/gtest.h"
#include "orrery/storage/engine.h"
#include "orrery/storage/mem_engine.h"
#include "rocksdb/env.h"

namespace orrery::storage {

using FamilyMaps = std::map<std::string, std::string, std::less<>>[kColumnFamilyCount];

// Keys in the form kMvcc and kLock keys have: prefix, terminator, suffix.
inline std::string RandomKey(std::mt19937_64& random) {
  std::string key;
  for (uint64_t n = random() % 3; n > 0; --n) key.push_back(char('a' + random() % 3));
  key += std::string("\0\x01", 2);
  for (uint64_t n = random() % 3; n > 0; --n) key.push_back(char(random() % 4));
  return key;
}

inline WriteBatch RandomBatch(std::mt19937_64& random) {
  WriteBatch batch;
  for (uint64_t n = 1 + random() % 5; n > 0; --n) {
    const auto cf = ColumnFamily(random() % kColumnFamilyCount);
    const std::string key = RandomKey(random);
    switch (random() % 8) {
      case 0: case 1: case 2: batch.Delete(cf, key); break;
      case 3: if (random() % 4 == 0) { batch.DeleteRange(cf, key, RandomKey(random)); break; } [[fallthrough]];
      default: batch.Put(cf, key, std::string(random() % 40, char('A' + random() % 26))); break;
    }
  }
  return batch;
}

// What may be ingested: puts into kMvcc by ascending key, at times with intents.
inline WriteBatch RandomLoad(std::mt19937_64& random) {
  std::map<std::string, std::string> rows;
  for (uint64_t n = 1 + random() % 5; n > 0; --n) rows[RandomKey(random)] = std::string(random() % 40, char('a' + random() % 26));
  WriteBatch batch;
  const bool has_intents = random() % 2 == 0;
  for (const auto& [key, value] : rows) {
    batch.Put(ColumnFamily::kMvcc, key, value);
    if (has_intents) batch.Put(ColumnFamily::kLock, key, "intent on " + value);
  }
  return batch;
}

inline void ApplyToMaps(const WriteBatch& batch, FamilyMaps& maps) {
  batch.ForEach([&](const WriteBatch::Op& op) {
    auto& map = maps[size_t(op.cf)];
    switch (op.kind) {
      case WriteBatch::OpKind::kPut: map[std::string(op.key)] = std::string(op.value); break;
      case WriteBatch::OpKind::kDelete: map.erase(std::string(op.key)); break;
      case WriteBatch::OpKind::kDeleteRange:
        map.erase(map.lower_bound(op.key), map.lower_bound(op.value));
        break;
    }
  });
}

inline std::map<std::string, std::string, std::less<>> ReadAll(const Reader& reader, ColumnFamily cf,
                                                                const IteratorOptions& bounds = {}) {
  std::map<std::string, std::string, std::less<>> all;
  const auto it = reader.NewIterator(cf, bounds);
  for (it->SeekToFirst(); it->Valid(); it->Next()) all.emplace(it->key(), it->value());
  EXPECT_TRUE(it->status().ok()) << it->status().ToString();
  return all;
}

inline MemEngineImage ImageOf(const Reader& reader) {
  MemEngineImage image;
  for (size_t i = 0; i < kColumnFamilyCount; ++i) image.families[i] = ReadAll(reader, ColumnFamily(i));
  return image;
}

// Random walks of iterators, gets and prefix seeks must agree with the model.
inline void ExpectSameReads(const Reader& reader, const FamilyMaps& maps, std::mt19937_64& random) {
  const size_t family = random() % kColumnFamilyCount;
  const auto cf = ColumnFamily(family);
  std::map<std::string, std::string, std::less<>> map = maps[family];
  std::string value;
  std::string key;
  for (int i = 0; i < 5; ++i) {
    const std::string probe = RandomKey(random);
    const auto found = reader.GetInto(cf, probe, value);
    ASSERT_TRUE(found.ok());
    const auto expected = map.find(probe);
    ASSERT_EQ(*found, expected != map.end());
    if (*found) {
      ASSERT_EQ(value, expected->second);
    }

    const size_t prefix_bytes = probe.find(std::string("\0\x01", 2)) + 2;
    const auto sought = reader.SeekInPrefix(cf, probe, prefix_bytes, key, value);
    ASSERT_TRUE(sought.ok());
    const auto next = map.lower_bound(probe);
    const bool has_next = next != map.end() && next->first.starts_with(probe.substr(0, prefix_bytes));
    ASSERT_EQ(*sought, has_next);
    if (has_next) {
      ASSERT_EQ(key, next->first);
      ASSERT_EQ(value, next->second);
    }
  }
  IteratorOptions options;
  if (random() % 2 == 0) options.lower = RandomKey(random);
  if (random() % 2 == 0) options.upper = RandomKey(random);
  if (!options.upper.empty() && options.upper < options.lower) std::swap(options.upper, options.lower);
  map.erase(map.begin(), map.lower_bound(options.lower));
  if (!options.upper.empty()) map.erase(map.lower_bound(options.upper), map.end());
  const auto it = reader.NewIterator(cf, options);
  auto position = map.end();
  for (int step = 0; step < 30; ++step) {
    const std::string probe = RandomKey(random);
    const uint64_t move = random() % 10;
    if (position == map.end() || move < 4) {
      switch (move % 4) {
        case 0: it->SeekToFirst(); position = map.begin(); break;
        case 1: it->SeekToLast(); position = map.empty() ? map.end() : std::prev(map.end()); break;
        case 2: it->Seek(probe); position = map.lower_bound(probe); break;
        default:
          it->SeekForPrev(probe);
          position = map.upper_bound(probe);
          position = position == map.begin() ? map.end() : std::prev(position);
      }
    } else if (move < 7) {
      it->Next();
      ++position;
    } else {
      it->Prev();
      position = position == map.begin() ? map.end() : std::prev(position);
    }
    ASSERT_EQ(it->Valid(), position != map.end());
    if (it->Valid()) {
      ASSERT_EQ(it->key(), position->first);
      ASSERT_EQ(it->value(), position->second);
    }
  }
  ASSERT_TRUE(it->status().ok());
}

}  // namespace orrery::storage
