// States of the aggregate functions. Plain values: copyable, no sharing; each says how to take a row, another state,
// and how to give the result. Visit names the fields that travel between nodes.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "orrery/base/status.h"
#include "orrery/sql/types/datum.h"
#include "orrery/sql/types/numeric.h"
#include "orrery/sql/types/oid.h"

namespace orrery::sql {

// Byte form of states: numbers as they are in memory (little-endian), strings with an 8-byte length.
struct StateWriter {
  std::string& out;
  template <class T>
    requires std::is_trivially_copyable_v<T>
  void operator()(T& value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void operator()(std::string& value) {
    uint64_t size = value.size();
    (*this)(size);
    out += value;
  }
  void operator()(Numeric& value);
  void operator()(Datum& value);
};

struct StateReader {
  std::string_view in;
  bool failed = false;
  template <class T>
    requires std::is_trivially_copyable_v<T>
  void operator()(T& value) {
    if (in.size() < sizeof value) {
      failed = true;
      return;
    }
    std::memcpy(&value, in.data(), sizeof value);
    in.remove_prefix(sizeof value);
  }
  void operator()(std::string& value) {
    uint64_t size = 0;
    (*this)(size);
    if (failed || size > in.size()) {
      failed = true;
      return;
    }
    value = in.substr(0, size);
    in.remove_prefix(size);
  }
  void operator()(Numeric& value);
  void operator()(Datum& value);
  bool Complete() const { return !failed && in.empty(); }
};

using Row = std::span<const Datum>;

struct CountState {
  bool counts_rows = false;
  int64_t count = 0;
  Status Add(Row) {
    ++count;
    return OkStatus();
  }
  Status Merge(const CountState& o) {
    count += o.count;
    return OkStatus();
  }
  Status Result(Datum* out) const {
    *out = Datum::Int(count);
    return OkStatus();
  }
  template <class V>
  void Visit(V& v) {
    v(count);
  }
  size_t heap_bytes() const { return 0; }
};

// Sums and averages of integers: exact in 128 bits, which 2^63 rows of int8 cannot exceed.
struct IntSum {
  enum class Result_ : uint8_t { kInt8Sum, kNumericSum, kAverage };
  Result_ result = Result_::kInt8Sum;
  int64_t count = 0;
  __int128 sum = 0;
  Status Add(Row row) {
    ++count;
    sum += row[0].as_int();
    return OkStatus();
  }
  Status Merge(const IntSum& o) {
    count += o.count;
    sum += o.sum;
    return OkStatus();
  }
  Status Result(Datum* out) const;
  template <class V>
  void Visit(V& v) {
    v(count);
    v(sum);
  }
  size_t heap_bytes() const { return 0; }
};

struct FloatSum {
  bool is_float4 = false;
  bool any = false;
  double sum = 0;
  Status Add(Row row) { return AddValue(row[0].as_float()); }
  Status Merge(const FloatSum& o) { return o.any ? AddValue(o.sum) : OkStatus(); }
  Status AddValue(double value);
  Status Result(Datum* out) const {
    *out = any ? Datum::Float(sum) : Datum();
    return OkStatus();
  }
  template <class V>
  void Visit(V& v) {
    v(any);
    v(sum);
  }
  size_t heap_bytes() const { return 0; }
};

struct NumericSum {
  bool is_average = false;
  int64_t count = 0;
  Numeric sum;
  Status Add(Row row);
  Status Merge(const NumericSum& o);
  Status Result(Datum* out) const;
  template <class V>
  void Visit(V& v) {
    v(count);
    v(sum);
  }
  size_t heap_bytes() const { return sum.digits().capacity() * 2; }
};

struct IntervalSum {
  bool is_average = false;
  int64_t count = 0;
  Interval sum;
  Status Add(Row row) { return AddValue(row[0].as_interval(), 1); }
  Status Merge(const IntervalSum& o) { return AddValue(o.sum, o.count); }
  Status AddValue(const Interval& value, int64_t rows);
  Status Result(Datum* out) const;
  template <class V>
  void Visit(V& v) {
    v(count);
    v(sum);
  }
  size_t heap_bytes() const { return 0; }
};

// min and max.
struct ExtremeState {
  Oid type = 0;
  int wants = -1;  // −1: the least
  Datum value;     // NULL: nothing yet
  Status Add(Row row) { return AddValue(row[0]); }
  Status Merge(const ExtremeState& o) { return AddValue(o.value); }
  Status AddValue(const Datum& candidate);
  Status Result(Datum* out) const {
    *out = value;
    return OkStatus();
  }
  template <class V>
  void Visit(V& v) {
    v(value);
  }
  size_t heap_bytes() const { return value.heap_bytes(); }
};

struct BoolState {
  bool is_and = true;
  bool any = false;
  bool value = false;
  Status Add(Row row) { return AddValue(row[0].as_bool()); }
  Status Merge(const BoolState& o) { return o.any ? AddValue(o.value) : OkStatus(); }
  Status AddValue(bool b) {
    value = !any ? b : is_and ? value && b : value || b;
    any = true;
    return OkStatus();
  }
  Status Result(Datum* out) const {
    *out = any ? Datum::Bool(value) : Datum();
    return OkStatus();
  }
  template <class V>
  void Visit(V& v) {
    v(any);
    v(value);
  }
  size_t heap_bytes() const { return 0; }
};

struct BitState {
  enum class Kind : uint8_t { kAnd, kOr, kXor };
  Kind kind = Kind::kAnd;
  bool any = false;
  int64_t value = 0;
  Status Add(Row row) { return AddValue(row[0].as_int()); }
  Status Merge(const BitState& o) { return o.any ? AddValue(o.value) : OkStatus(); }
  Status AddValue(int64_t b) {
    value = !any                  ? b
            : kind == Kind::kAnd  ? value & b
            : kind == Kind::kOr   ? value | b
                                  : value ^ b;
    any = true;
    return OkStatus();
  }
  Status Result(Datum* out) const {
    *out = any ? Datum::Int(value) : Datum();
    return OkStatus();
  }
  template <class V>
  void Visit(V& v) {
    v(any);
    v(value);
  }
  size_t heap_bytes() const { return 0; }
};

// string_agg(value, delimiter): the first row's delimiter is kept apart, it is needed only when states are merged.
struct StringState {
  bool any = false;
  std::string first_delimiter;
  std::string text;
  Status Add(Row row);
  Status Merge(const StringState& o);
  Status Result(Datum* out) const {
    *out = any ? Datum::Bytes(text) : Datum();
    return OkStatus();
  }
  template <class V>
  void Visit(V& v) {
    v(any);
    v(first_delimiter);
    v(text);
  }
  size_t heap_bytes() const { return text.capacity() + first_delimiter.capacity(); }
};

enum class Moment : uint8_t { kMean, kVarPop, kVarSamp, kStddevPop, kStddevSamp };

// Youngs and Cramer's updating formulas (1971), as float8_accum has them.
struct FloatMoments {
  Moment result = Moment::kMean;
  double count = 0;
  double sum = 0;
  double squares = 0;  // Σ (x − mean)²
  Status Add(Row row);
  Status Merge(const FloatMoments& o);
  Status Result(Datum* out) const;
  template <class V>
  void Visit(V& v) {
    v(count);
    v(sum);
    v(squares);
  }
  size_t heap_bytes() const { return 0; }
};

struct NumericMoments {
  Moment result = Moment::kVarSamp;
  bool takes_ints = false;
  int64_t count = 0;
  Numeric sum;
  Numeric squares;  // Σ x²
  Status Add(Row row);
  Status Merge(const NumericMoments& o);
  Status Result(Datum* out) const;
  template <class V>
  void Visit(V& v) {
    v(count);
    v(sum);
    v(squares);
  }
  size_t heap_bytes() const {
    return (sum.digits().capacity() + squares.digits().capacity()) * 2;
  }
};

}  // namespace orrery::sql
