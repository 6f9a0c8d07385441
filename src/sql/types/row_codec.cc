#include "orrery/sql/types/row_codec.h"

#include <algorithm>
#include <cmath>

#include "orrery/base/hash.h"
#include "orrery/sql/types/array.h"
#include "orrery/sql/types/numeric.h"
#include "orrery/sql/types/type.h"
#include "sql/types/numeric_packed.h"
#include "sql/types/value_order.h"

namespace orrery::sql {
namespace {

using ordered::Direction;

constexpr uint8_t kTupleVersion = 1;
constexpr int64_t kMicrosPerDay = 86'400'000'000;
constexpr size_t kUuidBytes = 16;

// Wire forms of a tuple's columns: the low three bits of a column's tag.
enum Wire : uint8_t {
  kWireNull = 0,
  kWireVarint = 1,  // zigzag
  kWireFixed8 = 2,  // little-endian
  kWireBytes = 3,   // varint length, bytes
  kWireFalse = 4,
  kWireTrue = 5,
  kWireNumeric = 6,   // varint length, packed numeric
  kWireInterval = 7,  // zigzag months, zigzag days, zigzag microseconds
};

uint8_t Mask(Direction d) { return d == Direction::kDescending ? 0xFF : 0x00; }
Status BadKey() { return DataLossError("row key: malformed column"); }
Status BadTuple() { return DataLossError("row value: malformed tuple"); }

void PutVarint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(char(value | 0x80));
    value >>= 7;
  }
  out.push_back(char(value));
}

bool TakeVarint(std::string_view& in, uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = uint8_t(in.front());
    in.remove_prefix(1);
    value |= uint64_t(byte & 0x7F) << shift;
    if (byte < 0x80) return shift < 63 || byte <= 1;
  }
  return false;
}

uint64_t ZigZag(int64_t v) { return uint64_t(v) << 1 ^ uint64_t(v >> 63); }
int64_t UnZigZag(uint64_t v) { return int64_t(v >> 1) ^ -int64_t(v & 1); }

bool TakeSigned(std::string_view& in, int64_t& value) {
  uint64_t raw = 0;
  if (!TakeVarint(in, raw)) return false;
  value = UnZigZag(raw);
  return true;
}

bool TakeBytes(std::string_view& in, std::string_view& bytes) {
  uint64_t size = 0;
  if (!TakeVarint(in, size) || size > in.size()) return false;
  bytes = in.substr(0, size);
  in.remove_prefix(size);
  return true;
}

void AppendIntervalKey(std::string& out, const Interval& value, Direction d) {
  const __int128 span = IntervalSpan(value);
  __int128 days = span / kMicrosPerDay;
  if (span % kMicrosPerDay < 0) --days;
  ordered::AppendInt(out, int64_t(days), d);
  ordered::AppendUint(out, uint64_t(span - days * kMicrosPerDay), d);
}

// The interval of a span that PostgreSQL's justify_interval would give, as far as its parts can
// hold it.
Interval IntervalOfSpan(int64_t days, int64_t micros) {
  if (days < 0 && micros > 0) {
    ++days;
    micros -= kMicrosPerDay;
  }
  Interval out;
  out.months = int32_t(std::clamp<int64_t>(days / 30, INT32_MIN, INT32_MAX));
  days -= int64_t(out.months) * 30;
  out.days = int32_t(std::clamp<int64_t>(days, INT32_MIN, INT32_MAX));
  days -= out.days;
  out.micros = micros + days * kMicrosPerDay;
  return out;
}

bool ReadIntervalKey(std::string_view& in, Direction d, Interval& value) {
  constexpr int64_t kDaysMax = int64_t(1) << 37;  // beyond any interval's span
  int64_t days = 0;
  uint64_t micros = 0;
  if (!ordered::ReadInt(in, days, d) || !ordered::ReadUint(in, micros, d)) return false;
  if (std::abs(days) > kDaysMax || micros >= uint64_t(kMicrosPerDay)) return false;
  const __int128 span = static_cast<__int128>(days) * kMicrosPerDay + int64_t(micros);
  value = IntervalOfSpan(0, 0);
  const __int128 limit = IntervalSpan({INT64_MAX, INT32_MAX, INT32_MAX});
  if (span > limit || span < IntervalSpan({INT64_MIN, INT32_MIN, INT32_MIN})) return false;
  value = IntervalOfSpan(days, int64_t(micros));
  return IntervalSpan(value) == span;
}

