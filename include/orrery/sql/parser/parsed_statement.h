// ParsedStatement: one SQL statement as written. What the server has no answer for is ParsedUnsupported,
// so that statements before it in the same query string still run, as in PostgreSQL.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "orrery/base/status.h"
#include "orrery/sql/parser/parsed_query.h"

namespace orrery::sql {

struct ParsedStatement;

struct ParsedConstraint {
  enum class Kind : uint8_t { kPrimaryKey, kCheck };
  Kind kind = Kind::kCheck;
  std::string name;                  // empty: to be chosen
  std::vector<std::string> columns;  // kPrimaryKey
  ParsedExprPtr check;
  int position = -1;
};

struct ParsedColumnDefinition {
  std::string name;
  ParsedTypeName type;
  bool not_null = false;
  bool null = false;  // an explicit NULL
  ParsedExprPtr default_value;
  std::vector<ParsedConstraint> constraints;
  int position = -1;
};

struct ParsedOption {
  std::string name;
  std::string value;  // as text; empty when there was none
  bool has_value = false;
  int position = -1;
};

struct ParsedCreateTable {
  ParsedTableName table;
  bool if_not_exists = false;
  std::vector<ParsedColumnDefinition> columns;
  std::vector<ParsedConstraint> constraints;
  std::vector<ParsedOption> options;  // WITH (…)
  // CREATE TABLE … AS
  ParsedSelectPtr as_query;
  std::vector<std::string> as_columns;
  bool with_data = true;
};
struct ParsedDropTable {
  std::vector<ParsedTableName> tables;
  bool if_exists = false;
  bool cascade = false;
};
struct ParsedTruncate {
  std::vector<ParsedTableName> tables;
  bool cascade = false;
};
struct ParsedAlterTable {
  enum class Kind : uint8_t {
    kAddColumn, kDropColumn, kAddConstraint, kDropConstraint, kSetDefault, kDropDefault, kSetNotNull,
    kDropNotNull, kSetOptions,
  };
  struct Command {
    Kind kind = Kind::kAddColumn;
    std::string name;  // of the column or constraint
    bool if_exists = false;
    bool cascade = false;
    ParsedColumnDefinition column;
    ParsedConstraint constraint;
    ParsedExprPtr expr;
    int position = -1;
  };
  ParsedTableName table;
  bool if_exists = false;
  std::vector<Command> commands;
};
struct ParsedRename {
  ParsedTableName table;
  bool if_exists = false;
  std::string column;  // empty: the table itself
  std::string new_name;
};
struct ParsedCopy {
  ParsedTableName table;
  std::vector<std::string> columns;
  ParsedSelectPtr query;  // COPY (query) TO
  bool from = false;      // FROM STDIN, else TO STDOUT
  std::vector<ParsedOption> options;
  ParsedExprPtr where;
};
struct ParsedExplain {
  std::unique_ptr<ParsedStatement> statement;
  std::vector<ParsedOption> options;
};
struct ParsedTransaction {
  enum class Kind : uint8_t { kBegin, kCommit, kRollback, kSavepoint, kRelease, kRollbackTo };
  Kind kind = Kind::kBegin;
  bool start_transaction = false;    // START TRANSACTION: another command tag than BEGIN
  std::string savepoint;
  std::vector<ParsedOption> modes;   // transaction_isolation, transaction_read_only, transaction_deferrable
  bool chain = false;
};
struct ParsedSet {
  enum class Kind : uint8_t { kValue, kDefault, kReset, kResetAll, kTransaction, kSessionCharacteristics };
  Kind kind = Kind::kValue;
  std::string name;                  // lower case; "timezone" for SET TIME ZONE
  std::vector<std::string> values;   // as text
  bool local = false;
  std::vector<ParsedOption> modes;   // of SET TRANSACTION and SET SESSION CHARACTERISTICS
};
struct ParsedShow {
  std::string name;  // "all" for SHOW ALL
};
struct ParsedPrepare {
  std::string name;
  std::vector<ParsedTypeName> parameter_types;
  std::shared_ptr<const ParsedStatement> statement;
};
struct ParsedExecute {
  std::string name;
  std::vector<ParsedExprPtr> arguments;
};
struct ParsedDeallocate {
  std::string name;  // empty: ALL
};
struct ParsedDeclareCursor {
  std::string name;
  bool binary = false;
  bool hold = false;
  bool scroll = false;
  std::shared_ptr<const ParsedStatement> query;
};
struct ParsedFetch {
  enum class Direction : uint8_t { kForward, kBackward, kAbsolute, kRelative };
  Direction direction = Direction::kForward;
  int64_t count = 1;  // ParsedFetch::kAll: all
  std::string cursor;
  bool move = false;  // MOVE
  static constexpr int64_t kAll = INT64_MAX;
};
struct ParsedClose {
  std::string cursor;  // empty: ALL
};
// VACUUM and ANALYZE: accepted, with nothing to do. The tables must exist.
struct ParsedVacuum {
  bool is_vacuum = true;
  std::vector<ParsedTableName> tables;
};
struct ParsedDiscard {
  enum class Kind : uint8_t { kAll, kPlans, kSequences, kTemp };
  Kind kind = Kind::kAll;
};
struct ParsedCheckpoint {};
struct ParsedUnsupported {
  Status status;  // 0A000, naming the construct
};

using ParsedNode =
    std::variant<ParsedSelectPtr, ParsedInsert, ParsedUpdate, ParsedDelete, ParsedCreateTable, ParsedDropTable,
                 ParsedTruncate, ParsedAlterTable, ParsedRename, ParsedCopy, ParsedExplain, ParsedTransaction,
                 ParsedSet, ParsedShow, ParsedPrepare, ParsedExecute, ParsedDeallocate, ParsedDeclareCursor,
                 ParsedFetch, ParsedClose, ParsedVacuum, ParsedDiscard, ParsedCheckpoint, ParsedUnsupported>;

struct ParsedStatement {
  // The whole query string, shared by all its statements; positions count from its start.
  std::shared_ptr<const std::string> source;
  size_t begin = 0;  // this statement's bytes in it, without the semicolon and surrounding blanks
  size_t size = 0;
  int parameter_count = 0;  // the highest $n
  ParsedNode node;

  std::string_view text() const { return std::string_view(*source).substr(begin, size); }
};

}  // namespace orrery::sql
