// Schemas, the database, its one role, settings: what PostgreSQL keeps for the server as a whole.
#include "sql/catalog/virtual_tables.h"

namespace orrery::sql {

namespace {

constexpr int64_t kUtf8 = 6;                 // pg_enc of PostgreSQL's pg_wchar.h
constexpr int64_t kDefaultTablespace = 1663;

void Namespace(const CatalogView&, std::vector<Row>& rows) {
  const auto add = [&](DescriptorId id, std::string_view name) {
    rows.push_back({Datum::Int(int64_t(id.value())), Text(name), Datum::Int(kRoleOid), Datum()});
  };
  add(kPgCatalogSchemaId, "pg_catalog");
  add(kPublicSchemaId, "public");
  add(kInformationSchemaId, "information_schema");
}

void Database(const CatalogView&, std::vector<Row>& rows) {
  rows.push_back({Datum::Int(int64_t(kDatabaseId.value())), Text(kDatabaseName), Datum::Int(kRoleOid),
                  Datum::Int(kUtf8), Char('c'), Datum::Bool(false), Datum::Bool(true), Datum::Int(-1), Datum::Int(0),
                  Datum::Int(0), Datum::Int(kDefaultTablespace), Text("C"), Text("C"), Datum(), Datum(), Datum()});
}

void DatabaseStatistics(const CatalogView&, std::vector<Row>& rows) {
  Row& row = rows.emplace_back(28);
  row[0] = Datum::Int(int64_t(kDatabaseId.value()));
  row[1] = Text(kDatabaseName);
}

void Authid(const CatalogView&, std::vector<Row>& rows) {
  const auto yes = Datum::Bool(true);
  rows.push_back({Datum::Int(kRoleOid), Text(kRoleName), yes, yes, yes, yes, yes, yes, yes, Datum::Int(-1), Datum(),
                  Datum()});
}

void Roles(const CatalogView&, std::vector<Row>& rows) {
  const auto yes = Datum::Bool(true);
  rows.push_back({Text(kRoleName), yes, yes, yes, yes, yes, yes, Datum::Int(-1), Text("********"), Datum(), yes,
                  Datum(), Datum::Int(kRoleOid)});
}

void AddUser(std::vector<Row>& rows, Datum password) {
  const auto yes = Datum::Bool(true);
  rows.push_back({Text(kRoleName), Datum::Int(kRoleOid), yes, yes, yes, yes, std::move(password), Datum(), Datum()});
}
void User(const CatalogView&, std::vector<Row>& rows) { AddUser(rows, Text("********")); }
void Shadow(const CatalogView&, std::vector<Row>& rows) { AddUser(rows, Datum()); }

void Settings(const CatalogView& view, std::vector<Row>& rows) {
  for (const SettingRow& setting : view.settings) {
    rows.push_back({Text(setting.name), Text(setting.value), Datum(), Text("Ungrouped"), Text(setting.description),
                    Datum(), Text("user"), Text("string"), Text("default"), Datum(), Datum(), Datum(),
                    Text(setting.value), Text(setting.value), Datum(), Datum(), Datum::Bool(false)});
  }
}

void TimeZoneNames(const CatalogView&, std::vector<Row>& rows) {
  rows.push_back({Text("UTC"), Text("UTC"), Datum::OfInterval({}), Datum::Bool(false)});
}

constexpr auto kNoTables = RowMaker::Reads::kNoTables;
constexpr RowMaker kMakers[] = {
    {"pg_catalog.pg_namespace", kNoTables, &Namespace},
    {"pg_catalog.pg_database", kNoTables, &Database},
    {"pg_catalog.pg_stat_database", kNoTables, &DatabaseStatistics},
    {"pg_catalog.pg_authid", kNoTables, &Authid},
    {"pg_catalog.pg_roles", kNoTables, &Roles},
    {"pg_catalog.pg_user", kNoTables, &User},
    {"pg_catalog.pg_shadow", kNoTables, &Shadow},
    {"pg_catalog.pg_settings", kNoTables, &Settings},
    {"pg_catalog.pg_timezone_names", kNoTables, &TimeZoneNames},
};

}  // namespace

std::span<const RowMaker> ServerRowMakers() { return kMakers; }

}  // namespace orrery::sql