// Integers a column of this type may hold; bytes from disk must not make others.
bool InRange(Oid type, int64_t v) {
  switch (type) {
    case oid::kInt2:
      return v == int16_t(v);
    case oid::kInt4:
    case oid::kDate:
      return v == int32_t(v);
    case oid::kChar:
      return v >= 0 && v <= 255;
    case oid::kTime:
      return v >= 0 && v <= kMicrosPerDay;
    case oid::kInt8:
    case oid::kTimestamp:
    case oid::kTimestamptz:
      return true;
    default:
      return IsOidType(type) && v >= 0 && v <= int64_t(UINT32_MAX);
  }
}

Datum::Kind KindOf(Oid type) {
  switch (type) {
    case oid::kBool:
      return Datum::Kind::kBool;
    case oid::kFloat4:
    case oid::kFloat8:
      return Datum::Kind::kFloat;
    case oid::kInterval:
      return Datum::Kind::kInterval;
    case oid::kNumeric:
      return Datum::Kind::kNumeric;
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8:
    case oid::kChar:
    case oid::kDate:
    case oid::kTime:
    case oid::kTimestamp:
    case oid::kTimestamptz:
      return Datum::Kind::kInt;
    case oid::kBytea:
    case oid::kUuid:
      return Datum::Kind::kBytes;
    default:
      if (IsStringType(type) || ElementTypeOf(type) != oid::kInvalid) return Datum::Kind::kBytes;
      return IsOidType(type) ? Datum::Kind::kInt : Datum::Kind::kNull;
  }
}

Status ReadKeyBytes(std::string_view& in, Oid type, Direction d, Datum& out) {
  std::string bytes;
  if (type == oid::kUuid) {
    if (in.size() < kUuidBytes) return BadKey();
    bytes = in.substr(0, kUuidBytes);
    in.remove_prefix(kUuidBytes);
    for (char& c : bytes) c = char(uint8_t(c) ^ Mask(d));
  } else if (!ordered::ReadBytes(in, bytes, d)) {
    return BadKey();
  }
  out = Datum::Bytes(bytes);
  return OkStatus();
}

// Reads a wire value off the front; `known` tells whether this server knows the wire form.
bool TakeWire(std::string_view& in, uint8_t wire, Oid type, Datum& out) {
  const Datum::Kind kind = KindOf(type);
  switch (wire) {
    case kWireNull:
      out = Datum();
      return true;
    case kWireFalse:
    case kWireTrue:
      out = Datum::Bool(wire == kWireTrue);
      return kind == Datum::Kind::kBool;
    case kWireVarint: {
      int64_t value = 0;
      if (!TakeSigned(in, value) || !InRange(type, value)) return false;
      out = Datum::Int(value);
      return kind == Datum::Kind::kInt;
    }
    case kWireFixed8: {
      if (in.size() < 8) return false;
      double value = 0;
      std::memcpy(&value, in.data(), 8);
      in.remove_prefix(8);
      out = Datum::Float(value);
      return kind == Datum::Kind::kFloat;
    }
    case kWireBytes: {
      std::string_view bytes;
      if (!TakeBytes(in, bytes) || (type == oid::kUuid && bytes.size() != kUuidBytes)) return false;
      if (!IsStringType(type) && type != oid::kBytea && type != oid::kUuid) {
        if (!ReceiveArray({ElementTypeOf(type), -1}, bytes).ok()) return false;
      }
      out = Datum::Borrowed(bytes);
      return kind == Datum::Kind::kBytes;
    }
    case kWireNumeric: {
      std::string_view bytes;
      if (!TakeBytes(in, bytes) || !Numeric::IsValidPacked(bytes)) return false;
      out = Datum::BorrowedNumeric(bytes);
      return kind == Datum::Kind::kNumeric;
    }
    default: {  // kWireInterval
      int64_t months = 0, days = 0, micros = 0;
      if (!TakeSigned(in, months) || !TakeSigned(in, days) || !TakeSigned(in, micros)) return false;
      if (months != int32_t(months) || days != int32_t(days)) return false;
      out = Datum::OfInterval({micros, int32_t(days), int32_t(months)});
      return kind == Datum::Kind::kInterval;
    }
  }
}

bool SkipWire(std::string_view& in, uint8_t wire) {
  uint64_t number = 0;
  std::string_view bytes;
  switch (wire) {
    case kWireNull:
    case kWireFalse:
    case kWireTrue:
      return true;
    case kWireVarint:
      return TakeVarint(in, number);
    case kWireFixed8:
      if (in.size() < 8) return false;
      in.remove_prefix(8);
      return true;
    case kWireBytes:
    case kWireNumeric:
      return TakeBytes(in, bytes);
    default:
      return TakeVarint(in, number) && TakeVarint(in, number) && TakeVarint(in, number);
  }
}

