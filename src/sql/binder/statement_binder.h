// StatementBinder: binds one statement. Private to sql/binder; lives for one call.
//
// A Scope holds the columns an expression may name; scopes chain outwards through subqueries. Expressions
// of an aggregating query are bound against the input columns first, then rewritten against the groups
// (GroupRewriter in bind_group.cc). A literal or parameter whose type is still open has type `unknown`.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/sql/binder/binder.h"
#include "orrery/sql/parser/parser.h"

namespace orrery::sql {

struct ScopeColumn {
  std::string table;   // alias
  std::string name;
  ColumnId id = 0;
  Type type;
  uint32_t table_oid = 0;
  uint16_t number = 0;
  bool merged = false;  // behind a USING column: only t.name finds it
};

struct ScopeTable {
  std::string alias;
  std::string schema;      // of a plain table
  std::string table_name;
  TablePtr table;          // null: not a plain table
};

// Aggregates and set-returning functions met while binding a query's expressions.
struct QueryState {
  struct Window {
    std::vector<ExprPtr> partition_by;
    std::vector<SortKey> order_by;
    std::vector<WindowCall> calls;
  };
  std::vector<AggregateCall> aggregates;
  std::vector<Window> windows;
  const ParsedSelect* select = nullptr;  // whose WINDOW clause counts; null: window functions are not allowed
  RelationPtr* relation = nullptr;  // where set-returning functions are joined in; null: not allowed
};

struct Scope {
  std::vector<ScopeColumn> columns;
  std::vector<ScopeTable> tables;
  const Scope* parent = nullptr;
  QueryState* query = nullptr;       // null: aggregates are not allowed here
  std::string_view clause;           // "WHERE": where they are not
  bool in_aggregate = false;
  bool in_window = false;
};

// A bound query with what is known of its columns.
struct Output {
  RelationPtr root;
  std::vector<ResultColumn> result;
};

struct CteFrame {
  const ParsedCte* cte = nullptr;
  const CteFrame* outer = nullptr;
};

enum class Unknowns : uint8_t { kToText, kKeep };

class StatementBinder {
 public:
  StatementBinder(const BinderOptions& options, const runtime::Context& context, std::string_view query,
                  std::span<const Oid> parameter_types, int parameter_count);

  StatusOr<BoundStatement> Statement(const ParsedStatement& statement);
  StatusOr<ExprPtr> AssignedExpression(const ParsedExpr& expr, Type target);

 private:
  using P = ParsedExpr;
  using ExprOr = StatusOr<ExprPtr>;
  struct Target;
  struct Block;

  // binder.cc
  StatusOr<BoundNode> Node(const ParsedStatement& statement);
  Status FinishParameters(BoundStatement& out);
  Status Error(std::string_view sqlstate, std::string_view message, int position = -1) const;
  Status At(const Status& status, int position) const;
  ColumnId NewColumn() { return next_column_++; }
  StatusOr<TablePtr> FindTable(const ParsedTableName& name);
  StatusOr<TablePtr> FindTableForWrite(const ParsedTableName& name, std::string_view verb);
  StatusOr<Type> ResolveType(const ParsedTypeName& name);

  // bind_expression.cc: dispatch and leaves
  ExprOr Bind(const P& expr, const Scope& scope);
  ExprOr BindKind(const P& expr, const Scope& scope);
  ExprOr Literal(const P& expr);
  ExprOr Parameter(const P& expr);
  ExprOr Column(const P& expr, const Scope& scope);
  ExprOr Field(const P& expr, const Scope& scope);
  ExprOr Keyword(const P& expr);
  ExprOr Cast(const P& expr, const Scope& scope);
  ExprOr Logical(const P& expr, const Scope& scope);
  ExprOr Test(const P& expr, const Scope& scope);
  ExprOr Case(const P& expr, const Scope& scope);
  ExprOr Common(const P& expr, const Scope& scope, Expr::Kind kind, std::string_view construct);
  ExprOr NullIf(const P& expr, const Scope& scope);
  ExprOr Between(const P& expr, const Scope& scope);
  ExprOr In(const P& expr, const Scope& scope);
  ExprOr DistinctFrom(const P& expr, const Scope& scope);
  ExprOr AnyArray(const P& expr, const Scope& scope);

