// KvBlock: many key-value pairs in one buffer, the result of a scan from the storage engine up to SQL and
// over the wire: one allocation, no per-row objects.
// Format: for each pair varint key length, varint value length, key bytes, value bytes.
// Not thread-safe; string_views from iteration live as long as the block is neither changed nor destroyed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "orrery/base/status.h"
#include "orrery/base/wire.h"

namespace orrery {

class KvBlock {
 public:
  void Append(std::string_view key, std::string_view value) {
    wire::AppendVarint(bytes_, key.size());
    wire::AppendVarint(bytes_, value.size());
    bytes_.append(key);
    bytes_.append(value);
    ++count_;
  }
  void Clear() {
    bytes_.clear();
    count_ = 0;
  }
  // Appends all pairs of `other`.
  void AppendBlock(const KvBlock& other) {
    bytes_.append(other.bytes_);
    count_ += other.count_;
  }
  uint64_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  size_t bytes() const { return bytes_.size(); }

  // Walks the pairs: `for (auto cursor = block.Begin(); cursor.Next();) use(cursor.key(), cursor.value());`
  // Next() returns false at the end; a malformed block (bytes of a peer) also ends and sets malformed().
  class Cursor {
   public:
    explicit Cursor(std::string_view rest) : rest_(rest) {}
    bool Next() {
      if (rest_.empty()) return false;
      uint64_t key_size = 0;
      uint64_t value_size = 0;
      if (!wire::ReadVarint(rest_, key_size) || !wire::ReadVarint(rest_, value_size) ||
          key_size > rest_.size() || value_size > rest_.size() - key_size) {
        malformed_ = true;
        rest_ = {};
        return false;
      }
      key_ = rest_.substr(0, key_size);
      value_ = rest_.substr(key_size, value_size);
      rest_.remove_prefix(key_size + value_size);
      return true;
    }
    std::string_view key() const { return key_; }
    std::string_view value() const { return value_; }
    bool malformed() const { return malformed_; }

   private:
    std::string_view rest_;
    std::string_view key_;
    std::string_view value_;
    bool malformed_ = false;
  };
  Cursor Begin() const { return Cursor(bytes_); }

  template <class V>
  void Visit(V& v) {
    v(1, bytes_);
    v(2, count_);
  }

 private:
  std::string bytes_;
  uint64_t count_ = 0;
};

}  // namespace orrery
