#include "orrery/sql/catalog/catalog_functions.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "orrery/sql/parser/parser.h"
#include "sql/catalog/definitions.h"
#include "sql/catalog/object_oids.h"

namespace orrery::sql {

namespace {

class CatalogInfoImpl final : public CatalogInfo {
 public:
  CatalogInfoImpl(const runtime::Context& context, CatalogReader& catalog, const FunctionCatalog& functions)
      : context_(context), catalog_(catalog), functions_(functions) {}

  Text IndexDefinition(Oid index, Style style) override {
    ASSIGN_OR_RETURN(const Relation* const relation, Find(index));
    if (relation == nullptr || !relation->is_index) return std::optional<std::string>();
    const bool plain = style == Style::kPretty && relation->visible;
    return std::optional(sql::IndexDefinition(*relation->table, plain ? TableNaming::kPlain : TableNaming::kQualified));
  }

  Text IndexColumn(Oid index, int64_t position) override {
    ASSIGN_OR_RETURN(const Relation* const relation, Find(index));
    if (relation == nullptr || !relation->is_index) return std::optional<std::string>();
    return std::optional(sql::IndexColumn(*relation->table, size_t(position)));
  }

  Text ConstraintDefinition(Oid constraint, Style style) override {
    RETURN_IF_ERROR(Load());
    if (const auto key = relations_.find(constraint); key != relations_.end() && key->second.is_index)
      return std::optional(PrimaryKeyDefinition(*key->second.table));
    const auto check = checks_.find(constraint);
    if (check == checks_.end()) return std::optional<std::string>();
    return std::optional(
        CheckDefinition(*check->second, style == Style::kPretty ? Parentheses::kPretty : Parentheses::kAll));
  }

  Text RelationName(Oid oid) override {
    ASSIGN_OR_RETURN(const Relation* const relation, Find(oid));
    if (relation == nullptr) return std::optional<std::string>();
    const Table& table = *relation->table;
    const std::string name = QuoteIdentifier(relation->is_index ? table.descriptor.primary_key_name : table.name());
    return std::optional(relation->visible ? name : QuoteIdentifier(table.schema_name) + "." + name);
  }

  StatusOr<std::optional<bool>> IsVisible(Oid oid) override {
    ASSIGN_OR_RETURN(const Relation* const relation, Find(oid));
    return relation ? std::optional(relation->visible) : std::nullopt;
  }

  Text FunctionArguments(Oid oid) override {
    const Function* const function = functions_.FindFunction(oid);
    if (function == nullptr) return std::optional<std::string>();
    std::string list;
    for (size_t i = 0; i < function->arguments.size(); ++i) {
      if (i > 0) list += ", ";
      if (function->variadic_any && i + 1 == function->arguments.size()) list += "VARIADIC ";
      list += TypeName(function->arguments[i]);
    }
    return std::optional(function->arguments.empty() && function->kind == FunctionKind::kAggregate ? "*" : list);
  }

  Text FunctionResult(Oid oid) override {
    const Function* const function = functions_.FindFunction(oid);
    if (function == nullptr) return std::optional<std::string>();
    return std::optional(std::string(TypeName(function->result)));
  }

 private:
  struct Relation {
    TablePtr table;
    bool is_index = false;
    bool visible = false;  // no schema before it on the search path has a relation of that name
  };

  StatusOr<const Relation*> Find(Oid oid) {
    RETURN_IF_ERROR(Load());
    const auto it = relations_.find(oid);
    return it == relations_.end() ? nullptr : &it->second;
  }

  Status Load() {
    if (loaded_) return OkStatus();
    ASSIGN_OR_RETURN(tables_, catalog_.ListTables(context_));
    HashedOids check_oids;
    for (const TablePtr& table : tables_) {
      Add(TableOid(*table), {table, false});
      if (table->has_primary_key()) Add(PrimaryKeyOid(*table), {table, true});
      for (const CheckDescriptor& check : table->descriptor.checks)
        checks_.emplace(check_oids.Next(*table, check.name), &check);
    }
    for (const TablePtr& table : catalog_.VirtualTables()) Add(TableOid(*table), {table, false});
    FindVisible();
    loaded_ = true;
    return OkStatus();
  }

  void Add(Oid oid, Relation relation) { relations_.emplace(oid, std::move(relation)); }

  // Along the search path from its end: the first schema that has a name keeps it.
  void FindVisible() {
    const std::vector<std::string> path = catalog_.SearchPath();
    const auto rank = [&](const Relation& relation) {
      return std::find(path.begin(), path.end(), relation.table->schema_name) - path.begin();
    };
    absl::flat_hash_map<std::string, Relation*> first;
    for (auto& [oid, relation] : relations_) {
      if (rank(relation) == std::ptrdiff_t(path.size())) continue;
      Relation*& winner =
          first[relation.is_index ? relation.table->descriptor.primary_key_name : relation.table->name()];
      if (winner == nullptr || rank(relation) < rank(*winner)) winner = &relation;
    }
    for (auto& [name, relation] : first) relation->visible = true;
  }

  const runtime::Context& context_;
  CatalogReader& catalog_;
  const FunctionCatalog& functions_;
  bool loaded_ = false;
  std::vector<TablePtr> tables_;
  absl::flat_hash_map<Oid, Relation> relations_;                 // complete once loaded: pointers stay valid
  absl::flat_hash_map<Oid, const CheckDescriptor*> checks_;      // into tables_
};

}  // namespace

std::unique_ptr<CatalogInfo> NewCatalogInfo(const runtime::Context& context, CatalogReader& catalog,
                                            const FunctionCatalog& functions) {
  return std::make_unique<CatalogInfoImpl>(context, catalog, functions);
}

}  // namespace orrery::sql