  // bind_function.cc: operators, functions, aggregates, subqueries
  ExprOr Operator(const P& expr, const Scope& scope);
  ExprOr ApplyOperator(std::string_view name, ExprPtr left, ExprPtr right, int position);
  ExprOr CompareRows(std::string_view name, const P& left, const P& right, const Scope& scope, int position);
  ExprOr CompareRow(std::string_view name, std::span<const ExprPtr> left, std::span<const ExprPtr> right, int position);
  ExprOr Function(const P& expr, const Scope& scope);
  ExprOr CallFunction(std::string_view name, std::vector<ExprPtr> args, int position);
  ExprOr Aggregate(const P& expr, const ResolvedFunction& resolved, std::vector<ExprPtr> args, const Scope& scope);
  ExprOr SetReturning(const P& expr, const Scope& scope);
  ExprOr Subquery(const P& expr, const Scope& scope);
  ExprOr QuantifiedSubquery(const P& expr, const Scope& scope, Output output);
  StatusOr<RelationPtr> SeriesFunction(const P& expr, const Scope& scope, std::string_view column_name,
                                       bool with_ordinality);

  // bind_window.cc
  ExprOr WindowExpr(const P& expr, const Scope& scope);
  Status WindowFunctionOf(const P& expr, std::vector<ExprPtr>& args, WindowCall& call);
  Status AddWindows(Block& block);

  // bind_array.cc
  ExprOr RowExpr(const P& expr, const Scope& scope);
  ExprOr RowOf(std::string_view table, const Scope& level, const sql::Function& constructor, int position);
  ExprOr ArrayExpr(const P& expr, const Scope& scope, Type target);
  ExprOr SubscriptExpr(const P& expr, const Scope& scope);
  StatusOr<RelationPtr> SetFunction(const P& expr, const Scope& scope, std::string_view column_name,
                                    bool with_ordinality);
  static bool ReturnsSet(std::string_view function);

  // coerce.cc
  ExprOr Coerce(const ExprPtr& expr, Type target, CastContext context);
  ExprOr CoerceUnknown(const ExprPtr& expr, Type target, CastContext context);
  ExprOr CoerceBool(const ExprPtr& expr, std::string_view construct);
  ExprOr Assign(const ExprPtr& expr, const ColumnDescriptor& column, int position);
  ExprOr KnownType(const ExprPtr& expr);  // unknown becomes text
  ExprPtr Fold(ExprPtr expr);
  StatusOr<Oid> CommonTypeOf(std::span<const ExprPtr> exprs, std::string_view construct);

  // bind_from.cc
  StatusOr<RelationPtr> From(const std::vector<ParsedFromPtr>& items, Scope& scope);
  StatusOr<RelationPtr> FromItem(const ParsedFrom& item, Scope& scope);
  StatusOr<RelationPtr> FromTable(const ParsedFrom& item, Scope& scope);
  StatusOr<RelationPtr> FromSubquery(const ParsedFrom& item, Scope& scope);
  StatusOr<RelationPtr> FromFunction(const ParsedFrom& item, Scope& scope);
  StatusOr<RelationPtr> FromCte(const CteFrame& frame, const ParsedFrom& item, Scope& scope);
  StatusOr<RelationPtr> Join(const ParsedFrom& item, Scope& scope);
  StatusOr<RelationPtr> JoinUsing(const ParsedFrom& item, RelationPtr join, Scope& left, Scope& right, Scope& scope);
  Status AddOutput(const Output& output, const ParsedAlias& alias, std::string_view fallback, int position,
                   Scope& scope);
  Status AddTable(Scope& scope, ScopeTable table, int position);
  RelationPtr ScanOf(const TablePtr& table, const std::string& alias, Scope& scope);

