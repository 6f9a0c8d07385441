// SELECT, INSERT, UPDATE and DELETE of PostgreSQL's raw parse tree.
#include "sql/parser/postgres_tree.h"

namespace orrery::sql {

namespace {
template <class N>
const N* As(const ::Node* node) {
  return reinterpret_cast<const N*>(node);
}
template <class N>
const N* Element(const ::List* list, int i) {
  return static_cast<const N*>(list_nth(list, i));
}
}  // namespace

ParsedTableName PostgresTree::TableName(const ::RangeVar* node) {
  return {.catalog = Text(node->catalogname),
          .schema = Text(node->schemaname),
          .name = Text(node->relname),
          .position = node->location};
}

ParsedAlias PostgresTree::AliasOf(const ::Alias* node) {
  if (!node) return {};
  return {.name = Text(node->aliasname), .columns = Strings(node->colnames)};
}

ParsedSelectPtr PostgresTree::Select(const ::Node* node) {
  if (!node || !status_.ok()) return nullptr;
  Level level(*this);
  if (TooDeep()) return nullptr;
  if (!IsA(node, SelectStmt)) return Unsupported("data-changing statements inside WITH");
  return SelectOfKind(As<::SelectStmt>(node));
}

ParsedSelectPtr PostgresTree::SelectOfKind(const ::SelectStmt* node) {
  auto out = std::make_unique<ParsedSelect>();
  if (node->intoClause) return Unsupported("SELECT INTO", node->intoClause->rel->location);
  out->ctes = With(node->withClause);
  if (node->op == SETOP_NONE) {
    SelectBlock(node, *out);
  } else {
    out->set_operation = node->op == SETOP_UNION       ? SetOperation::kUnion
                         : node->op == SETOP_INTERSECT ? SetOperation::kIntersect
                                                       : SetOperation::kExcept;
    out->set_all = node->all;
    out->left = Select(reinterpret_cast<const ::Node*>(node->larg));
    out->right = Select(reinterpret_cast<const ::Node*>(node->rarg));
  }
  SelectTail(node, *out);
  return out;
}

void PostgresTree::SelectBlock(const ::SelectStmt* node, ParsedSelect& out) {
  for (int i = 0; i < list_length(node->valuesLists) && status_.ok(); ++i)
    Expressions(Element<::List>(node->valuesLists, i), out.values.emplace_back());
  if (node->distinctClause) {
    out.distinct = true;
    if (linitial(node->distinctClause)) Expressions(node->distinctClause, out.distinct_on);
  }
  out.targets = Targets(node->targetList);
  out.from = From(node->fromClause);
  out.where = Expression(node->whereClause);
  Expressions(node->groupClause, out.group_by);
  if (node->groupDistinct) Unsupported("GROUP BY DISTINCT");
  out.having = Expression(node->havingClause);
  for (int i = 0; i < list_length(node->windowClause) && status_.ok(); ++i)
    out.windows.push_back(Window(Element<::WindowDef>(node->windowClause, i)));
}

void PostgresTree::SelectTail(const ::SelectStmt* node, ParsedSelect& out) {
  out.order_by = SortItems(node->sortClause);
  const bool limit_all =
      node->limitCount && IsA(node->limitCount, A_Const) && As<::A_Const>(node->limitCount)->isnull;
  if (!limit_all) out.limit = Expression(node->limitCount);
  out.offset = Expression(node->limitOffset);
  // The library's numbers, which are not those of the server headers' LimitOption: 0 none, 1 plain, 2 ties.
  constexpr int kWithTies = 2;
  out.with_ties = node->limitCount && int(node->limitOption) == kWithTies;
  if (out.with_ties) Unsupported("FETCH … WITH TIES");
  out.locking = Locking(node->lockingClause);
}

std::vector<ParsedCte> PostgresTree::With(const ::WithClause* node) {
  std::vector<ParsedCte> out;
  if (!node) return out;
  if (node->recursive) Unsupported("WITH RECURSIVE", node->location);
  for (int i = 0; i < list_length(node->ctes) && status_.ok(); ++i) {
    const auto* cte = Element<::CommonTableExpr>(node->ctes, i);
    ParsedCte& item = out.emplace_back();
    item.name = Text(cte->ctename);
    item.columns = Strings(cte->aliascolnames);
    item.position = cte->location;
    if (cte->search_clause || cte->cycle_clause) Unsupported("SEARCH and CYCLE", cte->location);
    item.query = Select(cte->ctequery);
  }
  return out;
}

std::vector<ParsedTarget> PostgresTree::Targets(const ::List* list) {
  std::vector<ParsedTarget> out;
  for (int i = 0; i < list_length(list) && status_.ok(); ++i) {
    const auto* target = Element<::ResTarget>(list, i);
    ParsedTarget& item = out.emplace_back();
    item.alias = Text(target->name);
    item.position = target->location;
    item.expr = Expression(target->val);
  }
  return out;
}

std::vector<ParsedFromPtr> PostgresTree::From(const ::List* list) {
  std::vector<ParsedFromPtr> out;
  for (int i = 0; i < list_length(list) && status_.ok(); ++i) out.push_back(FromItem(Element<::Node>(list, i)));
  return out;
}

ParsedFromPtr PostgresTree::FromItem(const ::Node* node) {
  if (!node || !status_.ok()) return nullptr;
  Level level(*this);
  if (TooDeep()) return nullptr;
  auto out = std::make_unique<ParsedFrom>();
  switch (nodeTag(node)) {
    case T_RangeVar: {
      const auto* range = As<::RangeVar>(node);
      out->table = TableName(range);
      out->position = range->location;
      out->alias = AliasOf(range->alias);
      return out;
    }
    case T_RangeSubselect: {
      const auto* range = As<::RangeSubselect>(node);
      out->kind = ParsedFrom::Kind::kSubquery;
      out->lateral = range->lateral;
      out->alias = AliasOf(range->alias);
      out->subquery = Select(range->subquery);
      return out;
    }
    case T_RangeFunction: return FromFunction(As<::RangeFunction>(node));
    case T_JoinExpr: return Join(As<::JoinExpr>(node));
    case T_RangeTableSample: return Unsupported("TABLESAMPLE", As<::RangeTableSample>(node)->location);
    default: return Unsupported("this kind of table expression");
  }
}

ParsedFromPtr PostgresTree::FromFunction(const ::RangeFunction* node) {
  if (node->is_rowsfrom && list_length(node->functions) != 1) return Unsupported("ROWS FROM");
  if (node->coldeflist) return Unsupported("column definition lists");
  auto out = std::make_unique<ParsedFrom>();
  out->kind = ParsedFrom::Kind::kFunction;
  out->lateral = node->lateral;
  out->with_ordinality = node->ordinality;
  out->alias = AliasOf(node->alias);
  const auto* pair = static_cast<const ::List*>(linitial(node->functions));
  if (list_length(pair) > 1 && lsecond(pair)) return Unsupported("column definition lists");
  out->function = Expression(static_cast<const ::Node*>(linitial(pair)));
  if (out->function) out->position = out->function->position;
  return out;
}

ParsedFromPtr PostgresTree::Join(const ::JoinExpr* node) {
  auto out = std::make_unique<ParsedFrom>();
  out->kind = ParsedFrom::Kind::kJoin;
  switch (node->jointype) {
    case JOIN_INNER: out->join = JoinType::kInner; break;
    case JOIN_LEFT: out->join = JoinType::kLeft; break;
    case JOIN_RIGHT: out->join = JoinType::kRight; break;
    case JOIN_FULL: out->join = JoinType::kFull; break;
    default: return Unsupported("this kind of join");
  }
  if (node->join_using_alias) return Unsupported("JOIN … USING … AS");
  out->natural = node->isNatural;
  out->using_columns = Strings(node->usingClause);
  out->alias = AliasOf(node->alias);
  out->left = FromItem(node->larg);
  out->right = FromItem(node->rarg);
  out->on = Expression(node->quals);
  return out;
}

std::vector<ParsedLocking> PostgresTree::Locking(const ::List* list) {
  std::vector<ParsedLocking> out;
  for (int i = 0; i < list_length(list); ++i) {
    const auto* clause = Element<::LockingClause>(list, i);
    ParsedLocking& item = out.emplace_back();
    switch (clause->strength) {
      case LCS_FORKEYSHARE: item.strength = RowLock::kKeyShare; break;
      case LCS_FORSHARE: item.strength = RowLock::kShare; break;
      case LCS_FORNOKEYUPDATE: item.strength = RowLock::kNoKeyUpdate; break;
      default: item.strength = RowLock::kUpdate; break;
    }
    item.wait = clause->waitPolicy == LockWaitError  ? RowWait::kNowait
                : clause->waitPolicy == LockWaitSkip ? RowWait::kSkipLocked
                                                     : RowWait::kBlock;
    for (int j = 0; j < list_length(clause->lockedRels); ++j)
      item.of.push_back(TableName(Element<::RangeVar>(clause->lockedRels, j)));
  }
  return out;
}

std::vector<ParsedAssignment> PostgresTree::Assignments(const ::List* list) {
  std::vector<ParsedAssignment> out;
  for (int i = 0; i < list_length(list) && status_.ok(); ++i) {
    const auto* target = Element<::ResTarget>(list, i);
    ParsedAssignment& item = out.emplace_back();
    item.column = Text(target->name);
    item.position = target->location;
    if (target->indirection) Unsupported("assignment to a part of a column", target->location);
    const ::Node* value = target->val;
    if (value && IsA(value, MultiAssignRef)) {
      const auto* multi = As<::MultiAssignRef>(value);
      if (!IsA(multi->source, RowExpr)) {
        Unsupported("multiple-column assignment from a subquery", target->location);
        return out;
      }
      const ::List* row = As<::RowExpr>(multi->source)->args;
      if (list_length(row) != multi->ncolumns) {
        SyntaxError("number of columns does not match number of values", As<::RowExpr>(multi->source)->location);
        return out;
      }
      value = Element<::Node>(row, multi->colno - 1);
    }
    item.expr = Expression(value);
  }
  return out;
}

std::optional<ParsedOnConflict> PostgresTree::OnConflict(const ::OnConflictClause* node) {
  if (!node) return std::nullopt;
  ParsedOnConflict out;
  out.position = node->location;
  out.action = node->action == ONCONFLICT_UPDATE ? ParsedOnConflict::Action::kUpdate : ParsedOnConflict::Action::kNothing;
  if (const ::InferClause* infer = node->infer) {
    out.has_target = true;
    out.constraint = Text(infer->conname);
    for (int i = 0; i < list_length(infer->indexElems); ++i) {
      const auto* element = Element<::IndexElem>(infer->indexElems, i);
      if (!element->name || element->collation || element->opclass) out.has_complex_target = true;
      else out.columns.push_back(element->name);
    }
    if (infer->whereClause) out.has_complex_target = true;
  }
  out.set = Assignments(node->targetList);
  out.where = Expression(node->whereClause);
  return out;
}

ParsedNode PostgresTree::Insert(const ::InsertStmt* node) {
  ParsedInsert out;
  out.ctes = With(node->withClause);
  out.table = TableName(node->relation);
  out.alias = AliasOf(node->relation->alias).name;
  for (int i = 0; i < list_length(node->cols); ++i) {
    const auto* column = Element<::ResTarget>(node->cols, i);
    if (column->indirection) Unsupported("assignment to a part of a column", column->location);
    out.columns.push_back({Text(column->name), column->location});
  }
  out.source = Select(node->selectStmt);
  if (node->override == OVERRIDING_USER_VALUE) out.overriding = ParsedInsert::Overriding::kUser;
  if (node->override == OVERRIDING_SYSTEM_VALUE) out.overriding = ParsedInsert::Overriding::kSystem;
  out.on_conflict = OnConflict(node->onConflictClause);
  out.returning = Targets(node->returningList);
  return out;
}

ParsedNode PostgresTree::Update(const ::UpdateStmt* node) {
  ParsedUpdate out;
  out.ctes = With(node->withClause);
  out.table = TableName(node->relation);
  out.alias = AliasOf(node->relation->alias).name;
  out.set = Assignments(node->targetList);
  out.from = From(node->fromClause);
  out.where = Expression(node->whereClause);
  out.returning = Targets(node->returningList);
  return out;
}

ParsedNode PostgresTree::Delete(const ::DeleteStmt* node) {
  ParsedDelete out;
  out.ctes = With(node->withClause);
  out.table = TableName(node->relation);
  out.alias = AliasOf(node->relation->alias).name;
  out.from = From(node->usingClause);
  out.where = Expression(node->whereClause);
  out.returning = Targets(node->returningList);
  return out;
}

}  // namespace orrery::sql
