// information_schema: the SQL standard's view of tables, columns and constraints, as PostgreSQL's
// information_schema.sql defines it.
#include "sql/catalog/definitions.h"
#include "sql/catalog/object_oids.h"
#include "sql/catalog/virtual_tables.h"

namespace orrery::sql {

namespace {

Datum YesNo(bool value) { return Text(value ? "YES" : "NO"); }
Datum Catalog() { return Text(kDatabaseName); }

template <class Visit>
void ForAllTables(const CatalogView& view, const Visit& visit) {
  for (const TablePtr& table : view.virtual_tables) visit(*table);
  for (const TablePtr& table : view.tables) visit(*table);
}

void CatalogName(const CatalogView&, std::vector<Row>& rows) { rows.push_back({Catalog()}); }

void Schemata(const CatalogView&, std::vector<Row>& rows) {
  for (const std::string_view schema : {"pg_catalog", "public", "information_schema"})
    rows.push_back({Catalog(), Text(schema), Text(kRoleName), Datum(), Datum(), Datum(), Datum()});
}

void EnabledRoles(const CatalogView&, std::vector<Row>& rows) { rows.push_back({Text(kRoleName)}); }

void Tables(const CatalogView& view, std::vector<Row>& rows) {
  ForAllTables(view, [&](const Table& table) {
    const bool base = RelationKind(table) == 'r';
    rows.push_back({Catalog(), Text(table.schema_name), Text(table.name()), Text(base ? "BASE TABLE" : "VIEW"),
                    Datum(), Datum(), Datum(), Datum(), Datum(), YesNo(!table.virtual_table), YesNo(false), Datum()});
  });
}

void Views(const CatalogView& view, std::vector<Row>& rows) {
  for (const TablePtr& table : view.virtual_tables) {
    if (RelationKind(*table) != 'v') continue;
    rows.push_back({Catalog(), Text(table->schema_name), Text(table->name()), Datum(), Text("NONE"), YesNo(false),
                    YesNo(false), YesNo(false), YesNo(false), YesNo(false)});
  }
}

// character_maximum_length … datetime_precision of information_schema.columns: what the type's modifier says.
struct Precision {
  Datum characters, octets, digits, radix, scale, datetime;
};

Precision PrecisionOf(Type type) {
  constexpr int64_t kBytesACharacter = 4;  // UTF-8
  Precision p;
  const auto number = [&](int64_t digits, int64_t radix) {
    p.digits = Datum::Int(digits);
    p.radix = Datum::Int(radix);
  };
  switch (type.oid) {
    case oid::kInt2: number(16, 2); break;
    case oid::kInt4: number(32, 2); break;
    case oid::kInt8: number(64, 2); break;
    case oid::kFloat4: number(24, 2); return p;
    case oid::kFloat8: number(53, 2); return p;
    case oid::kNumeric:
      p.radix = Datum::Int(10);
      if (type.typmod < 4) return p;
      number(PrecisionOfTypmod(type.typmod), 10);
      p.scale = Datum::Int(ScaleOfTypmod(type.typmod));
      return p;
    case oid::kDate: p.datetime = Datum::Int(0); return p;
    case oid::kTime:
    case oid::kTimestamp:
    case oid::kTimestamptz: p.datetime = Datum::Int(type.typmod < 0 ? 6 : type.typmod); return p;
    case oid::kInterval: {
      const int32_t digits = type.typmod & 0xffff;
      p.datetime = Datum::Int(digits == 0xffff ? 6 : digits);
      return p;
    }
    case oid::kText: p.octets = Datum::Int(1 << 30); return p;
    case oid::kBpchar:
    case oid::kVarchar: {
      const int32_t length = LengthOfTypmod(type.typmod);
      p.octets = Datum::Int(1 << 30);
      if (length < 0) return p;
      p.characters = Datum::Int(length);
      p.octets = Datum::Int(length * kBytesACharacter);
      return p;
    }
    default: return p;
  }
  p.scale = Datum::Int(0);
  return p;
}

Row ColumnRow(const Table& table, const ColumnDescriptor& column) {
  const Precision p = PrecisionOf(column.full_type());
  const TypeInfo* const type = FindType(column.type);
  const bool name = column.type == oid::kName;
  Row row{Catalog(), Text(table.schema_name), Text(table.name()), Text(column.name), Datum::Int(column.id),
          column.default_sql ? Text(*column.default_sql) : Datum(), YesNo(!column.not_null),
          Text(TypeName(column.type)), p.characters, p.octets, p.digits, p.radix, p.scale, p.datetime};
  row.resize(44);
  if (name) {
    row[19] = Catalog();  // collation_catalog, _schema, _name: shown where it is not the default one
    row[20] = Text("pg_catalog");
    row[21] = Text("C");
  }
  row[25] = Catalog();  // udt_catalog, _schema, _name
  row[26] = Text("pg_catalog");
  row[27] = Text(type ? type->name : "");
  row[32] = Text(std::to_string(column.id));  // dtd_identifier
  row[33] = row[34] = row[40] = YesNo(false);  // is_self_referencing, is_identity, identity_cycle
  row[41] = Text("NEVER");                     // is_generated
  row[43] = YesNo(!table.virtual_table);       // is_updatable
  return row;
}

void Columns(const CatalogView& view, std::vector<Row>& rows) {
  ForAllTables(view, [&](const Table& table) {
    for (const ColumnDescriptor& column : table.columns())
      if (!column.hidden) rows.push_back(ColumnRow(table, column));
  });
}

// PostgreSQL shows NOT NULL as a check constraint of this name.
std::string NotNullName(const Table& table, const ColumnDescriptor& column) {
  return ToString(table.descriptor.schema) + "_" + ToString(table.id()) + "_" + std::to_string(column.id) +
         "_not_null";
}

template <class Visit>
void ForNotNulls(const Table& table, const Visit& visit) {
  for (const ColumnDescriptor& column : table.columns())
    if (column.not_null && !column.hidden) visit(column);
}

void TableConstraints(const CatalogView& view, std::vector<Row>& rows) {
  for (const TablePtr& table : view.tables) {
    const auto add = [&](std::string_view name, std::string_view kind) {
      rows.push_back({Catalog(), Text(table->schema_name), Text(name), Catalog(), Text(table->schema_name),
                      Text(table->name()), Text(kind), YesNo(false), YesNo(false), YesNo(true), Datum()});
    };
    if (table->has_primary_key()) add(table->descriptor.primary_key_name, "PRIMARY KEY");
    for (const CheckDescriptor& check : table->descriptor.checks) add(check.name, "CHECK");
    ForNotNulls(*table, [&](const ColumnDescriptor& column) { add(NotNullName(*table, column), "CHECK"); });
  }
}

void KeyColumnUsage(const CatalogView& view, std::vector<Row>& rows) {
  for (const TablePtr& table : view.tables) {
    if (!table->has_primary_key()) continue;
    int64_t position = 0;
    for (const Table::KeyPart& part : table->key) {
      rows.push_back({Catalog(), Text(table->schema_name), Text(table->descriptor.primary_key_name), Catalog(),
                      Text(table->schema_name), Text(table->name()), Text(table->columns()[part.ordinal].name),
                      Datum::Int(++position), Datum()});
    }
  }
}

void CheckConstraints(const CatalogView& view, std::vector<Row>& rows) {
  for (const TablePtr& table : view.tables) {
    const auto add = [&](std::string_view name, std::string_view clause) {
      rows.push_back({Catalog(), Text(table->schema_name), Text(name), Text(clause)});
    };
    for (const CheckDescriptor& check : table->descriptor.checks)
      add(check.name, CheckDefinition(check, Parentheses::kAll).substr(std::string_view("CHECK ").size()));
    ForNotNulls(*table, [&](const ColumnDescriptor& column) {
      add(NotNullName(*table, column), column.name + " IS NOT NULL");
    });
  }
}

void ConstraintColumnUsage(const CatalogView& view, std::vector<Row>& rows) {
  for (const TablePtr& table : view.tables) {
    const auto add = [&](std::string_view constraint, const std::vector<uint32_t>& columns) {
      for (const uint32_t id : columns) {
        const ColumnDescriptor& column = table->columns()[size_t(table->OrdinalOfId(id))];
        rows.push_back({Catalog(), Text(table->schema_name), Text(table->name()), Text(column.name), Catalog(),
                        Text(table->schema_name), Text(constraint)});
      }
    };
    if (table->has_primary_key()) add(table->descriptor.primary_key_name, PrimaryKeyColumns(*table));
    for (const CheckDescriptor& check : table->descriptor.checks) add(check.name, CheckColumns(*table, check));
  }
}

void ConstraintTableUsage(const CatalogView& view, std::vector<Row>& rows) {
  for (const TablePtr& table : view.tables) {
    if (!table->has_primary_key()) continue;
    rows.push_back({Catalog(), Text(table->schema_name), Text(table->name()), Catalog(), Text(table->schema_name),
                    Text(table->descriptor.primary_key_name)});
  }
}

void TablePrivileges(const CatalogView& view, std::vector<Row>& rows) {
  for (const TablePtr& table : view.tables) {
    for (const std::string_view privilege :
         {"INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"}) {
      rows.push_back({Text(kRoleName), Text(kRoleName), Catalog(), Text(table->schema_name), Text(table->name()),
                      Text(privilege), YesNo(true), YesNo(privilege == "SELECT")});
    }
  }
}

void ColumnPrivileges(const CatalogView& view, std::vector<Row>& rows) {
  for (const TablePtr& table : view.tables) {
    for (const ColumnDescriptor& column : table->columns()) {
      if (column.hidden) continue;
      for (const std::string_view privilege : {"INSERT", "SELECT", "UPDATE", "REFERENCES"}) {
        rows.push_back({Text(kRoleName), Text(kRoleName), Catalog(), Text(table->schema_name), Text(table->name()),
                        Text(column.name), Text(privilege), YesNo(true)});
      }
    }
  }
}

constexpr auto kTables = RowMaker::Reads::kTables;
constexpr auto kNoTables = RowMaker::Reads::kNoTables;
constexpr RowMaker kMakers[] = {
    {"information_schema.information_schema_catalog_name", kNoTables, &CatalogName},
    {"information_schema.schemata", kNoTables, &Schemata},
    {"information_schema.enabled_roles", kNoTables, &EnabledRoles},
    {"information_schema.tables", kTables, &Tables},
    {"information_schema.views", kTables, &Views},
    {"information_schema.columns", kTables, &Columns},
    {"information_schema.table_constraints", kTables, &TableConstraints},
    {"information_schema.key_column_usage", kTables, &KeyColumnUsage},
    {"information_schema.check_constraints", kTables, &CheckConstraints},
    {"information_schema.constraint_column_usage", kTables, &ConstraintColumnUsage},
    {"information_schema.constraint_table_usage", kTables, &ConstraintTableUsage},
    {"information_schema.table_privileges", kTables, &TablePrivileges},
    {"information_schema.role_table_grants", kTables, &TablePrivileges},
    {"information_schema.column_privileges", kTables, &ColumnPrivileges},
    {"information_schema.role_column_grants", kTables, &ColumnPrivileges},
};

}  // namespace

std::span<const RowMaker> InformationRowMakers() { return kMakers; }

}  // namespace orrery::sql
