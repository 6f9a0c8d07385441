// Functions about catalog objects and privileges: PostgreSQL documentation, section 9.26. There is one role, a
// superuser, so every question about a privilege on an object that exists is answered yes.
#include "orrery/sql/types/catalog_info.h"

#include <vector>

#include "orrery/sql/types/array.h"
#include "orrery/sql/types/text_io.h"
#include "sql/types/builtin_tables.h"
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"

namespace orrery::sql {
namespace {

using Style = CatalogInfo::Style;

constexpr int64_t kUtf8 = 6;  // pg_enc of PostgreSQL's pg_wchar.h
constexpr Oid kSuperuser = 10;

const SessionInfo& SessionOf(const EvalContext& context) {
  static const SessionInfo kDefault;
  return context.format.session == nullptr ? kDefault : *context.format.session;
}

StatusOr<CatalogInfo*> CatalogOf(const EvalContext& context) {
  CatalogInfo* const catalog = SessionOf(context).catalog_info();
  if (catalog == nullptr) return UnsupportedError("this function without a catalog");
  return catalog;
}

Status SetText(std::string_view text, Datum* out) {
  *out = Datum::Bytes(text);
  return OkStatus();
}
Status Null(EvalContext&, Args, Datum* out) {
  *out = Datum();
  return OkStatus();
}
Status True(EvalContext&, Args, Datum* out) {
  *out = Datum::Bool(true);
  return OkStatus();
}
Status SetOptional(CatalogInfo::Text text, Datum* out) {
  if (!text.ok()) return text.status();
  *out = text->has_value() ? Datum::Bytes(**text) : Datum();
  return OkStatus();
}

Status CurrentSchemas(EvalContext& c, Args a, Datum* out) {
  std::vector<Datum> schemas;
  for (const std::string& schema : SessionOf(c).SearchPath()) {
    if (schema != "pg_catalog" || a[0].as_bool()) schemas.push_back(Datum::Bytes(schema));
  }
  *out = Array::OfList(oid::kName, std::move(schemas)).Pack();
  return OkStatus();
}

Status UserById(EvalContext& c, Args a, Datum* out) {
  if (a[0].as_int() == kSuperuser) return SetText(SessionOf(c).RegName(oid::kRegrole, kSuperuser).value_or("postgres"), out);
  return SetText("unknown (OID=" + std::to_string(a[0].as_int()) + ")", out);
}

Status EncodingToChar(EvalContext&, Args a, Datum* out) { return SetText(a[0].as_int() == kUtf8 ? "UTF8" : "", out); }

Status CharToEncoding(EvalContext&, Args a, Datum* out) {
  std::string letters;
  for (const char c : a[0].as_bytes()) {
    if (c >= 'A' && c <= 'Z') letters += char(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) letters += c;
  }
  *out = Datum::Int(letters == "utf8" || letters == "unicode" ? kUtf8 : -1);
  return OkStatus();
}

// to_regclass and its kind: NULL where the cast would fail.
template <Oid kType>
Status ToReg(EvalContext& c, Args a, Datum* out) {
  const auto found = ParseText({kType, -1}, a[0].as_bytes(), c.format);
  *out = found.ok() ? *found : Datum();
  return found.ok() || found.status().code() == Code::kNotFound ? OkStatus() : found.status();
}

Status IndexDef(EvalContext& c, Args a, Datum* out) {
  ASSIGN_OR_RETURN(CatalogInfo* const catalog, CatalogOf(c));
  const Oid index = Oid(a[0].as_int());
  if (a.size() == 1) return SetOptional(catalog->IndexDefinition(index, Style::kFull), out);
  if (a[1].as_int() > 0) return SetOptional(catalog->IndexColumn(index, a[1].as_int()), out);
  return SetOptional(catalog->IndexDefinition(index, a[2].as_bool() ? Style::kPretty : Style::kFull), out);
}

Status ConstraintDef(EvalContext& c, Args a, Datum* out) {
  ASSIGN_OR_RETURN(CatalogInfo* const catalog, CatalogOf(c));
  const Style style = a.size() > 1 && a[1].as_bool() ? Style::kPretty : Style::kFull;
  return SetOptional(catalog->ConstraintDefinition(Oid(a[0].as_int()), style), out);
}

// Expressions are kept as SQL text, ready to be shown.
Status GetExpr(EvalContext&, Args a, Datum* out) {
  *out = a[0];
  return OkStatus();
}

Status TableIsVisible(EvalContext& c, Args a, Datum* out) {
  ASSIGN_OR_RETURN(CatalogInfo* const catalog, CatalogOf(c));
  ASSIGN_OR_RETURN(const std::optional<bool> visible, catalog->IsVisible(Oid(a[0].as_int())));
  *out = visible ? Datum::Bool(*visible) : Datum();
  return OkStatus();
}

Status TypeIsVisible(EvalContext&, Args a, Datum* out) {
  *out = FindType(Oid(a[0].as_int())) ? Datum::Bool(true) : Datum();
  return OkStatus();
}

Status FunctionArguments(EvalContext& c, Args a, Datum* out) {
  ASSIGN_OR_RETURN(CatalogInfo* const catalog, CatalogOf(c));
  return SetOptional(catalog->FunctionArguments(Oid(a[0].as_int())), out);
}
Status FunctionResult(EvalContext& c, Args a, Datum* out) {
  ASSIGN_OR_RETURN(CatalogInfo* const catalog, CatalogOf(c));
  return SetOptional(catalog->FunctionResult(Oid(a[0].as_int())), out);
}

// has_table_privilege by the table's name, which must exist: the last argument but one.
Status TablePrivilegeByName(EvalContext& c, Args a, Datum* out) {
  ASSIGN_OR_RETURN(const Datum table, ParseText({oid::kRegclass, -1}, a[a.size() - 2].as_bytes(), c.format));
  *out = Datum::Bool(!table.is_null());
  return OkStatus();
}

void RegisterPrivileges(EvaluatorTable& table) {
  for (const char* object : {"table", "sequence", "any_column"}) {
    const std::string prefix = "has_" + std::string(object) + "_privilege_";
    table.Add(prefix + "name", &TablePrivilegeByName);
    table.Add(prefix + "name_name", &TablePrivilegeByName);
    table.Add(prefix + "id_name", &TablePrivilegeByName);
    for (const char* form : {"id", "name_id", "id_id"}) table.Add(prefix + form, &True);
  }
  for (const char* object : {"schema", "database", "function", "language", "tablespace", "type", "foreign_data_wrapper",
                             "server"}) {
    const std::string prefix = "has_" + std::string(object) + "_privilege_";
    for (const char* form : {"name", "id", "name_name", "name_id", "id_name", "id_id"}) table.Add(prefix + form, &True);
  }
  for (const char* form : {"name", "id", "name_name", "name_id", "id_name", "id_id"})
    table.Add("pg_has_role_" + std::string(form), &True);
}

void RegisterDefinitions(EvaluatorTable& table) {
  table.Add("pg_get_indexdef", &IndexDef);
  table.Add("pg_get_indexdef_ext", &IndexDef);
  table.Add("pg_get_constraintdef", &ConstraintDef);
  table.Add("pg_get_constraintdef_ext", &ConstraintDef);
  table.Add("pg_get_expr", &GetExpr);
  table.Add("pg_get_function_arguments", &FunctionArguments);
  table.Add("pg_get_function_identity_arguments", &FunctionArguments);
  table.Add("pg_get_function_result", &FunctionResult);
  // Sizes are not known yet; they would be sums over ranges. Views, rules, triggers, statistics objects, partitions
  // and sequences do not exist here.
  for (const char* symbol : {"pg_get_viewdef", "pg_get_viewdef_ext", "pg_get_viewdef_wrap", "pg_get_ruledef",
                             "pg_get_ruledef_ext", "pg_get_triggerdef", "pg_get_triggerdef_ext",
                             "pg_get_statisticsobjdef", "pg_get_statisticsobjdef_columns", "pg_get_partkeydef",
                             "pg_get_partition_constraintdef", "pg_get_function_sqlbody", "pg_table_size",
                             "pg_indexes_size", "pg_relation_size", "pg_total_relation_size",
                             "pg_database_size_oid", "pg_database_size_name", "pg_tablespace_size_oid",
                             "pg_tablespace_size_name", "pg_get_serial_sequence", "pg_get_function_arg_default",
                             "sql_obj_description_1215", "sql_obj_description_1348", "sql_col_description_1216",
                             "sql_shobj_description_1993"})
    table.Add(symbol, &Null);
}

}  // namespace

void RegisterCatalogFunctions(EvaluatorTable& table) {
  RegisterPrivileges(table);
  RegisterDefinitions(table);
  table.Add("pg_table_is_visible", &TableIsVisible);
  table.Add("pg_type_is_visible", &TypeIsVisible);
  for (const char* kind : {"function", "operator", "opclass", "opfamily", "collation", "conversion", "ts_parser",
                           "ts_dict", "ts_config", "ts_template", "statistics_obj"})
    table.Add("pg_" + std::string(kind) + "_is_visible", &True);
  table.Add("pg_relation_is_publishable", &True);
  table.Add("pg_tablespace_location", [](EvalContext&, Args, Datum* out) { return SetText("", out); });
  table.Add("pg_get_userbyid", &UserById);
  table.Add("PG_encoding_to_char", &EncodingToChar);
  table.Add("PG_char_to_encoding", &CharToEncoding);
  table.Add("to_regclass", &ToReg<oid::kRegclass>);
  table.Add("to_regtype", &ToReg<oid::kRegtype>);
  table.Add("to_regproc", &ToReg<oid::kRegproc>);
  table.Add("to_regnamespace", &ToReg<oid::kRegnamespace>);
  table.Add("to_regrole", &ToReg<oid::kRegrole>);
  table.Add("current_schemas", &CurrentSchemas);
}

std::span<const FunctionRow> CatalogFunctionRows() {
  static constexpr FunctionRow kRows[] = {
      {3403, "pg_statistics_obj_is_visible", "pg_statistics_obj_is_visible", "26", 16, 'f', 's', true, false, 0},
      {1716, "pg_get_expr", "pg_get_expr", "25 26", 25, 'f', 's', true, false, 0},
      {2509, "pg_get_expr", "pg_get_expr", "25 26 16", 25, 'f', 's', true, false, 0},
  };
  return kRows;
}

}  // namespace orrery::sql
