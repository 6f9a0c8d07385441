// Datum: one SQL value or NULL, 24 bytes. It does not know its SQL type; whoever holds it does (a
// column, an expression node), as in PostgreSQL.
//
// Representation by type:
//   bool → Bool · int2, int4, int8, oid and reg* → Int · "char" → Int 0…255 · float4 (widened),
//   float8 → Float date → Int, days since 2000-01-01 · time → Int, microseconds since midnight
//   timestamp, timestamptz → Int, microseconds since 2000-01-01 (UTC); ±infinity as in datetime.h
//   interval → Interval · numeric → Numeric (packed, see numeric.h) · uuid → Bytes of 16
//   text, varchar, name, unknown, bytea → Bytes · char(n) → Bytes, blank-padded when it has a
//   length
//
// Ownership: byte strings of up to 16 bytes are kept inside; longer ones are either *shared* (a
// counted heap block, freed with the last Datum) or *borrowed* (a view whose bytes the maker must
// keep alive: a row buffer, an arena). A copy of a borrowed Datum is borrowed too; Owned() makes it
// independent. Reading a number from a row therefore allocates nothing. Thread safety: as an int;
// shared blocks are counted atomically.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "orrery/base/assert.h"

namespace orrery::sql {

// interval's three independent parts, as PostgreSQL keeps them.
struct Interval {
  int64_t micros = 0;
  int32_t days = 0;
  int32_t months = 0;
  friend bool operator==(const Interval&, const Interval&) = default;
};

class Datum {
 public:
  enum class Kind : uint8_t { kNull, kBool, kInt, kFloat, kInterval, kBytes, kNumeric };
  static constexpr size_t kInlineBytesMax = 16;

  Datum() = default;  // NULL
  static Datum Null() { return {}; }
  static Datum Bool(bool value) { return Datum(Kind::kBool, value ? 1 : 0); }
  static Datum Int(int64_t value) { return Datum(Kind::kInt, value); }
  static Datum Float(double value) {
    Datum d;
    d.kind_ = Kind::kFloat;
    std::memcpy(d.inline_, &value, sizeof value);
    return d;
  }
  static Datum OfInterval(const Interval& value) {
    Datum d;
    d.kind_ = Kind::kInterval;
    std::memcpy(d.inline_, &value, sizeof value);
    return d;
  }
  // Copies the bytes.
  static Datum Bytes(std::string_view value) { return Make(Kind::kBytes, value); }
  // Views the bytes (copies up to kInlineBytesMax); they must outlive the Datum and its copies.
  static Datum Borrowed(std::string_view value) { return MakeBorrowed(Kind::kBytes, value); }
  // A packed numeric (numeric.h), copied or viewed.
  static Datum PackedNumeric(std::string_view packed) { return Make(Kind::kNumeric, packed); }
  static Datum BorrowedNumeric(std::string_view packed) {
    return MakeBorrowed(Kind::kNumeric, packed);
  }

  Datum(const Datum& other) { CopyFrom(other); }
  Datum(Datum&& other) noexcept { StealFrom(other); }
  Datum& operator=(const Datum& other) {
    if (this != &other) {
      Release();
      CopyFrom(other);
    }
    return *this;
  }
  Datum& operator=(Datum&& other) noexcept {
    if (this != &other) {
      Release();
      StealFrom(other);
    }
    return *this;
  }
  ~Datum() { Release(); }

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }

  // Each requires its kind: the binder has made sure of it.
  bool as_bool() const {
    ORRERY_ASSERT(kind_ == Kind::kBool, "Datum: not a bool");
    return inline_[0] != 0;
  }
  int64_t as_int() const {
    ORRERY_ASSERT(kind_ == Kind::kInt, "Datum: not an integer");
    return Load<int64_t>();
  }
  double as_float() const {
    ORRERY_ASSERT(kind_ == Kind::kFloat, "Datum: not a float");
    return Load<double>();
  }
  Interval as_interval() const {
    ORRERY_ASSERT(kind_ == Kind::kInterval, "Datum: not an interval");
    return Load<Interval>();
  }
  // The characters of a string type or the bytes of bytea and uuid. Valid as long as this Datum is
  // unchanged.
  std::string_view as_bytes() const {
    ORRERY_ASSERT(kind_ == Kind::kBytes, "Datum: not a byte string");
    return view();
  }
  // The packed form of a numeric.
  std::string_view as_packed_numeric() const {
    ORRERY_ASSERT(kind_ == Kind::kNumeric, "Datum: not a numeric");
    return view();
  }

  // A Datum with the same value that borrows nothing.
  Datum Owned() const { return storage_ == Storage::kBorrowed ? Make(kind_, view()) : *this; }
  bool borrows() const { return storage_ == Storage::kBorrowed; }
  // Heap bytes held beyond the Datum itself, for memory accounting.
  size_t heap_bytes() const { return storage_ == Storage::kShared ? size_ + sizeof(Block) : 0; }
  // For tests and logs: NULL, true, 42, 1.5, 'bytes'. Not SQL text: that needs the type
  // (text_io.h).
  std::string DebugString() const;

 private:
  enum class Storage : uint8_t { kInline, kBorrowed, kShared };
  struct Block {
    std::atomic<uint32_t> references;
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
  };

  Datum(Kind kind, int64_t value) : kind_(kind) { std::memcpy(inline_, &value, sizeof value); }

  template <class T>
  T Load() const {
    T value;
    std::memcpy(&value, inline_, sizeof value);
    return value;
  }
  std::string_view view() const {
    return {storage_ == Storage::kInline ? inline_ : pointer_, size_};
  }
  static Datum Make(Kind kind, std::string_view value) {
    Datum d;
    d.kind_ = kind;
    d.size_ = uint32_t(value.size());
    if (value.size() <= kInlineBytesMax) {
      if (!value.empty()) std::memcpy(d.inline_, value.data(), value.size());
    } else {
      d.AllocateCopy(value);
    }
    return d;
  }
  static Datum MakeBorrowed(Kind kind, std::string_view value) {
    if (value.size() <= kInlineBytesMax) return Make(kind, value);
    Datum d;
    d.kind_ = kind;
    d.storage_ = Storage::kBorrowed;
    d.size_ = uint32_t(value.size());
    d.pointer_ = value.data();
    return d;
  }
  void AllocateCopy(std::string_view value);
  void ReleaseBlock();
  Block* block() const { return reinterpret_cast<Block*>(const_cast<char*>(pointer_)) - 1; }
  void Release() {
    if (storage_ == Storage::kShared) [[unlikely]]
      ReleaseBlock();
  }
  void CopyBits(const Datum& other) {
    kind_ = other.kind_;
    storage_ = other.storage_;
    size_ = other.size_;
    words_[0] = other.words_[0];
    words_[1] = other.words_[1];
  }
  void CopyFrom(const Datum& other) {
    CopyBits(other);
    if (storage_ == Storage::kShared) block()->references.fetch_add(1, std::memory_order_relaxed);
  }
  void StealFrom(Datum& other) {
    CopyBits(other);
    other.storage_ = Storage::kInline;
    other.kind_ = Kind::kNull;
  }

  Kind kind_ = Kind::kNull;
  Storage storage_ = Storage::kInline;
  uint32_t size_ = 0;
  union {
    char inline_[kInlineBytesMax] = {};
    const char* pointer_;
    uint64_t words_[2];  // all of it, for copying
  };
};
static_assert(sizeof(Datum) == 24);

}  // namespace orrery::sql
