// ParsedSelect and the data-changing statements, as written. Plain trees, owned by the ParsedStatement.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "orrery/sql/parser/parsed_expression.h"

namespace orrery::sql {

struct ParsedTableName {
  std::string catalog;
  std::string schema;  // empty: search_path decides
  std::string name;
  int position = -1;
};

struct ParsedAlias {
  std::string name;  // empty: none
  std::vector<std::string> columns;
};

enum class JoinType : uint8_t { kInner, kLeft, kRight, kFull, kSemi, kAnti };

struct ParsedFrom {
  enum class Kind : uint8_t { kTable, kSubquery, kFunction, kJoin };
  Kind kind = Kind::kTable;
  int position = -1;
  bool lateral = false;
  ParsedAlias alias;
  // kTable
  ParsedTableName table;
  // kSubquery
  std::unique_ptr<ParsedSelect> subquery;
  // kFunction
  ParsedExprPtr function;
  bool with_ordinality = false;
  // kJoin: kSemi and kAnti never come from text. No ON and no USING: a cross join.
  JoinType join = JoinType::kInner;
  bool natural = false;
  std::vector<std::string> using_columns;
  ParsedExprPtr on;
  std::unique_ptr<ParsedFrom> left;
  std::unique_ptr<ParsedFrom> right;
};
using ParsedFromPtr = std::unique_ptr<ParsedFrom>;

struct ParsedTarget {
  ParsedExprPtr expr;
  std::string alias;  // empty: none
  int position = -1;
};

struct ParsedCte {
  std::string name;
  std::vector<std::string> columns;
  std::unique_ptr<ParsedSelect> query;
  bool recursive = false;
  int position = -1;
};

enum class RowLock : uint8_t { kNone, kKeyShare, kShare, kNoKeyUpdate, kUpdate };
enum class RowWait : uint8_t { kBlock, kNowait, kSkipLocked };
struct ParsedLocking {
  RowLock strength = RowLock::kUpdate;
  RowWait wait = RowWait::kBlock;
  std::vector<ParsedTableName> of;  // empty: all tables
};

enum class SetOperation : uint8_t { kNone, kUnion, kIntersect, kExcept };

struct ParsedSelect {
  std::vector<ParsedCte> ctes;
  // A set operation has `left` and `right` and none of the fields down to `having`.
  SetOperation set_operation = SetOperation::kNone;
  bool set_all = false;
  std::unique_ptr<ParsedSelect> left;
  std::unique_ptr<ParsedSelect> right;
  // VALUES lists; when not empty there are no targets.
  std::vector<std::vector<ParsedExprPtr>> values;
  bool distinct = false;
  std::vector<ParsedExprPtr> distinct_on;
  std::vector<ParsedTarget> targets;
  std::vector<ParsedFromPtr> from;
  ParsedExprPtr where;
  std::vector<ParsedExprPtr> group_by;
  ParsedExprPtr having;
  std::vector<ParsedWindow> windows;
  // Of the whole.
  std::vector<ParsedSortItem> order_by;
  ParsedExprPtr limit;   // null: none (also LIMIT ALL)
  ParsedExprPtr offset;
  bool with_ties = false;
  std::vector<ParsedLocking> locking;
  int position = -1;
};
using ParsedSelectPtr = std::unique_ptr<ParsedSelect>;

// column = expr. (a, b) = (x, y) is taken apart by the parser.
struct ParsedAssignment {
  std::string column;
  ParsedExprPtr expr;
  int position = -1;
};

struct ParsedOnConflict {
  enum class Action : uint8_t { kNothing, kUpdate };
  Action action = Action::kNothing;
  std::vector<std::string> columns;  // the inference target
  std::string constraint;            // ON CONSTRAINT name
  bool has_target = false;
  bool has_complex_target = false;   // expressions or a WHERE in the target
  std::vector<ParsedAssignment> set;
  ParsedExprPtr where;
  int position = -1;
};

struct ParsedInsert {
  std::vector<ParsedCte> ctes;
  ParsedTableName table;
  std::string alias;
  struct Column {
    std::string name;
    int position = -1;
  };
  std::vector<Column> columns;  // empty: all
  ParsedSelectPtr source;       // null: DEFAULT VALUES
  enum class Overriding : uint8_t { kNone, kUser, kSystem };
  Overriding overriding = Overriding::kNone;
  std::optional<ParsedOnConflict> on_conflict;
  std::vector<ParsedTarget> returning;
};

struct ParsedUpdate {
  std::vector<ParsedCte> ctes;
  ParsedTableName table;
  std::string alias;
  std::vector<ParsedAssignment> set;
  std::vector<ParsedFromPtr> from;
  ParsedExprPtr where;
  std::vector<ParsedTarget> returning;
};

struct ParsedDelete {
  std::vector<ParsedCte> ctes;
  ParsedTableName table;
  std::string alias;
  std::vector<ParsedFromPtr> from;  // USING
  ParsedExprPtr where;
  std::vector<ParsedTarget> returning;
};

}  // namespace orrery::sql
