// The adapter's private heart: PostgreSQL's raw parse tree, read node by node into ours. Included by the
// postgres_*.cc files only, which must include nothing else after it: PostgreSQL's headers define macros
// with everyday names. Rule: only read the tree, never call into PostgreSQL's memory contexts.
#pragma once

#include <string>
#include <vector>

#include "orrery/sql/parser/parser.h"

extern "C" {
#include "postgres.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "nodes/value.h"
}
#undef printf
#undef snprintf
#undef fprintf
#undef sprintf
#undef vsnprintf
#undef vsprintf
#undef vfprintf
#undef strerror

namespace orrery::sql {

// Converts one statement. After the first failure every result is null or empty and status() says why.
class PostgresTree {
 public:
  PostgresTree(std::string_view query, const ParserLimits& limits) : query_(query), limits_(limits) {}

  const Status& status() const { return status_; }
  int parameter_count() const { return parameter_count_; }
  ParsedNode Statement(const ::Node* node);
  ParsedExprPtr Expression(const ::Node* node);

 private:
  using P = ParsedExpr;
  // Counts one level of nesting for its lifetime.
  struct Level {
    explicit Level(PostgresTree& tree) : tree(tree) { ++tree.depth_; }
    ~Level() { --tree.depth_; }
    PostgresTree& tree;
  };

  std::nullptr_t Fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
    return nullptr;
  }
  std::nullptr_t Unsupported(std::string_view construct, int location = -1);
  std::nullptr_t SyntaxError(std::string_view message, int location);
  bool TooDeep();

  // postgres_expressions.cc
  ParsedExprPtr ExpressionOfKind(const ::Node* node);
  ParsedExprPtr Constant(const ::A_Const* node);
  ParsedExprPtr ColumnReference(const ::ColumnRef* node);
  ParsedExprPtr Operator(const ::A_Expr* node);
  ParsedExprPtr Between(const ::A_Expr* node);
  ParsedExprPtr Function(const ::FuncCall* node);
  ParsedExprPtr Case(const ::CaseExpr* node);
  ParsedExprPtr Sublink(const ::SubLink* node);
  ParsedExprPtr Keyword(const ::SQLValueFunction* node);
  ParsedWindow Window(const ::WindowDef* node);
  ParsedExprPtr Subscripts(const ::List* steps, int& next, ParsedExprPtr of);
  ParsedExprPtr Indirection(const ::A_Indirection* node);
  ParsedExprPtr Cast(const ::TypeCast* node);
  ParsedExprPtr Boolean(const ::BoolExpr* node);
  ParsedExprPtr Test(const ::BooleanTest* node);
  ParsedExprPtr Parameter(const ::ParamRef* node);
  ParsedExprPtr Make(P::Kind kind, int location, const ::List* args);
  void Expressions(const ::List* list, std::vector<ParsedExprPtr>& out);
  ParsedTypeName TypeName(const ::TypeName* node);
  std::vector<ParsedSortItem> SortItems(const ::List* list);

  // postgres_queries.cc
  ParsedSelectPtr Select(const ::Node* node);
  ParsedSelectPtr SelectOfKind(const ::SelectStmt* node);
  void SelectBlock(const ::SelectStmt* node, ParsedSelect& out);
  void SelectTail(const ::SelectStmt* node, ParsedSelect& out);
  std::vector<ParsedCte> With(const ::WithClause* node);
  std::vector<ParsedTarget> Targets(const ::List* list);
  std::vector<ParsedFromPtr> From(const ::List* list);
  ParsedFromPtr FromItem(const ::Node* node);
  ParsedFromPtr FromFunction(const ::RangeFunction* node);
  ParsedFromPtr Join(const ::JoinExpr* node);
  std::vector<ParsedLocking> Locking(const ::List* list);
  ParsedTableName TableName(const ::RangeVar* node);
  ParsedAlias AliasOf(const ::Alias* node);
  ParsedNode Insert(const ::InsertStmt* node);
  ParsedNode Update(const ::UpdateStmt* node);
  ParsedNode Delete(const ::DeleteStmt* node);
  std::vector<ParsedAssignment> Assignments(const ::List* list);
  std::optional<ParsedOnConflict> OnConflict(const ::OnConflictClause* node);

  // postgres_statements.cc
  ParsedNode StatementOfKind(const ::Node* node);
  ParsedNode CreateTable(const ::CreateStmt* node);
  ParsedNode CreateTableAs(const ::CreateTableAsStmt* node);
  ParsedColumnDefinition Column(const ::ColumnDef* node, std::string_view table);
  void ColumnConstraint(const ::Constraint* node, std::string_view table, ParsedColumnDefinition& out);
  std::optional<ParsedConstraint> TableConstraint(const ::Constraint* node);
  ParsedNode DropTable(const ::DropStmt* node);
  ParsedNode Truncate(const ::TruncateStmt* node);
  ParsedNode AlterTable(const ::AlterTableStmt* node);
  ParsedAlterTable::Command AlterCommand(const ::AlterTableCmd* node, std::string_view table);
  ParsedNode Rename(const ::RenameStmt* node);
  ParsedNode Copy(const ::CopyStmt* node);
  ParsedNode Explain(const ::ExplainStmt* node);
  ParsedNode Transaction(const ::TransactionStmt* node);
  ParsedNode Set(const ::VariableSetStmt* node);
  ParsedNode Prepare(const ::PrepareStmt* node);
  ParsedNode DeclareCursor(const ::DeclareCursorStmt* node);
  ParsedNode Fetch(const ::FetchStmt* node);
  ParsedNode Vacuum(const ::VacuumStmt* node);
  ParsedNode Discard(const ::DiscardStmt* node);
  std::shared_ptr<const ParsedStatement> Nested(const ::Node* node);
  std::vector<ParsedOption> Options(const ::List* list);
  ParsedTableName QualifiedName(const ::List* names);

  std::string_view query_;
  const ParserLimits& limits_;
  int depth_ = 0;
  int parameter_count_ = 0;
  Status status_;
};

inline std::string Text(const char* s) { return s ? s : ""; }
std::vector<std::string> Strings(const ::List* list);
// The value of a DefElem or SET argument as text.
std::string ValueText(const ::Node* node);

}  // namespace orrery::sql