// Takes a column's tag; false if malformed.
bool TakeTag(std::string_view& in, uint64_t& id, uint8_t& wire) {
  uint64_t tag = 0;
  if (!TakeVarint(in, tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX) return false;
  id += tag >> 3;
  wire = tag & 7;
  return id <= UINT32_MAX;
}

void AppendWire(std::string& out, uint64_t id_delta, const Datum& value) {
  const auto tag = [&](Wire wire) { PutVarint(out, id_delta << 3 | wire); };
  switch (value.kind()) {
    case Datum::Kind::kNull:
      tag(kWireNull);
      break;
    case Datum::Kind::kBool:
      tag(value.as_bool() ? kWireTrue : kWireFalse);
      break;
    case Datum::Kind::kInt:
      tag(kWireVarint);
      PutVarint(out, ZigZag(value.as_int()));
      break;
    case Datum::Kind::kFloat: {
      tag(kWireFixed8);
      const double number = value.as_float();
      out.append(reinterpret_cast<const char*>(&number), sizeof number);
      break;
    }
    case Datum::Kind::kBytes:
      tag(kWireBytes);
      PutVarint(out, value.as_bytes().size());
      out += value.as_bytes();
      break;
    case Datum::Kind::kNumeric:
      tag(kWireNumeric);
      PutVarint(out, value.as_packed_numeric().size());
      out += value.as_packed_numeric();
      break;
    case Datum::Kind::kInterval: {
      tag(kWireInterval);
      const Interval i = value.as_interval();
      PutVarint(out, ZigZag(i.months));
      PutVarint(out, ZigZag(i.days));
      PutVarint(out, ZigZag(i.micros));
      break;
    }
  }
}

}  // namespace

void AppendIndexPrefix(std::string& out, uint64_t table_id, uint64_t index_id) {
  ordered::AppendUint(out, table_id);
  ordered::AppendUint(out, index_id);
}

Status ReadIndexPrefix(std::string_view& in, uint64_t& table_id, uint64_t& index_id) {
  if (!ordered::ReadUint(in, table_id) || !ordered::ReadUint(in, index_id)) return BadKey();
  return OkStatus();
}

bool IsKeyType(Oid type) { return KindOf(type) != Datum::Kind::kNull && ElementTypeOf(type) == oid::kInvalid; }

void AppendKeyColumn(std::string& out, Oid type, const Datum& value, Direction d) {
  if (value.is_null()) {
    ordered::AppendNull(out, d);
    return;
  }
  ordered::AppendNotNull(out, d);
  switch (value.kind()) {
    case Datum::Kind::kBool:
      ordered::AppendUint(out, value.as_bool() ? 1 : 0, d);
      break;
    case Datum::Kind::kInt:
      ordered::AppendInt(out, value.as_int(), d);
      break;
    case Datum::Kind::kFloat:
      ordered::AppendDouble(out, value.as_float(), d);
      break;
    case Datum::Kind::kInterval:
      AppendIntervalKey(out, value.as_interval(), d);
      break;
    case Datum::Kind::kNumeric:
      AppendNumericKey(out, value.as_packed_numeric(), Mask(d));
      break;
    case Datum::Kind::kBytes:
      if (type == oid::kUuid) {
        for (const char c : value.as_bytes()) out.push_back(char(uint8_t(c) ^ Mask(d)));
      } else {
        const std::string_view bytes = value.as_bytes();
        ordered::AppendBytes(out, type == oid::kBpchar ? WithoutTrailingBlanks(bytes) : bytes, d);
      }
      break;
    case Datum::Kind::kNull:
      break;
  }
}

