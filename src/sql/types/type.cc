#include "orrery/sql/types/type.h"

#include <algorithm>
#include <array>

namespace orrery::sql {
namespace {

constexpr int32_t kLengthMax = 10485760;
constexpr int32_t kIntervalFullRange = 0x7FFF;
constexpr int32_t kIntervalFullPrecision = 0xFFFF;

Status BadModifier(const std::string& message) {
  return Status(Code::kInvalidArgument, "22023", message);
}

StatusOr<int32_t> LengthTypmod(std::string_view name, std::span<const int32_t> a) {
  if (a.size() != 1) return BadModifier("invalid type modifier");
  const std::string prefix = "length for type " + std::string(name);
  if (a[0] < 1) return BadModifier(prefix + " must be at least 1");
  if (a[0] > kLengthMax) return BadModifier(prefix + " cannot exceed 10485760");
  return a[0] + 4;
}

StatusOr<int32_t> NumericTypmod(std::span<const int32_t> a) {
  if (a.empty() || a.size() > 2) return BadModifier("invalid NUMERIC type modifier");
  if (a[0] < 1 || a[0] > 1000) {
    return BadModifier("NUMERIC precision " + std::to_string(a[0]) + " must be between 1 and 1000");
  }
  const int32_t scale = a.size() == 2 ? a[1] : 0;
  if (scale < -1000 || scale > 1000) {
    return BadModifier("NUMERIC scale " + std::to_string(scale) +
                       " must be between -1000 and 1000");
  }
  return ((a[0] << 16) | (scale & 0x7ff)) + 4;
}

StatusOr<int32_t> TimeTypmod(std::string_view kind, std::string_view suffix,
                             std::span<const int32_t> a) {
  if (a.size() != 1) return BadModifier("invalid type modifier");
  if (a[0] < 0) {
    return BadModifier(std::string(kind) + "(" + std::to_string(a[0]) + ")" + std::string(suffix) +
                       " precision must not be negative");
  }
  return std::min(a[0], 6);
}

StatusOr<int32_t> IntervalTypmod(std::span<const int32_t> a) {
  if (a.empty() || a.size() > 2) return BadModifier("invalid INTERVAL type modifier");
  if (a.size() == 1) {
    return a[0] == kIntervalFullRange ? -1 : (a[0] << 16 | kIntervalFullPrecision);
  }
  if (a[1] < 0) {
    return BadModifier("INTERVAL(" + std::to_string(a[1]) + ") precision must not be negative");
  }
  return (a[0] & 0x7FFF) << 16 | std::min(a[1], 6);
}

// Bits of an interval's field mask: PostgreSQL's INTERVAL_MASK(YEAR) and so on (utils/timestamp.h).
std::string IntervalFields(int32_t range) {
  constexpr int32_t kMonth = 1 << 1, kYear = 1 << 2, kDay = 1 << 3, kHour = 1 << 10;
  constexpr int32_t kMinute = 1 << 11, kSecond = 1 << 12;
  struct Named {
    int32_t mask;
    std::string_view name;
  };
  constexpr std::array<Named, 13> kNames = {{
      {kYear, " year"},
      {kMonth, " month"},
      {kDay, " day"},
      {kHour, " hour"},
      {kMinute, " minute"},
      {kSecond, " second"},
      {kYear | kMonth, " year to month"},
      {kDay | kHour, " day to hour"},
      {kDay | kHour | kMinute, " day to minute"},
      {kDay | kHour | kMinute | kSecond, " day to second"},
      {kHour | kMinute, " hour to minute"},
      {kHour | kMinute | kSecond, " hour to second"},
      {kMinute | kSecond, " minute to second"},
  }};
  for (const Named& n : kNames) {
    if (n.mask == range) return std::string(n.name);
  }
  return "";
}

}  // namespace

const TypeInfo* FindType(Oid oid) {
  const auto types = AllTypes();
  const auto it = std::ranges::lower_bound(types, oid, {}, &TypeInfo::oid);
  return it != types.end() && it->oid == oid ? &*it : nullptr;
}

const TypeInfo* FindTypeByName(std::string_view name) {
  const auto types = AllTypes();
  const auto it = std::ranges::find(types, name, &TypeInfo::name);
  return it == types.end() ? nullptr : &*it;
}

const TypeInfo* FindTypeBySqlName(std::string_view text) {
  std::string name;
  int depth = 0;
  for (const char c : text) {  // without modifiers
    depth += c == '(';
    if (depth == 0) name += c >= 'A' && c <= 'Z' && !text.starts_with('"') ? char(c - 'A' + 'a') : c;
    depth -= c == ')';
  }
  bool array = false;
  while (name.ends_with("[]") || name.ends_with(' ')) {
    array = array || name.ends_with(']');
    name.resize(name.size() - (name.ends_with(']') ? 2 : 1));
  }
  while (name.starts_with(' ')) name.erase(0, 1);
  if (name.starts_with("pg_catalog.")) name.erase(0, sizeof("pg_catalog.") - 1);
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kAliases = {{
      {"int", "int4"}, {"dec", "numeric"}, {"decimal", "numeric"}, {"float", "float8"},
      {"char", "bpchar"}, {"nchar", "bpchar"}, {"national character", "bpchar"}, {"char varying", "varchar"},
  }};
  for (const auto& [alias, meant] : kAliases) {
    if (name == alias) name = meant;
  }
  const bool quoted = name.size() > 2 && name.starts_with('"') && name.ends_with('"');
  const TypeInfo* found = FindTypeByName(quoted ? std::string_view(name).substr(1, name.size() - 2) : name);
  if (found == nullptr) {
    const auto types = AllTypes();
    const auto it = std::ranges::find(types, std::string_view(name), &TypeInfo::sql_name);
    if (it != types.end()) found = &*it;
  }
  return array && found != nullptr && found->element == oid::kInvalid ? FindType(found->array_oid) : found;
}

std::string_view TypeName(Oid oid) {
  const TypeInfo* const info = FindType(oid);
  return info == nullptr ? "???" : info->sql_name;
}

std::string FormatType(Type type) {
  const std::string name(TypeName(type.oid));
  if (const TypeInfo* const info = FindType(type.oid); info != nullptr && info->element != oid::kInvalid) {
    return type.typmod < 0 ? name : FormatType({info->element, type.typmod}) + "[]";
  }
  const std::string modifier = "(" + std::to_string(type.typmod) + ")";
  if (type.typmod < 0) return type.oid == oid::kBpchar ? "bpchar" : name;
  switch (type.oid) {
    case oid::kBpchar:
    case oid::kVarchar:
      return name + "(" + std::to_string(LengthOfTypmod(type.typmod)) + ")";
    case oid::kNumeric:
      return name + "(" + std::to_string(PrecisionOfTypmod(type.typmod)) + "," +
             std::to_string(ScaleOfTypmod(type.typmod)) + ")";
    case oid::kTime:
      return "time" + modifier + " without time zone";
    case oid::kTimestamp:
      return "timestamp" + modifier + " without time zone";
    case oid::kTimestamptz:
      return "timestamp" + modifier + " with time zone";
    case oid::kInterval: {
      const int32_t precision = type.typmod & 0xFFFF;
      std::string text = name + IntervalFields(type.typmod >> 16 & 0x7FFF);
      if (precision != kIntervalFullPrecision) text += "(" + std::to_string(precision) + ")";
      return text;
    }
    default:
      return name;
  }
}

StatusOr<int32_t> MakeTypmod(Oid oid, std::span<const int32_t> arguments) {
  if (arguments.empty()) return -1;
  switch (oid) {
    case oid::kBpchar:
      return LengthTypmod("char", arguments);
    case oid::kVarchar:
      return LengthTypmod("varchar", arguments);
    case oid::kNumeric:
      return NumericTypmod(arguments);
    case oid::kTime:
      return TimeTypmod("TIME", "", arguments);
    case oid::kTimestamp:
      return TimeTypmod("TIMESTAMP", "", arguments);
    case oid::kTimestamptz:
      return TimeTypmod("TIMESTAMP", " WITH TIME ZONE", arguments);
    case oid::kInterval:
      return IntervalTypmod(arguments);
    default: {
      const TypeInfo* const info = FindType(oid);
      return Status(Code::kInvalidArgument, "42601",
                    "type modifier is not allowed for type \"" +
                        std::string(info == nullptr ? "???" : info->name) + "\"");
    }
  }
}

bool IsOidType(Oid oid) {
  switch (oid) {
    case oid::kOid:
    case oid::kRegproc:
    case oid::kRegprocedure:
    case oid::kRegoper:
    case oid::kRegoperator:
    case oid::kRegclass:
    case oid::kRegtype:
    case oid::kRegnamespace:
    case oid::kRegrole:
      return true;
    default:
      return false;
  }
}

bool IsStringType(Oid oid) {
  switch (oid) {
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kName:
    case oid::kUnknown:
    case oid::kCstring:
      return true;
    default:
      return false;
  }
}

}  // namespace orrery::sql
