#include "sql/optimizer/keys.h"

#include <algorithm>
#include <map>

#include "orrery/sql/types/array.h"
#include "sql/optimizer/columns.h"

namespace orrery::sql::optimizer {
namespace {

// More keys than this are a scan's work.
constexpr size_t kLookupKeysMax = 1000;

bool IsText(Oid type) { return type == oid::kText || type == oid::kVarchar; }

int IntegerWidth(Oid type) {
  if (type == oid::kInt2) return 2;
  if (type == oid::kInt4) return 4;
  return type == oid::kInt8 ? 8 : 0;
}

// Whether keys order values of both types alike. Integers of all widths are the same in keys, also beyond the column's.
bool OrderedAsKeys(Oid a, Oid b) {
  return a == b || (IsText(a) && IsText(b)) || (IntegerWidth(a) != 0 && IntegerWidth(b) != 0);
}

struct Comparison {
  ColumnId column = 0;
  std::string_view op;  // "=", "<", "<=", ">", ">=", as seen from the column
  ExprPtr value;
};

std::string_view Mirrored(std::string_view op) {
  if (op == "<") return ">";
  if (op == "<=") return ">=";
  if (op == ">") return "<";
  if (op == ">=") return "<=";
  return op;
}

// `expr` as a comparison of one of `columns` with something that reads none of them.
std::optional<Comparison> AsComparison(const ExprPtr& expr, const ColumnSet& columns) {
  if (expr->kind != Expr::Kind::kFunction || !expr->op || expr->args.size() != 2) return std::nullopt;
  const std::string_view op = expr->op->name;
  if (op != "=" && op != "<" && op != "<=" && op != ">" && op != ">=") return std::nullopt;
  for (const bool swapped : {false, true}) {
    const Expr* column = PlainColumn(expr->args[swapped ? 1 : 0]);
    const ExprPtr& value = expr->args[swapped ? 0 : 1];
    if (!column || !columns.contains(column->column)) continue;
    if (HasSubquery(*value) || Intersects(Reads(value), columns)) continue;
    if (VolatilityOf(*value) == Volatility::kVolatile) continue;
    return Comparison{column->column, swapped ? Mirrored(op) : op, value};
  }
  return std::nullopt;
}

// col IN (v, …) with values that can be keys.
bool AsKeyList(const ExprPtr& expr, ColumnId column, Oid type, std::vector<ExprPtr>& values) {
  if (expr->kind != Expr::Kind::kIn || expr->negated) return false;
  const Expr* subject = PlainColumn(expr->args[0]);
  if (!subject || subject->column != column) return false;
  for (size_t i = 1; i < expr->args.size(); ++i) {
    if (!Reads(expr->args[i]).empty() || HasSubquery(*expr->args[i])) return false;
    ExprPtr value = KeyValueFor(type, expr->args[i]);
    if (!value) return false;
    values.push_back(std::move(value));
  }
  return true;
}

class Matcher {
 public:
  Matcher(const Relation& scan, const std::vector<ExprPtr>& conjuncts)
      : scan_(scan), columns_(Outputs(scan)), conjuncts_(conjuncts), used_(conjuncts.size(), false) {}

  KeyMatch Run() {
    KeyMatch match;
    std::vector<std::vector<ExprPtr>> alternatives;  // one list of values a key column
    size_t combinations = 1;
    for (const auto& part : scan_.table->key) {
      const ColumnId column = ColumnOf(part.ordinal);
      std::vector<ExprPtr> values;
      if (column == 0 || !FindValues(column, part.type, combinations, values)) {
        if (column != 0 && combinations == 1) FindRange(column, part.type, match.bounds);
        break;
      }
      combinations *= values.size();
      alternatives.push_back(std::move(values));
    }
    match.full_key = alternatives.size() == scan_.table->key.size() && !alternatives.empty();
    if (match.full_key) {
      match.keys = Product(alternatives);
    } else {
      KeepSingleValues(alternatives, match);
    }
    for (size_t i = 0; i < conjuncts_.size(); ++i) {
      if (!used_[i]) match.rest.push_back(conjuncts_[i]);
    }
    return match;
  }

 private:
  ColumnId ColumnOf(uint32_t ordinal) const {
    for (size_t i = 0; i < scan_.ordinals.size(); ++i) {
      if (scan_.ordinals[i] == ordinal) return scan_.columns[i].id;
    }
    return 0;
  }

  bool FindValues(ColumnId column, Oid type, size_t combinations, std::vector<ExprPtr>& values) {
    for (size_t i = 0; i < conjuncts_.size(); ++i) {
      if (used_[i]) continue;
      const auto comparison = AsComparison(conjuncts_[i], columns_);
      if (!comparison || comparison->column != column || comparison->op != "=") continue;
      ExprPtr value = KeyValueFor(type, comparison->value);
      if (!value) continue;
      values = {std::move(value)};
      Use(i, column);
      return true;
    }
    for (size_t i = 0; i < conjuncts_.size(); ++i) {
      std::vector<ExprPtr> list;
      if (used_[i] || !AsKeyList(conjuncts_[i], column, type, list)) continue;
      if (list.size() * combinations > kLookupKeysMax) continue;
      values = std::move(list);
      Use(i, column);
      return true;
    }
    return false;
  }

