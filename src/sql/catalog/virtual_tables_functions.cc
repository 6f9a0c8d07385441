// pg_proc, pg_operator, pg_cast, pg_aggregate: rows from the function catalogue, so they list what this server has.
#include "orrery/sql/types/array.h"
#include "sql/catalog/virtual_tables.h"

namespace orrery::sql {

namespace {

constexpr Oid kInternalLanguage = 12;
constexpr int64_t kPgCatalog = 11;

Datum OidVector(std::span<const Oid> oids) {
  return MakeVector(oid::kOid, std::vector<int64_t>(oids.begin(), oids.end()));
}

char VolatilityLetter(Volatility volatility) {
  switch (volatility) {
    case Volatility::kImmutable: return 'i';
    case Volatility::kStable: return 's';
    case Volatility::kVolatile: break;
  }
  return 'v';
}

void Proc(const CatalogView& view, std::vector<Row>& rows) {
  const auto no = Datum::Bool(false);
  const auto zero = Datum::Int(0);
  for (const Function* f : view.functions.functions()) {
    const bool aggregate = f->kind == FunctionKind::kAggregate;
    Row& row = rows.emplace_back(Row{
        Datum::Int(f->oid), Text(f->name), Datum::Int(kPgCatalog), Datum::Int(kRoleOid), Datum::Int(kInternalLanguage),
        Datum::Float(1), Datum::Float(0), Datum::Int(f->variadic_any ? oid::kAny : 0), zero,
        Char(aggregate ? 'a' : 'f'), no, no, Datum::Bool(f->strict), no, Char(VolatilityLetter(f->volatility)),
        Char('s'), Datum::Int(int64_t(f->arguments.size())), Datum::Int(f->defaults), Datum::Int(f->result),
        OidVector(f->arguments)});
    row.resize(30);
    row[25] = Text(aggregate ? "aggregate_dummy" : f->name);  // prosrc
  }
}

void Aggregates(const CatalogView& view, std::vector<Row>& rows) {
  const auto no = Datum::Bool(false);
  const auto zero = Datum::Int(0);
  for (const Function* f : view.functions.functions()) {
    if (f->kind != FunctionKind::kAggregate) continue;
    rows.push_back({Datum::Int(f->oid), Char('n'), zero, zero, zero, zero, zero, zero, zero, zero, zero, no, no,
                    Char('r'), Char('r'), zero, Datum::Int(f->result), zero, zero, zero, Datum(), Datum()});
  }
}

void Operators(const CatalogView& view, std::vector<Row>& rows) {
  for (const Operator* op : view.functions.operators()) {
    rows.push_back({Datum::Int(op->oid), Text(op->name), Datum::Int(kPgCatalog), Datum::Int(kRoleOid),
                    Char(op->left == 0 ? 'l' : 'b'), Datum::Bool(op->merges), Datum::Bool(op->hashes),
                    Datum::Int(op->left), Datum::Int(op->right), Datum::Int(op->result), Datum::Int(op->commutator),
                    Datum::Int(op->negator), Datum::Int(op->function->oid), Datum::Int(0), Datum::Int(0)});
  }
}

void Casts(const CatalogView& view, std::vector<Row>& rows) {
  int64_t oid = 10000;  // initdb numbers them too
  for (const FunctionCatalog::CastRow& cast : view.functions.casts()) {
    rows.push_back({Datum::Int(oid++), Datum::Int(cast.source), Datum::Int(cast.target), Datum::Int(cast.function),
                    Char(cast.context), Char(cast.method)});
  }
}

constexpr auto kNoTables = RowMaker::Reads::kNoTables;
constexpr RowMaker kMakers[] = {
    {"pg_catalog.pg_proc", kNoTables, &Proc},
    {"pg_catalog.pg_aggregate", kNoTables, &Aggregates},
    {"pg_catalog.pg_operator", kNoTables, &Operators},
    {"pg_catalog.pg_cast", kNoTables, &Casts},
};

}  // namespace

std::span<const RowMaker> FunctionRowMakers() { return kMakers; }

}  // namespace orrery::sql
