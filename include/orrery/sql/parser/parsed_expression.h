// ParsedExpr: an expression as it was written, before any name or type is known. A plain tree that owns
// its children; positions are byte offsets into the whole query string (−1: unknown).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace orrery::sql {

struct ParsedExpr;
struct ParsedSelect;
using ParsedExprPtr = std::unique_ptr<ParsedExpr>;

// A type as written: names {"pg_catalog", "int4"} (the grammar itself turns INTEGER into that).
struct ParsedTypeName {
  std::vector<std::string> names;
  std::vector<int32_t> modifiers;
  int array_dimensions = 0;
  int position = -1;
  bool empty() const { return names.empty(); }
};

enum class ParsedDirection : uint8_t { kDefault, kAscending, kDescending };
enum class ParsedNulls : uint8_t { kDefault, kFirst, kLast };
struct ParsedSortItem {
  ParsedExprPtr expr;
  ParsedDirection direction = ParsedDirection::kDefault;
  ParsedNulls nulls = ParsedNulls::kDefault;
  int position = -1;
};

// OVER (…), or one of a WINDOW clause.
struct ParsedWindow {
  enum class Mode : uint8_t { kRange, kRows, kGroups };
  // A frame reaches from a bound to a bound; kPreceding and kFollowing have an offset.
  enum class Bound : uint8_t { kUnboundedPreceding, kPreceding, kCurrentRow, kFollowing, kUnboundedFollowing };
  std::string name;  // of the WINDOW clause: the window meant, or the one defined
  std::vector<ParsedExprPtr> partition_by;
  std::vector<ParsedSortItem> order_by;
  Mode mode = Mode::kRange;
  Bound start = Bound::kUnboundedPreceding;
  Bound end = Bound::kCurrentRow;
  ParsedExprPtr start_offset, end_offset;
  int position = -1;
};

struct ParsedExpr {
  enum class Kind : uint8_t {
    kNull,
    kBoolean,    // integer: 0 or 1
    kInteger,    // integer: fits int4
    kDecimal,    // text: any other number as written
    kString,     // text
    kParameter,  // integer: n of $n
    kColumn,     // names: a, t.a, s.t.a
    kStar,       // names: what stands before the .*
    kOperator,   // names: operator, perhaps with its schema first; args: (left,) right
    kFunction,   // names; args; star, distinct, order_by, filter
    kCast,       // args[0] :: type
    kAnd,
    kOr,
    kNot,
    kIsNull,
    kIsNotNull,
    kBooleanTest,   // test
    kCase,          // args: (operand | null), when, then, when, then, …, (else | null)
    kCoalesce,
    kNullIf,        // args: a, b
    kGreatest,
    kLeast,
    kIn,            // args[0] [NOT] IN (args[1…]); negated
    kBetween,       // args: value, low, high; negated, symmetric
    kDistinctFrom,  // args: a, b; negated: IS NOT DISTINCT FROM
    kSubquery,      // subquery_kind, subquery; kAny, kAll: args[0] names[…] ANY (…)
    kAnyArray,      // args[0] names ANY/ALL (args[1] array); subquery_kind tells which
    kRow,           // args
    kArray,         // ARRAY[args]
    kKeyword,       // text: "current_date", "localtimestamp", "current_user", …; integer: precision or −1
    kCollate,       // args[0]; names: collation
    kDefault,       // DEFAULT in VALUES and SET
    kField,         // (args[0]).text
    kSubscript,     // args[0][args[1]][args[2]]…; slice: args[0][args[1]:args[2]]…, an omitted bound is null
  };
  enum class SubqueryKind : uint8_t { kScalar, kExists, kAny, kAll, kArray };
  enum class Test : uint8_t { kTrue, kNotTrue, kFalse, kNotFalse, kUnknown, kNotUnknown };

  Kind kind = Kind::kNull;
  Test test = Test::kTrue;
  SubqueryKind subquery_kind = SubqueryKind::kScalar;
  bool negated = false;
  bool symmetric = false;
  bool star = false;      // count(*)
  bool distinct = false;  // count(DISTINCT x)
  bool slice = false;     // kSubscript
  int position = -1;
  int64_t integer = 0;
  std::string text;
  std::vector<std::string> names;
  std::vector<ParsedExprPtr> args;
  std::vector<std::string> arg_names;  // kFunction with named arguments: by argument, "" where without
  std::vector<ParsedSortItem> order_by;
  ParsedExprPtr filter;
  std::unique_ptr<ParsedWindow> over;  // kFunction: null where it is not a window function
  ParsedTypeName type;
  std::unique_ptr<ParsedSelect> subquery;

  ParsedExpr();
  explicit ParsedExpr(Kind k, int at = -1);
  ~ParsedExpr();
};

}  // namespace orrery::sql
