#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "orrery/sql/types/functions.h"
#include "sql/types/builtin_tables.h"
#include "sql/types/evaluators.h"

namespace orrery::sql {

struct FunctionCatalog::Rep {
  std::vector<std::unique_ptr<const Function>> function_storage;
  std::vector<std::unique_ptr<const Operator>> operator_storage;
  std::vector<std::unique_ptr<const Aggregate>> aggregates;
  std::vector<const Function*> functions;  // by OID
  std::vector<const Operator*> operators;  // by OID
  std::map<std::string_view, std::vector<const Function*>, std::less<>> by_name;
  std::map<std::string_view, std::vector<const Operator*>, std::less<>> operators_by_name;
  std::set<std::string_view, std::less<>> unsupported;
  std::vector<CastRow> casts;  // by (source, target)
};

namespace {

std::vector<Oid> ParseOids(std::string_view text) {
  std::vector<Oid> oids;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    Oid value = 0;
    at = std::from_chars(at, end, value).ptr + 1;
    oids.push_back(value);
  }
  return oids;
}

Volatility VolatilityOf(char c) {
  return c == 'i' ? Volatility::kImmutable : c == 's' ? Volatility::kStable : Volatility::kVolatile;
}

}  // namespace

FunctionCatalog::FunctionCatalog() : rep_(std::make_unique<Rep>()) {}
FunctionCatalog::~FunctionCatalog() = default;

class FunctionCatalogBuilder {
 public:
  std::shared_ptr<const FunctionCatalog> Build(std::span<const ExtraFunction> extra) {
    RegisterIntegerFunctions(table_);
    RegisterFloatFunctions(table_);
    RegisterNumericFunctions(table_);
    RegisterStringFunctions(table_);
    RegisterStringFormatFunctions(table_);
    RegisterByteaFunctions(table_);
    RegisterPatternFunctions(table_);
    RegisterDateTimeOperators(table_);
    RegisterDateTimeFunctions(table_);
    RegisterFormattingFunctions(table_);
    RegisterRegexpFunctions(table_);
    RegisterDegreeFunctions(table_);
    RegisterSizeFunctions(table_);
    RegisterDateTimeOverlaps(table_);
    RegisterSessionFunctions(table_);
    RegisterCatalogFunctions(table_);
    RegisterArrayFunctions(table_);
    for (const ExtraFunction& e : extra) {
      ORRERY_ASSERT(e.evaluate != nullptr && IsBuiltinSymbol(e.symbol),
                    "ExtraFunction: evaluates a function of pg_proc");
      e.needs_argument_types ? table_.AddTyped(e.symbol, e.evaluate)
                             : table_.Add(e.symbol, e.evaluate);
    }
    for (const FunctionRow& row : BuiltinFunctions1()) AddFunction(row);
    for (const FunctionRow& row : BuiltinFunctions2()) AddFunction(row);
    for (const FunctionRow& row : BuiltinFunctions3()) AddFunction(row);
    for (const FunctionRow& row : CatalogFunctionRows()) AddFunction(row);
    std::ranges::sort(rep().functions, {}, &Function::oid);
    for (const Function* f : rep().functions) {
      rep().by_name[f->name].push_back(f);
      rep().unsupported.erase(f->name);
    }
    AddArrayAggregates();
    for (const OperatorRow& row : BuiltinOperators()) AddOperator(row);
    for (const CastRowData& row : BuiltinCasts()) {
      if (row.method == 'f' && catalog_->FindFunction(row.function) == nullptr) continue;
      rep().casts.push_back({row.source, row.target, row.function, row.context, row.method});
    }
    return std::move(catalog_);
  }

 private:
  FunctionCatalog::Rep& rep() { return *catalog_->rep_; }

  static bool IsBuiltinSymbol(std::string_view symbol) {
    const auto has = [&](const FunctionRow& row) { return row.symbol == symbol; };
    return std::ranges::any_of(BuiltinFunctions1(), has) ||
           std::ranges::any_of(BuiltinFunctions2(), has) ||
           std::ranges::any_of(BuiltinFunctions3(), has);
  }