Status ReadKeyColumn(std::string_view& in, Oid type, Direction d, Datum& out) {
  bool is_null = false;
  if (!ordered::ReadMarker(in, d, is_null)) return BadKey();
  if (is_null) {
    out = Datum();
    return OkStatus();
  }
  switch (KindOf(type)) {
    case Datum::Kind::kBool: {
      uint64_t value = 0;
      if (!ordered::ReadUint(in, value, d) || value > 1) return BadKey();
      out = Datum::Bool(value == 1);
      return OkStatus();
    }
    case Datum::Kind::kInt: {
      int64_t value = 0;
      if (!ordered::ReadInt(in, value, d) || !InRange(type, value)) return BadKey();
      out = Datum::Int(value);
      return OkStatus();
    }
    case Datum::Kind::kFloat: {
      double value = 0;
      if (!ordered::ReadDouble(in, value, d)) return BadKey();
      out = Datum::Float(value);
      return OkStatus();
    }
    case Datum::Kind::kInterval: {
      Interval value;
      if (!ReadIntervalKey(in, d, value)) return BadKey();
      out = Datum::OfInterval(value);
      return OkStatus();
    }
    case Datum::Kind::kNumeric: {
      std::string packed;
      if (!ReadNumericKey(in, packed, Mask(d))) return BadKey();
      out = Datum::PackedNumeric(packed);
      return OkStatus();
    }
    case Datum::Kind::kBytes:
      return ReadKeyBytes(in, type, d, out);
    case Datum::Kind::kNull:
      break;
  }
  return UnsupportedError("key column of type " + std::string(TypeName(type)));
}

Status SkipKeyColumn(std::string_view& in, Oid type, Direction d) {
  Datum ignored;
  return ReadKeyColumn(in, type, d, ignored);
}

bool KeyIsExact(Oid type, const Datum& value) {
  switch (value.kind()) {
    case Datum::Kind::kFloat:
      return !(value.as_float() == 0 && std::signbit(value.as_float()));
    case Datum::Kind::kNumeric: {
      const std::string_view packed = value.as_packed_numeric();
      const uint16_t head = PackedHead(packed);
      return head >= kPackedSpecial || (head & kPackedScaleMask) == PackedMinScale(packed);
    }
    case Datum::Kind::kBytes:
      return type != oid::kBpchar || value.as_bytes().empty() || value.as_bytes().back() != ' ';
    case Datum::Kind::kInterval: {
      std::string key;
      AppendIntervalKey(key, value.as_interval(), Direction::kAscending);
      std::string_view in = key;
      Interval back;
      return ReadIntervalKey(in, Direction::kAscending, back) && back == value.as_interval();
    }
    default:
      return true;
  }
}

void AppendTuple(std::string& out, std::span<const TupleColumn> columns,
                 std::span<const Datum> values) {
  ORRERY_ASSERT(columns.size() == values.size(), "AppendTuple: one value a column");
  out.push_back(char(kTupleVersion));
  uint32_t last = 0;
  for (size_t i = 0; i < columns.size(); ++i) {
    ORRERY_ASSERT(columns[i].id > last, "AppendTuple: column ids ascend from 1");
    AppendWire(out, columns[i].id - last, values[i]);
    last = columns[i].id;
  }
}

TupleReader::TupleReader(std::vector<Column> columns, Absent absent)
    : columns_(std::move(columns)), absent_(absent) {
  std::ranges::sort(columns_, {}, &Column::id);
}

Status TupleReader::Read(std::string_view tuple, std::span<Datum> row) const {
  if (tuple.empty() || uint8_t(tuple.front()) != kTupleVersion) return BadTuple();
  tuple.remove_prefix(1);
  uint64_t id = 0;
  uint8_t wire = 0;
  bool pending = false;  // a tag was read whose value was not
  for (const Column& column : columns_) {
    while (!tuple.empty() || pending) {
      if (!pending && !TakeTag(tuple, id, wire)) return BadTuple();
      pending = true;
      if (id >= column.id) break;
      if (!SkipWire(tuple, wire)) return BadTuple();
      pending = false;
    }
    if (pending && id == column.id) {
      if (!TakeWire(tuple, wire, column.type, row[column.slot])) return BadTuple();
      pending = false;
    } else if (absent_ == Absent::kFill) {
      row[column.slot] = column.missing;
    }
  }
  return OkStatus();
}

StatusOr<std::string> DescribeTuple(std::string_view tuple) {
  if (tuple.empty() || uint8_t(tuple.front()) != kTupleVersion) return BadTuple();
  tuple.remove_prefix(1);
  std::string text;
  uint64_t id = 0;
  while (!tuple.empty()) {
    uint8_t wire = 0;
    if (!TakeTag(tuple, id, wire)) return BadTuple();
    const std::string_view before = tuple;
    if (!SkipWire(tuple, wire)) return BadTuple();
    if (!text.empty()) text += ' ';
    text += std::to_string(id) + ":" + std::to_string(wire) + ":" +
            HexEncode(before.substr(0, before.size() - tuple.size()));
  }
  return text;
}

}  // namespace orrery::sql
