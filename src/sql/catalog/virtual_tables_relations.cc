// pg_class, pg_attribute and what hangs on them: rows from the table descriptors.
#include "orrery/sql/types/array.h"
#include "orrery/sql/types/text_io.h"
#include "sql/catalog/definitions.h"
#include "sql/catalog/object_oids.h"
#include "sql/catalog/virtual_tables.h"

namespace orrery::sql {

namespace {

constexpr Oid kClassOid = 1259;  // pg_class itself
constexpr Oid kConstraintCatalogOid = 2606;
constexpr Oid kAttrdefCatalogOid = 2604;

template <class T>
Datum Vector(Oid element, const std::vector<T>& values) {
  return MakeVector(element, std::vector<int64_t>(values.begin(), values.end()));
}
Datum Int2Array(const std::vector<uint32_t>& values) {
  std::vector<Datum> elements;
  for (const uint32_t value : values) elements.push_back(Datum::Int(value));
  return Array::OfList(oid::kInt2, std::move(elements)).Pack();
}

template <class Visit>
void ForAllTables(const CatalogView& view, const Visit& visit) {
  for (const TablePtr& table : view.virtual_tables) visit(*table);
  for (const TablePtr& table : view.tables) visit(*table);
}

int64_t VisibleColumns(const Table& table) {
  int64_t count = 0;
  for (const ColumnDescriptor& column : table.columns()) count += column.hidden ? 0 : 1;
  return count;
}

Datum OptionsText(const TableDescriptor& descriptor) {
  if (descriptor.options.empty()) return Datum();
  std::vector<Datum> options;
  for (const std::string& option : descriptor.options) options.push_back(Datum::Bytes(option));
  return Array::OfList(oid::kText, std::move(options)).Pack();
}

struct ClassRow {
  Oid oid;
  std::string_view name;
  const Table& table;
  char kind;
  int64_t columns;
};

Row MakeClassRow(const ClassRow& c) {
  const TableDescriptor& d = c.table.descriptor;
  const bool index = c.kind == 'i';
  const bool view = c.kind == 'v';
  const auto no = Datum::Bool(false);
  const auto zero = Datum::Int(0);
  const Datum storage = view ? zero : Datum::Int(c.oid);
  const Oid method = index ? kBtreeOid : view ? 0 : kHeapOid;
  return {Datum::Int(c.oid), Text(c.name), Datum::Int(int64_t(d.schema.value())), zero, zero, Datum::Int(kRoleOid),
          Datum::Int(method), storage, zero, zero, Datum::Float(index ? 0 : -1), zero, zero,
          Datum::Bool(!index && c.table.has_primary_key()), no, Char('p'), Char(c.kind), Datum::Int(c.columns),
          Datum::Int(index ? 0 : int64_t(d.checks.size())), Datum::Bool(view), no, no, no, no, Datum::Bool(true),
          Char(index || c.table.virtual_table ? 'n' : 'd'), no, zero, zero, zero, Datum(),
          index ? Datum() : OptionsText(d), Datum()};
}

void Class(const CatalogView& view, std::vector<Row>& rows) {
  ForAllTables(view, [&](const Table& table) {
    rows.push_back(MakeClassRow({TableOid(table), table.name(), table, RelationKind(table), VisibleColumns(table)}));
    if (!table.has_primary_key()) return;
    rows.push_back(MakeClassRow({PrimaryKeyOid(table), table.descriptor.primary_key_name, table, 'i',
                                 int64_t(table.descriptor.primary_key.size())}));
  });
}

// pg_type.typstorage of the types columns can have.
char StorageOf(const TypeInfo& type) {
  if (type.oid == oid::kNumeric) return 'm';
  return type.length == -1 ? 'x' : 'p';
}

Row MakeAttributeRow(Oid relation, std::string_view name, Type type, int64_t number) {
  const TypeInfo* const info = FindType(type.oid);
  const auto no = Datum::Bool(false);
  const auto zero = Datum::Int(0);
  const Oid collation = info == nullptr || !info->has_collation ? 0 : type.oid == oid::kName ? 950 : 100;
  return {Datum::Int(relation), Text(name), Datum::Int(type.oid), Datum::Int(number < 0 ? 0 : -1),
          Datum::Int(info ? info->length : -1), Datum::Int(number), zero, Datum::Int(-1), Datum::Int(type.typmod),
          Datum::Bool(info && info->by_value), Char(info ? info->alignment : 'i'), Char(info ? StorageOf(*info) : 'p'),
          NoChar(), no, no, no, NoChar(), NoChar(), no, Datum::Bool(true), zero, Datum::Int(collation), Datum(),
          Datum(), Datum(), Datum()};
}
constexpr size_t kAttNotNull = 13;
constexpr size_t kAttHasDef = 14;
constexpr size_t kAttHasMissing = 15;

void Attribute(const CatalogView& view, std::vector<Row>& rows) {
  ForAllTables(view, [&](const Table& table) {
    for (const ColumnDescriptor& column : table.columns()) {
      if (column.hidden) continue;
      Row& row = rows.emplace_back(MakeAttributeRow(TableOid(table), column.name, column.full_type(), column.id));
      row[kAttNotNull] = Datum::Bool(column.not_null);
      row[kAttHasDef] = Datum::Bool(column.default_sql.has_value());
      row[kAttHasMissing] = Datum::Bool(column.missing.has_value());
    }
    if (!table.has_primary_key()) return;
    int64_t number = 0;
    for (const Table::KeyPart& part : table.key) {
      const ColumnDescriptor& column = table.columns()[part.ordinal];
      rows.push_back(MakeAttributeRow(PrimaryKeyOid(table), column.name, column.full_type(), ++number));
    }
  });
}

// Calls visit(table, column, oid of the default).
template <class Visit>
void ForAllDefaults(const CatalogView& view, const Visit& visit) {
  HashedOids oids;
  for (const TablePtr& table : view.tables) {
    for (const ColumnDescriptor& column : table->columns()) {
      if (column.default_sql && !column.hidden) visit(*table, column, oids.Next(*table, std::to_string(column.id)));
    }
  }
}

void Attrdef(const CatalogView& view, std::vector<Row>& rows) {
  ForAllDefaults(view, [&](const Table& table, const ColumnDescriptor& column, Oid oid) {
    rows.push_back({Datum::Int(oid), Datum::Int(TableOid(table)), Datum::Int(column.id), Text(*column.default_sql)});
  });
}

// The btree operator class (pg_opclass.oid) that PostgreSQL uses by default for a type.
Oid OperatorClassOf(Oid type) {
  switch (type) {
    case oid::kInt2: return 1979;
    case oid::kInt4: return 1978;
    case oid::kInt8: return 3124;
    case oid::kOid: return 1981;
    case oid::kText:
    case oid::kVarchar: return 3126;
    case oid::kDate: return 3122;
    case oid::kNumeric: return 3125;
    case oid::kFloat8: return 3123;
    case oid::kTimestamptz: return 3127;
    case oid::kTimestamp: return 3128;
    case oid::kBool: return 10003;
    case oid::kBpchar: return 10004;
    case oid::kBytea: return 10006;
    case oid::kChar: return 10007;
    case oid::kFloat4: return 10012;
    case oid::kInterval: return 10022;
    case oid::kName: return 10028;
    case oid::kTime: return 10038;
    case oid::kUuid: return 10065;
    default: return 0;
  }
}

void Index(const CatalogView& view, std::vector<Row>& rows) {
  for (const TablePtr& table : view.tables) {
    if (!table->has_primary_key()) continue;
    const std::vector<uint32_t> columns = PrimaryKeyColumns(*table);
    std::vector<Oid> collations, classes, options;
    for (const Table::KeyPart& part : table->key) {
      const TypeInfo* const type = FindType(part.type);
      collations.push_back(type && type->has_collation ? 100 : 0);
      classes.push_back(OperatorClassOf(part.type));
      options.push_back(part.direction == ordered::Direction::kDescending ? 3 : 0);
    }
    const auto yes = Datum::Bool(true);
    const auto no = Datum::Bool(false);
    const auto count = Datum::Int(int64_t(columns.size()));
    rows.push_back({Datum::Int(PrimaryKeyOid(*table)), Datum::Int(TableOid(*table)), count, count, yes, no, yes, no,
                    yes, no, yes, no, yes, yes, no, Vector(oid::kInt2, columns), Vector(oid::kOid, collations),
                    Vector(oid::kOid, classes), Vector(oid::kInt2, options), Datum(), Datum()});
  }
}

Row MakeConstraintRow(Oid oid, std::string_view name, const Table& table, char kind) {
  const auto no = Datum::Bool(false);
  const auto zero = Datum::Int(0);
  const bool primary = kind == 'p';
  return {Datum::Int(oid), Text(name), Datum::Int(int64_t(table.descriptor.schema.value())), Char(kind), no, no,
          Datum::Bool(true), Datum::Int(TableOid(table)), zero, Datum::Int(primary ? PrimaryKeyOid(table) : 0), zero,
          zero, Char(' '), Char(' '), Char(' '), Datum::Bool(true), zero, Datum::Bool(primary), Datum(), Datum(),
          Datum(), Datum(), Datum(), Datum(), Datum(), Datum()};
}
constexpr size_t kConKey = 18;
constexpr size_t kConBin = 25;

void Constraint(const CatalogView& view, std::vector<Row>& rows) {
  HashedOids oids;
  for (const TablePtr& table : view.tables) {
    if (table->has_primary_key()) {
      Row& row = rows.emplace_back(
          MakeConstraintRow(PrimaryKeyOid(*table), table->descriptor.primary_key_name, *table, 'p'));
      row[kConKey] = Int2Array(PrimaryKeyColumns(*table));
    }
    for (const CheckDescriptor& check : table->descriptor.checks) {
      Row& row = rows.emplace_back(MakeConstraintRow(oids.Next(*table, check.name), check.name, *table, 'c'));
      row[kConKey] = Int2Array(CheckColumns(*table, check));
      row[kConBin] = Text(check.sql);
    }
  }
}

// The index depends on its constraint, the constraint and each default on columns: what DROP follows.
void Depend(const CatalogView& view, std::vector<Row>& rows) {
  const auto add = [&](Oid class_id, Oid object, Oid on_class, Oid on, int64_t on_column, char kind) {
    rows.push_back({Datum::Int(class_id), Datum::Int(object), Datum::Int(0), Datum::Int(on_class), Datum::Int(on),
                    Datum::Int(on_column), Char(kind)});
  };
  for (const TablePtr& table : view.tables) {
    if (!table->has_primary_key()) continue;
    for (const uint32_t column : PrimaryKeyColumns(*table))
      add(kConstraintCatalogOid, PrimaryKeyOid(*table), kClassOid, TableOid(*table), column, 'a');
    add(kClassOid, PrimaryKeyOid(*table), kConstraintCatalogOid, PrimaryKeyOid(*table), 0, 'i');
  }
  ForAllDefaults(view, [&](const Table& table, const ColumnDescriptor& column, Oid oid) {
    add(kAttrdefCatalogOid, oid, kClassOid, TableOid(table), column.id, 'a');
  });
}

void Tables(const CatalogView& view, std::vector<Row>& rows) {
  ForAllTables(view, [&](const Table& table) {
    if (RelationKind(table) != 'r') return;
    const auto no = Datum::Bool(false);
    rows.push_back({Text(table.schema_name), Text(table.name()), Text(kRoleName), Datum(),
                    Datum::Bool(table.has_primary_key()), no, no, no});
  });
}

void Views(const CatalogView& view, std::vector<Row>& rows) {
  for (const TablePtr& table : view.virtual_tables) {
    if (RelationKind(*table) != 'v') continue;
    rows.push_back({Text(table->schema_name), Text(table->name()), Text(kRoleName), Datum()});
  }
}

void Indexes(const CatalogView& view, std::vector<Row>& rows) {
  for (const TablePtr& table : view.tables) {
    if (!table->has_primary_key()) continue;
    rows.push_back({Text(table->schema_name), Text(table->name()), Text(table->descriptor.primary_key_name), Datum(),
                    Text(IndexDefinition(*table, TableNaming::kQualified))});
  }
}

// Statistics views that tools join with pg_class: a row a table, nothing counted.
template <size_t kColumns>
void TableStatistics(const CatalogView& view, std::vector<Row>& rows) {
  for (const TablePtr& table : view.tables) {
    Row& row = rows.emplace_back(kColumns);
    row[0] = Datum::Int(TableOid(*table));
    row[1] = Text(table->schema_name);
    row[2] = Text(table->name());
  }
}

constexpr auto kTables = RowMaker::Reads::kTables;
constexpr RowMaker kMakers[] = {
    {"pg_catalog.pg_class", kTables, &Class},
    {"pg_catalog.pg_attribute", kTables, &Attribute},
    {"pg_catalog.pg_attrdef", kTables, &Attrdef},
    {"pg_catalog.pg_index", kTables, &Index},
    {"pg_catalog.pg_constraint", kTables, &Constraint},
    {"pg_catalog.pg_depend", kTables, &Depend},
    {"pg_catalog.pg_tables", kTables, &Tables},
    {"pg_catalog.pg_views", kTables, &Views},
    {"pg_catalog.pg_indexes", kTables, &Indexes},
    {"pg_catalog.pg_stat_all_tables", kTables, &TableStatistics<23>},
    {"pg_catalog.pg_stat_user_tables", kTables, &TableStatistics<23>},
    {"pg_catalog.pg_statio_all_tables", kTables, &TableStatistics<11>},
    {"pg_catalog.pg_statio_user_tables", kTables, &TableStatistics<11>},
};

}  // namespace

std::span<const RowMaker> RelationRowMakers() { return kMakers; }

}  // namespace orrery::sql