  // bind_select.cc
  StatusOr<Output> Select(const ParsedSelect& select, const Scope* parent, Unknowns unknowns);
  StatusOr<Output> SelectBody(const ParsedSelect& select, const Scope* parent, Unknowns unknowns);
  StatusOr<Output> SelectBlock(const ParsedSelect& select, const Scope* parent, Unknowns unknowns);
  StatusOr<Output> SetOperation(const ParsedSelect& select, const Scope* parent, Unknowns unknowns);
  StatusOr<Output> Values(const ParsedSelect& select, const Scope* parent, Unknowns unknowns);
  Status Targets(Block& block, const std::vector<ParsedTarget>& targets);
  Status ExpandStar(Block& block, const P& star);
  Status GroupBy(Block& block);
  Status OrderBy(Block& block);
  Status DistinctOn(Block& block);

  Status ApplyGroups(Block& block);
  StatusOr<Output> Assemble(Block& block);
  Status Limit(const ParsedSelect& select, Output& output);
  ExprOr LimitExpression(const ParsedExprPtr& expr, std::string_view name);
  Status Locking(const ParsedSelect& select, const RelationPtr& from, const Scope& scope);
  Status OrderOutput(const ParsedSelect& select, Output& output);
  Status CoerceOutput(Output& output, std::span<const Type> types, CastContext context, std::string_view construct);
  std::string TargetName(const P& expr) const;

  // bind_change.cc
  StatusOr<BoundNode> Insert(const ParsedInsert& insert);
  StatusOr<BoundNode> Update(const ParsedUpdate& update);
  StatusOr<BoundNode> Delete(const ParsedDelete& statement);
  StatusOr<std::vector<uint32_t>> InsertColumns(const ParsedInsert& insert, const Table& table);
  StatusOr<RelationPtr> InsertValues(const ParsedInsert& insert, const Table& table, std::span<const uint32_t> columns);
  StatusOr<RelationPtr> InsertSelect(const ParsedInsert& insert, const Table& table, std::span<const uint32_t> columns);
  StatusOr<BoundOnConflict> OnConflict(const ParsedOnConflict& conflict, const TablePtr& table,
                                       const std::string& alias);
  StatusOr<std::vector<BoundAssignment>> Assignments(const std::vector<ParsedAssignment>& set, const Table& table,
                                                     const Scope& scope);
  StatusOr<std::vector<BoundCheck>> Checks(const Table& table, std::span<const ColumnId> row);
  Status Returning(const std::vector<ParsedTarget>& targets, Scope& scope, std::vector<ExprPtr>& exprs,
                   std::vector<ResultColumn>& result);
  ExprOr Default(const Table& table, uint32_t ordinal);
  Scope RowScope(const TablePtr& table, const std::string& alias, std::span<const ColumnId> row);
  RelationPtr FullRow(const Table& table, RelationPtr input, std::vector<ExprPtr> exprs);

  // bind_schema.cc
  StatusOr<BoundNode> CreateTable(const ParsedCreateTable& create);
  StatusOr<BoundNode> AlterTable(const ParsedAlterTable& alter);
  StatusOr<BoundNode> Copy(const ParsedCopy& copy);
  StatusOr<BoundNode> Explain(const ParsedExplain& explain);
  StatusOr<ColumnDescriptor> ColumnOf(const ParsedColumnDefinition& column);
  StatusOr<std::string> DefaultSql(const ParsedExprPtr& expr, const ColumnDescriptor& column);
  StatusOr<std::string> CheckSql(const ParsedExpr& expr, const TableDescriptor& table);
  StatusOr<CopyOptions> CopyOptionsOf(const ParsedCopy& copy, std::span<const std::string> columns);
  Status AlterAction(const ParsedAlterTable::Command& command, const Table& table, AlterTableCommand& out,
                     std::vector<BoundDdl::Validation>& validations);
  Status AddKey(const ParsedConstraint& constraint, TableDescriptor& table);

  const BinderOptions& options_;
  const runtime::Context& context_;
  std::string_view query_;
  std::vector<Oid> parameters_;  // kUnknown: still open
  ColumnId next_column_ = 1;
  std::vector<TableUse> uses_;
  bool cacheable_ = true;
  const CteFrame* ctes_ = nullptr;
};

// A function of our own that PostgreSQL does not have: a new row id (int8). Volatile.
const Function& UniqueRowIdFunction();

}  // namespace orrery::sql
