// Expressions of PostgreSQL's raw parse tree (src/include/nodes/parsenodes.h and primnodes.h of PostgreSQL 15).
#include "sql/parser/postgres_tree.h"

namespace orrery::sql {

std::vector<std::string> Strings(const ::List* list) {
  std::vector<std::string> out;
  for (int i = 0; i < list_length(list); ++i) {
    const auto* node = static_cast<const ::Node*>(list_nth(list, i));
    out.push_back(node && IsA(node, String) ? Text(strVal(node)) : "");
  }
  return out;
}

bool PostgresTree::TooDeep() {
  if (depth_ <= limits_.depth_max) return false;
  Fail(Status(Code::kResourceExhausted, "54001", "stack depth limit exceeded")
           .WithHint("Nest expressions and subqueries less deeply."));
  return true;
}

std::nullptr_t PostgresTree::Unsupported(std::string_view construct, int location) {
  return Fail(UnsupportedError(construct).WithPosition(CharacterPosition(query_, location)));
}

std::nullptr_t PostgresTree::SyntaxError(std::string_view message, int location) {
  return Fail(Status(Code::kInvalidArgument, "42601", message)
                  .WithPosition(CharacterPosition(query_, location)));
}

ParsedExprPtr PostgresTree::Expression(const ::Node* node) {
  if (!node || !status_.ok()) return nullptr;
  Level level(*this);
  if (TooDeep()) return nullptr;
  return ExpressionOfKind(node);
}

void PostgresTree::Expressions(const ::List* list, std::vector<ParsedExprPtr>& out) {
  out.reserve(out.size() + size_t(list_length(list)));
  for (int i = 0; i < list_length(list) && status_.ok(); ++i)
    out.push_back(Expression(static_cast<const ::Node*>(list_nth(list, i))));
}

ParsedExprPtr PostgresTree::Make(P::Kind kind, int location, const ::List* args) {
  auto out = std::make_unique<P>(kind, location);
  Expressions(args, out->args);
  return out;
}

namespace {
// A list of one pointer, so that Make has one form.
template <class N>
const N* As(const ::Node* node) {
  return reinterpret_cast<const N*>(node);
}
}  // namespace

ParsedExprPtr PostgresTree::ExpressionOfKind(const ::Node* node) {
  switch (nodeTag(node)) {
    case T_A_Const: return Constant(As<::A_Const>(node));
    case T_ColumnRef: return ColumnReference(As<::ColumnRef>(node));
    case T_ParamRef: return Parameter(As<::ParamRef>(node));
    case T_A_Expr: return Operator(As<::A_Expr>(node));
    case T_BoolExpr: return Boolean(As<::BoolExpr>(node));
    case T_BooleanTest: return Test(As<::BooleanTest>(node));
    case T_TypeCast: return Cast(As<::TypeCast>(node));
    case T_FuncCall: return Function(As<::FuncCall>(node));
    case T_CaseExpr: return Case(As<::CaseExpr>(node));
    case T_SubLink: return Sublink(As<::SubLink>(node));
    case T_SQLValueFunction: return Keyword(As<::SQLValueFunction>(node));
    case T_A_Indirection: return Indirection(As<::A_Indirection>(node));
    case T_NullTest: {
      const auto* test = As<::NullTest>(node);
      auto out = std::make_unique<P>(test->nulltesttype == IS_NULL ? P::Kind::kIsNull : P::Kind::kIsNotNull,
                                     test->location);
      out->args.push_back(Expression(reinterpret_cast<const ::Node*>(test->arg)));
      return out;
    }
    case T_CollateClause: {
      const auto* collate = As<::CollateClause>(node);
      auto out = std::make_unique<P>(P::Kind::kCollate, collate->location);
      out->args.push_back(Expression(collate->arg));
      out->names = Strings(collate->collname);
      return out;
    }
    case T_CoalesceExpr: {
      const auto* coalesce = As<::CoalesceExpr>(node);
      return Make(P::Kind::kCoalesce, coalesce->location, coalesce->args);
    }
    case T_MinMaxExpr: {
      const auto* minmax = As<::MinMaxExpr>(node);
      return Make(minmax->op == IS_GREATEST ? P::Kind::kGreatest : P::Kind::kLeast, minmax->location, minmax->args);
    }
    case T_RowExpr: return Make(P::Kind::kRow, As<::RowExpr>(node)->location, As<::RowExpr>(node)->args);
    case T_A_ArrayExpr:
      return Make(P::Kind::kArray, As<::A_ArrayExpr>(node)->location, As<::A_ArrayExpr>(node)->elements);
    case T_SetToDefault: return std::make_unique<P>(P::Kind::kDefault, As<::SetToDefault>(node)->location);
    case T_GroupingFunc: return Unsupported("GROUPING", As<::GroupingFunc>(node)->location);
    case T_GroupingSet: return Unsupported("GROUPING SETS", As<::GroupingSet>(node)->location);
    case T_XmlExpr: return Unsupported("XML", As<::XmlExpr>(node)->location);
    case T_XmlSerialize: return Unsupported("XMLSERIALIZE");
    case T_CurrentOfExpr: return Unsupported("WHERE CURRENT OF");
    case T_MultiAssignRef: return Unsupported("multiple-column assignment from a subquery");
    default: return Unsupported("this kind of expression");
  }
}

ParsedExprPtr PostgresTree::Constant(const ::A_Const* node) {
  if (node->isnull) return std::make_unique<P>(P::Kind::kNull, node->location);
  auto out = std::make_unique<P>(P::Kind::kInteger, node->location);
  switch (nodeTag(&node->val)) {
    case T_Integer: out->integer = node->val.ival.ival; break;
    case T_Float:
      out->kind = P::Kind::kDecimal;
      out->text = Text(node->val.fval.fval);
      break;
    case T_Boolean:
      out->kind = P::Kind::kBoolean;
      out->integer = node->val.boolval.boolval;
      break;
    case T_String:
      out->kind = P::Kind::kString;
      out->text = Text(node->val.sval.sval);
      break;
    default: return Unsupported("bit strings", node->location);
  }
  return out;
}

ParsedExprPtr PostgresTree::Parameter(const ::ParamRef* node) {
  auto out = std::make_unique<P>(P::Kind::kParameter, node->location);
  out->integer = node->number;
  if (node->number < 1 || node->number > 65535)
    return Fail(Status(Code::kInvalidArgument, "42P02", "there is no parameter $" + std::to_string(node->number))
                    .WithPosition(CharacterPosition(query_, node->location)));
  if (node->number > parameter_count_) parameter_count_ = node->number;
  return out;
}

ParsedExprPtr PostgresTree::ColumnReference(const ::ColumnRef* node) {
  auto out = std::make_unique<P>(P::Kind::kColumn, node->location);
  for (int i = 0; i < list_length(node->fields); ++i) {
    const auto* field = static_cast<const ::Node*>(list_nth(node->fields, i));
    if (IsA(field, A_Star)) out->kind = P::Kind::kStar;
    else out->names.push_back(Text(strVal(field)));
  }
  return out;
}

ParsedExprPtr PostgresTree::Boolean(const ::BoolExpr* node) {
  const P::Kind kind = node->boolop == AND_EXPR  ? P::Kind::kAnd
                       : node->boolop == OR_EXPR ? P::Kind::kOr
                                                 : P::Kind::kNot;
  return Make(kind, node->location, node->args);
}

ParsedExprPtr PostgresTree::Test(const ::BooleanTest* node) {
  auto out = std::make_unique<P>(P::Kind::kBooleanTest, node->location);
  switch (node->booltesttype) {
    case IS_TRUE: out->test = P::Test::kTrue; break;
    case IS_NOT_TRUE: out->test = P::Test::kNotTrue; break;
    case IS_FALSE: out->test = P::Test::kFalse; break;
    case IS_NOT_FALSE: out->test = P::Test::kNotFalse; break;
    case IS_UNKNOWN: out->test = P::Test::kUnknown; break;
    case IS_NOT_UNKNOWN: out->test = P::Test::kNotUnknown; break;
  }
  out->args.push_back(Expression(reinterpret_cast<const ::Node*>(node->arg)));
  return out;
}

ParsedExprPtr PostgresTree::Cast(const ::TypeCast* node) {
  auto out = std::make_unique<P>(P::Kind::kCast, node->location);
  out->args.push_back(Expression(node->arg));
  out->type = TypeName(node->typeName);
  return out;
}

ParsedTypeName PostgresTree::TypeName(const ::TypeName* node) {
  ParsedTypeName out;
  if (!node) return out;
  out.names = Strings(node->names);
  out.position = node->location;
  out.array_dimensions = list_length(node->arrayBounds);
  if (node->setof) Unsupported("SETOF", node->location);
  if (node->pct_type) Unsupported("%TYPE", node->location);
  for (int i = 0; i < list_length(node->typmods); ++i) {
    const auto* modifier = static_cast<const ::Node*>(list_nth(node->typmods, i));
    const auto* constant = As<::A_Const>(modifier);
    if (!IsA(modifier, A_Const) || constant->isnull || !IsA(&constant->val, Integer)) {
      SyntaxError("type modifiers must be simple constants or identifiers", node->location);
      return out;
    }
    out.modifiers.push_back(constant->val.ival.ival);
  }
  return out;
}

ParsedExprPtr PostgresTree::Operator(const ::A_Expr* node) {
  P::Kind kind = P::Kind::kOperator;
  bool negated = false;
  switch (node->kind) {
    case AEXPR_OP:
    case AEXPR_LIKE:
    case AEXPR_ILIKE:
    case AEXPR_SIMILAR: break;
    case AEXPR_OP_ANY:
    case AEXPR_OP_ALL: kind = P::Kind::kAnyArray; break;
    case AEXPR_NOT_DISTINCT: negated = true; [[fallthrough]];
    case AEXPR_DISTINCT: kind = P::Kind::kDistinctFrom; break;
    case AEXPR_NULLIF: kind = P::Kind::kNullIf; break;
    case AEXPR_IN:
      kind = P::Kind::kIn;
      negated = Strings(node->name).at(0) == "<>";
      break;
    default: return Between(node);
  }
  auto out = std::make_unique<P>(kind, node->location);
  out->negated = negated;
  if (kind == P::Kind::kOperator || kind == P::Kind::kAnyArray) out->names = Strings(node->name);
  if (node->kind == AEXPR_OP_ALL) out->subquery_kind = P::SubqueryKind::kAll;
  if (node->kind == AEXPR_OP_ANY) out->subquery_kind = P::SubqueryKind::kAny;
  if (node->lexpr) out->args.push_back(Expression(node->lexpr));
  if (node->kind == AEXPR_IN) Expressions(reinterpret_cast<const ::List*>(node->rexpr), out->args);
  else out->args.push_back(Expression(node->rexpr));
  return out;
}

ParsedExprPtr PostgresTree::Between(const ::A_Expr* node) {
  auto out = std::make_unique<P>(P::Kind::kBetween, node->location);
  out->negated = node->kind == AEXPR_NOT_BETWEEN || node->kind == AEXPR_NOT_BETWEEN_SYM;
  out->symmetric = node->kind == AEXPR_BETWEEN_SYM || node->kind == AEXPR_NOT_BETWEEN_SYM;
  out->args.push_back(Expression(node->lexpr));
  Expressions(reinterpret_cast<const ::List*>(node->rexpr), out->args);
  return out;
}

ParsedExprPtr PostgresTree::Function(const ::FuncCall* node) {
  if (node->agg_within_group) return Unsupported("WITHIN GROUP", node->location);
  if (node->func_variadic) return Unsupported("VARIADIC", node->location);
  auto out = std::make_unique<P>(P::Kind::kFunction, node->location);
  out->names = Strings(node->funcname);
  out->star = node->agg_star;
  out->distinct = node->agg_distinct;
  for (int i = 0; i < list_length(node->args); ++i) {
    const auto* arg = static_cast<const ::Node*>(list_nth(node->args, i));
    if (IsA(arg, NamedArgExpr)) {
      const auto* named = As<::NamedArgExpr>(arg);
      out->arg_names.resize(size_t(i));
      out->arg_names.push_back(Text(named->name));
      out->args.push_back(Expression(reinterpret_cast<const ::Node*>(named->arg)));
      continue;
    }
    out->args.push_back(Expression(arg));
    if (!out->arg_names.empty() && out->args.back())
      return SyntaxError("positional argument cannot follow named argument", out->args.back()->position);
  }
  out->order_by = SortItems(node->agg_order);
  out->filter = Expression(node->agg_filter);
  if (node->over) out->over = std::make_unique<ParsedWindow>(Window(node->over));
  return out;
}

// parsenodes.h: FRAMEOPTION_…
ParsedWindow PostgresTree::Window(const ::WindowDef* node) {
  using Bound = ParsedWindow::Bound;
  ParsedWindow out;
  out.name = Text(node->name);
  out.position = node->location;
  if (node->refname) Unsupported("a window that extends another", node->location);
  Expressions(node->partitionClause, out.partition_by);
  out.order_by = SortItems(node->orderClause);
  const int options = node->frameOptions;
  if (options & FRAMEOPTION_EXCLUSION) Unsupported("EXCLUDE in a window frame", node->location);
  if (options & FRAMEOPTION_ROWS) out.mode = ParsedWindow::Mode::kRows;
  if (options & FRAMEOPTION_GROUPS) Unsupported("GROUPS in a window frame", node->location);
  out.start = options & FRAMEOPTION_START_UNBOUNDED_PRECEDING ? Bound::kUnboundedPreceding
              : options & FRAMEOPTION_START_OFFSET_PRECEDING  ? Bound::kPreceding
              : options & FRAMEOPTION_START_OFFSET_FOLLOWING  ? Bound::kFollowing
                                                              : Bound::kCurrentRow;
  out.end = options & FRAMEOPTION_END_UNBOUNDED_FOLLOWING ? Bound::kUnboundedFollowing
            : options & FRAMEOPTION_END_OFFSET_PRECEDING  ? Bound::kPreceding
            : options & FRAMEOPTION_END_OFFSET_FOLLOWING  ? Bound::kFollowing
                                                          : Bound::kCurrentRow;
  out.start_offset = Expression(node->startOffset);
  out.end_offset = Expression(node->endOffset);
  if ((node->startOffset || node->endOffset) && out.mode != ParsedWindow::Mode::kRows)
    Unsupported("RANGE with an offset in a window frame", node->location);
  return out;
}

ParsedExprPtr PostgresTree::Case(const ::CaseExpr* node) {
  auto out = std::make_unique<P>(P::Kind::kCase, node->location);
  out->args.push_back(Expression(reinterpret_cast<const ::Node*>(node->arg)));
  for (int i = 0; i < list_length(node->args); ++i) {
    const auto* when = static_cast<const ::CaseWhen*>(list_nth(node->args, i));
    out->args.push_back(Expression(reinterpret_cast<const ::Node*>(when->expr)));
    out->args.push_back(Expression(reinterpret_cast<const ::Node*>(when->result)));
  }
  out->args.push_back(Expression(reinterpret_cast<const ::Node*>(node->defresult)));
  return out;
}

ParsedExprPtr PostgresTree::Sublink(const ::SubLink* node) {
  auto out = std::make_unique<P>(P::Kind::kSubquery, node->location);
  switch (node->subLinkType) {
    case EXISTS_SUBLINK: out->subquery_kind = P::SubqueryKind::kExists; break;
    case EXPR_SUBLINK: out->subquery_kind = P::SubqueryKind::kScalar; break;
    case ARRAY_SUBLINK: out->subquery_kind = P::SubqueryKind::kArray; break;
    case ANY_SUBLINK: out->subquery_kind = P::SubqueryKind::kAny; break;
    case ALL_SUBLINK: out->subquery_kind = P::SubqueryKind::kAll; break;
    default: return Unsupported("this kind of subquery", node->location);
  }
  if (node->testexpr) out->args.push_back(Expression(node->testexpr));
  out->names = Strings(node->operName);  // empty for IN
  if (out->names.empty()) out->names.push_back("=");
  out->subquery = Select(node->subselect);
  return out;
}

ParsedExprPtr PostgresTree::Keyword(const ::SQLValueFunction* node) {
  static constexpr const char* kNames[] = {
      "current_date",    "current_time",   "current_time",  "current_timestamp", "current_timestamp",
      "localtime",       "localtime",      "localtimestamp", "localtimestamp",   "current_role",
      "current_user",    "user",           "session_user",  "current_catalog",   "current_schema"};
  static_assert(SVFOP_CURRENT_DATE == 0 && SVFOP_CURRENT_SCHEMA == 14);
  auto out = std::make_unique<P>(P::Kind::kKeyword, node->location);
  out->text = kNames[node->op];
  out->integer = node->typmod;
  return out;
}

// The run of brackets that begins at `next` of the list; leaves `next` at its last.
ParsedExprPtr PostgresTree::Subscripts(const ::List* steps, int& next, ParsedExprPtr of) {
  auto out = std::make_unique<P>(P::Kind::kSubscript, of->position);
  out->args.push_back(std::move(of));
  const int first = next;
  int end = first;
  for (; end < list_length(steps); ++end) {
    const auto* step = static_cast<const ::Node*>(list_nth(steps, end));
    if (!IsA(step, A_Indices)) break;
    out->slice = out->slice || As<::A_Indices>(step)->is_slice;
  }
  for (; next < end; ++next) {
    const auto* indices = As<::A_Indices>(static_cast<const ::Node*>(list_nth(steps, next)));
    if (out->slice && !indices->is_slice) {
      out->args.push_back(std::make_unique<P>(P::Kind::kInteger, out->position));
      out->args.back()->integer = 1;
    } else if (out->slice) {
      out->args.push_back(Expression(indices->lidx));
    }
    out->args.push_back(Expression(indices->uidx));
  }
  --next;
  return out;
}

ParsedExprPtr PostgresTree::Indirection(const ::A_Indirection* node) {
  ParsedExprPtr out = Expression(node->arg);
  for (int i = 0; i < list_length(node->indirection) && out; ++i) {
    const auto* step = static_cast<const ::Node*>(list_nth(node->indirection, i));
    if (IsA(step, A_Indices)) {
      out = Subscripts(node->indirection, i, std::move(out));
      continue;
    }
    if (!IsA(step, String)) return Unsupported("expansion of composite values");
    auto field = std::make_unique<P>(P::Kind::kField, out->position);
    field->text = Text(strVal(step));
    field->args.push_back(std::move(out));
    out = std::move(field);
  }
  return out;
}

std::vector<ParsedSortItem> PostgresTree::SortItems(const ::List* list) {
  std::vector<ParsedSortItem> out;
  for (int i = 0; i < list_length(list) && status_.ok(); ++i) {
    const auto* sort = static_cast<const ::SortBy*>(list_nth(list, i));
    ParsedSortItem& item = out.emplace_back();
    item.position = sort->location;
    if (sort->sortby_dir == SORTBY_ASC) item.direction = ParsedDirection::kAscending;
    if (sort->sortby_dir == SORTBY_DESC) item.direction = ParsedDirection::kDescending;
    if (sort->sortby_dir == SORTBY_USING) Unsupported("ORDER BY … USING", sort->location);
    if (sort->sortby_nulls == SORTBY_NULLS_FIRST) item.nulls = ParsedNulls::kFirst;
    if (sort->sortby_nulls == SORTBY_NULLS_LAST) item.nulls = ParsedNulls::kLast;
    item.expr = Expression(sort->node);
  }
  return out;
}

}  // namespace orrery::sql
