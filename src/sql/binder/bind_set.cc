// UNION, INTERSECT, EXCEPT and VALUES; changing the types of a query's columns.
#include "sql/binder/select_block.h"

namespace orrery::sql {

namespace {
std::string_view NameOf(SetOperation operation) {
  switch (operation) {
    case SetOperation::kUnion: return "UNION";
    case SetOperation::kIntersect: return "INTERSECT";
    default: return "EXCEPT";
  }
}
}  // namespace

Status StatementBinder::CoerceOutput(Output& output, std::span<const Type> types, CastContext context,
                                     std::string_view) {
  bool same = true;
  for (size_t i = 0; i < types.size(); ++i)
    same = same && output.result[i].type.oid == types[i].oid &&
           (types[i].typmod < 0 || types[i] == output.result[i].type);
  if (same) return OkStatus();
  const Relation& old = *output.root;
  auto out = std::make_shared<Relation>();
  if (old.kind == Relation::Kind::kValues) {
    *out = old;
    for (auto& row : out->rows)
      for (size_t i = 0; i < types.size(); ++i) {
        ASSIGN_OR_RETURN(row[i], Coerce(row[i], types[i], context));
      }
    for (size_t i = 0; i < types.size(); ++i) out->columns[i].type = types[i];
  } else if (old.kind == Relation::Kind::kProject) {
    *out = old;
    for (size_t i = 0; i < types.size(); ++i) {
      ASSIGN_OR_RETURN(ExprPtr expr, Coerce(old.exprs[i], types[i], context));
      if (expr == old.exprs[i]) continue;
      out->columns[i] = {NewColumn(), old.columns[i].name, expr->type};
      out->exprs[i] = std::move(expr);
    }
  } else {
    out->kind = Relation::Kind::kProject;
    for (size_t i = 0; i < types.size(); ++i) {
      const RelationColumn& column = old.columns[i];
      const ExprPtr plain = MakeColumn(column.id, column.type, column.name);
      ASSIGN_OR_RETURN(ExprPtr expr, Coerce(plain, types[i], context));
      const ColumnId id = expr == plain ? column.id : NewColumn();
      out->columns.push_back({id, column.name, expr->type});
      out->exprs.push_back(std::move(expr));
    }
    out->inputs = {output.root};
  }
  for (size_t i = 0; i < types.size(); ++i) output.result[i].type = out->columns[i].type;
  output.root = std::move(out);
  return OkStatus();
}

StatusOr<Output> StatementBinder::SetOperation(const ParsedSelect& select, const Scope* parent, Unknowns unknowns) {
  const std::string name(NameOf(select.set_operation));
  if (!select.locking.empty()) return Error("0A000", "FOR UPDATE is not allowed with UNION/INTERSECT/EXCEPT");
  ASSIGN_OR_RETURN(Output left, Select(*select.left, parent, Unknowns::kKeep));
  ASSIGN_OR_RETURN(Output right, Select(*select.right, parent, Unknowns::kKeep));
  if (left.result.size() != right.result.size())
    return Error("42601", "each " + name + " query must have the same number of columns");
  std::vector<Type> types;
  for (size_t i = 0; i < left.result.size(); ++i) {
    const Oid both[] = {left.result[i].type.oid, right.result[i].type.oid};
    const bool open = both[0] == oid::kUnknown && both[1] == oid::kUnknown && unknowns == Unknowns::kKeep;
    auto common = CommonType(options_.functions, both, name);
    if (!common.ok()) return common.status();
    const Type pair[] = {left.result[i].type, right.result[i].type};
    types.push_back({open ? oid::kUnknown : *common, CommonTypmod(pair)});
  }
  RETURN_IF_ERROR(CoerceOutput(left, types, CastContext::kImplicit, name));
  RETURN_IF_ERROR(CoerceOutput(right, types, CastContext::kImplicit, name));
  Output output;
  output.root = std::make_shared<Relation>();
  output.root->kind = Relation::Kind::kSetOp;
  output.root->set_operation = select.set_operation;
  output.root->set_all = select.set_all;
  for (size_t i = 0; i < types.size(); ++i) {
    output.root->columns.push_back({NewColumn(), left.result[i].name, types[i]});
    output.result.push_back({left.result[i].name, types[i], 0, 0});
  }
  output.root->inputs = {std::move(left.root), std::move(right.root)};
  RETURN_IF_ERROR(OrderOutput(select, output));
  RETURN_IF_ERROR(Limit(select, output));
  return output;
}

StatusOr<Output> StatementBinder::Values(const ParsedSelect& select, const Scope* parent, Unknowns unknowns) {
  Scope scope;
  scope.parent = parent;
  scope.clause = "VALUES";
  Output output;
  output.root = std::make_shared<Relation>();
  for (const auto& parsed_row : select.values) {
    std::vector<ExprPtr>& row = output.root->rows.emplace_back();
    for (const ParsedExprPtr& cell : parsed_row) {
      ASSIGN_OR_RETURN(ExprPtr expr, Bind(*cell, scope));
      row.push_back(std::move(expr));
    }
    if (row.size() != output.root->rows[0].size())
      return Error("42601", "VALUES lists must all be the same length",
                   parsed_row.empty() ? -1 : parsed_row[0]->position);
  }
  std::vector<std::vector<ExprPtr>>& rows = output.root->rows;
  for (size_t i = 0; i < rows[0].size(); ++i) {
    std::vector<ExprPtr> column;
    bool open = unknowns == Unknowns::kKeep;
    for (const auto& row : rows) {
      column.push_back(row[i]);
      open = open && row[i]->type.oid == oid::kUnknown;
    }
    Type type{oid::kUnknown};
    if (!open) {
      ASSIGN_OR_RETURN(type.oid, CommonTypeOf(column, "VALUES"));
      std::vector<Type> types;
      for (size_t r = 0; r < rows.size(); ++r) {
        ASSIGN_OR_RETURN(rows[r][i], Coerce(rows[r][i], type, CastContext::kImplicit));
        types.push_back(rows[r][i]->type);
      }
      type.typmod = CommonTypmod(types);
    }
    const std::string name = "column" + std::to_string(i + 1);
    output.root->columns.push_back({NewColumn(), name, type});
    output.result.push_back({name, type, 0, 0});
  }
  RETURN_IF_ERROR(OrderOutput(select, output));
  RETURN_IF_ERROR(Limit(select, output));
  return output;
}

// ORDER BY of a set operation or VALUES: output columns by number or name only.
Status StatementBinder::OrderOutput(const ParsedSelect& select, Output& output) {
  if (select.order_by.empty()) return OkStatus();
  Block block(select);
  for (const RelationColumn& column : output.root->columns)
    block.targets.push_back({.expr = MakeColumn(column.id, column.type, column.name), .name = column.name});
  block.visible = block.targets.size();
  auto sort = std::make_shared<Relation>();
  sort->kind = Relation::Kind::kSort;
  sort->columns = output.root->columns;
  for (const ParsedSortItem& item : select.order_by) {
    ASSIGN_OR_RETURN(const int index, block.Find(*this, *item.expr, "ORDER BY"));
    if (index < 0 && item.expr->kind == P::Kind::kColumn)
      return Error("42703", "column \"" + item.expr->names.back() + "\" does not exist", item.expr->position);
    if (index < 0)
      return Error("0A000", "invalid UNION/INTERSECT/EXCEPT ORDER BY clause", item.expr->position)
          .WithDetail("Only result column names can be used, not expressions or functions.")
          .WithHint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.");
    sort->sort_keys.push_back({block.targets[size_t(index)].expr, DirectionOf(item), NullsOf(item)});
  }
  sort->inputs = {std::move(output.root)};
  output.root = std::move(sort);
  return OkStatus();
}

}  // namespace orrery::sql