  void AddFunction(const FunctionRow& row) {
    auto f = std::make_unique<Function>();
    f->oid = row.oid;
    f->name = row.name;
    f->arguments = ParseOids(row.arguments);
    f->result = row.result;
    f->volatility = VolatilityOf(row.volatility);
    f->strict = row.strict;
    f->variadic_any = row.variadic;
    f->defaults = row.defaults;
    if (row.kind == 'a') {
      f->kind = FunctionKind::kAggregate;
      f->aggregate = MakeAggregate(row.name, f->arguments, rep().aggregates);
    } else if (const EvaluatorTable::Entry* entry = table_.Find(row.symbol)) {
      f->evaluate = entry->evaluate;
      f->needs_argument_types = entry->needs_argument_types;
    }
    if (f->evaluate == nullptr && f->aggregate == nullptr) {
      rep().unsupported.insert(row.name);
      return;
    }
    rep().functions.push_back(f.get());
    rep().function_storage.push_back(std::move(f));
  }

  // array_agg keeps values, so each type of them has its own: overloads in the place of pg_proc's polymorphic row.
  void AddArrayAggregates() {
    constexpr Oid kArrayAgg = 2335;
    for (const TypeInfo& type : AllTypes()) {
      if (type.array_oid == oid::kInvalid || type.kind == 'p' || FindType(type.array_oid) == nullptr) continue;
      auto f = std::make_unique<Function>();
      f->oid = kArrayAgg;
      f->name = "array_agg";
      f->arguments = {type.oid};
      f->result = type.array_oid;
      f->kind = FunctionKind::kAggregate;
      f->strict = false;
      f->aggregate = MakeArrayAggregate(type.oid, rep().aggregates);
      rep().by_name[f->name].push_back(f.get());
      rep().function_storage.push_back(std::move(f));
    }
    rep().unsupported.erase("array_agg");
  }

  void AddOperator(const OperatorRow& row) {
    const Function* const function = catalog_->FindFunction(row.function);
    if (function == nullptr) return;
    auto op = std::make_unique<Operator>();
    *op = {row.oid,  row.name,       row.left,    row.right,  row.result,
           function, row.commutator, row.negator, row.hashes, row.merges};
    rep().operators.push_back(op.get());
    rep().operators_by_name[row.name].push_back(op.get());
    rep().operator_storage.push_back(std::move(op));
  }

  std::shared_ptr<FunctionCatalog> catalog_{new FunctionCatalog};
  EvaluatorTable table_;
};

std::shared_ptr<const FunctionCatalog> BuildFunctionCatalog(std::span<const ExtraFunction> extra) {
  return FunctionCatalogBuilder().Build(extra);
}

const Function* FunctionCatalog::FindFunction(Oid oid) const {
  const auto it = std::ranges::lower_bound(rep_->functions, oid, {}, &Function::oid);
  return it != rep_->functions.end() && (*it)->oid == oid ? *it : nullptr;
}

const Operator* FunctionCatalog::FindOperator(Oid oid) const {
  const auto it = std::ranges::lower_bound(rep_->operators, oid, {}, &Operator::oid);
  return it != rep_->operators.end() && (*it)->oid == oid ? *it : nullptr;
}

std::span<const Function* const> FunctionCatalog::Overloads(std::string_view name) const {
  const auto it = rep_->by_name.find(name);
  if (it == rep_->by_name.end()) return {};
  return it->second;
}

std::span<const Operator* const> FunctionCatalog::OperatorOverloads(std::string_view name) const {
  const auto it = rep_->operators_by_name.find(name);
  if (it == rep_->operators_by_name.end()) return {};
  return it->second;
}

const Operator* FunctionCatalog::ExactOperator(std::string_view name, Oid left, Oid right) const {
  for (const Operator* op : OperatorOverloads(name)) {
    if (op->left == left && op->right == right) return op;
  }
  return nullptr;
}

std::span<const Function* const> FunctionCatalog::functions() const { return rep_->functions; }
std::span<const Operator* const> FunctionCatalog::operators() const { return rep_->operators; }
std::span<const FunctionCatalog::CastRow> FunctionCatalog::casts() const { return rep_->casts; }

const FunctionCatalog::CastRow* FunctionCatalog::FindCastRow(Oid source, Oid target) const {
  const auto key = [](const CastRow& row) { return std::pair(row.source, row.target); };
  const auto it = std::ranges::lower_bound(rep_->casts, std::pair(source, target), {}, key);
  return it != rep_->casts.end() && key(*it) == std::pair(source, target) ? &*it : nullptr;
}

bool FunctionCatalog::IsKnownButUnsupported(std::string_view name) const {
  return rep_->unsupported.contains(name);
}

}  // namespace orrery::sql