  void FindRange(ColumnId column, Oid type, KeyBounds& bounds) {
    for (size_t i = 0; i < conjuncts_.size(); ++i) {
      if (used_[i]) continue;
      const auto comparison = AsComparison(conjuncts_[i], columns_);
      if (!comparison || comparison->column != column || comparison->op == "=") continue;
      if (!OrderedAsKeys(comparison->value->type.oid, type)) continue;
      const bool lower = comparison->op[0] == '>';
      if (lower ? bounds.lower != nullptr : bounds.upper != nullptr) continue;
      (lower ? bounds.lower : bounds.upper) = comparison->value;
      (lower ? bounds.lower_inclusive : bounds.upper_inclusive) = comparison->op.size() == 2;
      Use(i, column);
    }
  }

  // Without the full key only a prefix of single values helps; conjuncts of lists after it count as filters.
  void KeepSingleValues(const std::vector<std::vector<ExprPtr>>& alternatives, KeyMatch& match) {
    size_t prefix = 0;
    while (prefix < alternatives.size() && alternatives[prefix].size() == 1) ++prefix;
    for (size_t i = 0; i < prefix; ++i) match.bounds.equal.push_back(alternatives[i][0]);
    if (prefix == alternatives.size()) return;
    match.bounds.lower = match.bounds.upper = nullptr;
    for (size_t i = 0; i < conjuncts_.size(); ++i) {
      const auto it = used_for_.find(i);
      if (it == used_for_.end()) continue;
      const int key_position = scan_.table->KeyPosition(OrdinalOf(it->second));
      if (key_position >= int(prefix)) used_[i] = false;
    }
  }

  uint32_t OrdinalOf(ColumnId column) const {
    for (size_t i = 0; i < scan_.columns.size(); ++i) {
      if (scan_.columns[i].id == column) return scan_.ordinals[i];
    }
    return 0;
  }

  void Use(size_t conjunct, ColumnId column) {
    used_[conjunct] = true;
    used_for_[conjunct] = column;
  }

  static std::vector<std::vector<ExprPtr>> Product(const std::vector<std::vector<ExprPtr>>& alternatives) {
    std::vector<std::vector<ExprPtr>> keys = {{}};
    for (const auto& values : alternatives) {
      std::vector<std::vector<ExprPtr>> longer;
      for (const auto& key : keys) {
        for (const auto& value : values) {
          longer.push_back(key);
          longer.back().push_back(value);
        }
      }
      keys = std::move(longer);
    }
    return keys;
  }

  const Relation& scan_;
  const ColumnSet columns_;
  const std::vector<ExprPtr>& conjuncts_;
  std::vector<bool> used_;
  std::map<size_t, ColumnId> used_for_;
};

}  // namespace

const Expr* PlainColumn(const ExprPtr& expr) {
  const Expr* e = expr.get();
  while (e->kind == Expr::Kind::kCast && e->cast && e->cast->method == CastPath::Method::kRelabel &&
         IsText(e->type.oid) && IsText(e->args[0]->type.oid) && e->type.typmod < 0) {
    e = e->args[0].get();
  }
  return e->kind == Expr::Kind::kColumn ? e : nullptr;
}

ExprPtr KeyValueFor(Oid column, const ExprPtr& value) {
  const Oid type = value->type.oid;
  if (type == column || (IsText(column) && IsText(type))) return value;
  const int want = IntegerWidth(column);
  const int have = IntegerWidth(type);
  if (want == 0 || have == 0) return nullptr;
  // A wider integer that does not fit equals no value of the column: kNarrow gives NULL, which finds nothing.
  // A narrower one is the same number; Datums of all integer types hold 64 bits.
  auto narrowed = std::make_shared<Expr>();
  narrowed->kind = Expr::Kind::kNarrow;
  narrowed->type = {column, -1};
  narrowed->args = {value};
  narrowed->position = value->position;
  return narrowed;
}

KeyMatch MatchKey(const Relation& scan, const std::vector<ExprPtr>& conjuncts) {
  if (scan.table->virtual_table) return {.rest = conjuncts};
  return Matcher(scan, conjuncts).Run();
}

ExprPtr TakeKeyArray(const Relation& scan, std::vector<ExprPtr>& rest) {
  if (scan.table->key.size() != 1) return nullptr;
  const Table::KeyPart& part = scan.table->key[0];
  for (size_t i = 0; i < rest.size(); ++i) {
    const Expr& e = *rest[i];
    if (e.kind != Expr::Kind::kAnyArray || e.negated || e.op->name != "=") continue;
    const Expr* subject = PlainColumn(e.args[0]);
    if (!subject || ElementTypeOf(e.args[1]->type.oid) != part.type) continue;
    const auto ordinal = std::find(scan.ordinals.begin(), scan.ordinals.end(), part.ordinal);
    if (ordinal == scan.ordinals.end() || scan.columns[size_t(ordinal - scan.ordinals.begin())].id != subject->column) continue;
    if (Intersects(Reads(e.args[1]), Outputs(scan)) || HasSubquery(*e.args[1])) continue;
    if (VolatilityOf(*e.args[1]) == Volatility::kVolatile) continue;
    ExprPtr array = e.args[1];
    rest.erase(rest.begin() + ptrdiff_t(i));
    return array;
  }
  return nullptr;
}

}  // namespace orrery::sql::optimizer
