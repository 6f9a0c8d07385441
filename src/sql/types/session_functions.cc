// Functions about the session and the system: PostgreSQL documentation, section 9.26.
#include "orrery/sql/types/text_io.h"
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"

namespace orrery::sql {
namespace {

const SessionInfo& SessionOf(const EvalContext& context) {
  static const SessionInfo kDefault;
  return context.format.session == nullptr ? kDefault : *context.format.session;
}

Status SetText(std::string_view text, Datum* out) {
  *out = Datum::Bytes(text);
  return OkStatus();
}

Status CurrentSetting(EvalContext& c, Args a, Datum* out) {
  const std::string_view name = a[0].as_bytes();
  if (const auto value = SessionOf(c).Setting(name)) return SetText(*value, out);
  if (a.size() > 1 && a[1].as_bool()) {
    *out = Datum();
    return OkStatus();
  }
  return Status(Code::kNotFound, "42704",
                "unrecognized configuration parameter \"" + std::string(name) + "\"");
}

Status SetConfig(EvalContext& c, Args a, Datum* out) {
  if (a[0].is_null()) return Status(Code::kInvalidArgument, "22004", "SET requires parameter name");
  if (c.volatile_source == nullptr) return InternalError("set_config: no session");
  const auto reach = !a[2].is_null() && a[2].as_bool() ? VolatileSource::SettingReach::kTransaction
                                                       : VolatileSource::SettingReach::kSession;
  const std::string_view value = a[1].is_null() ? std::string_view() : a[1].as_bytes();
  ASSIGN_OR_RETURN(const std::string shown, c.volatile_source->ChangeSetting(a[0].as_bytes(), value, reach));
  return SetText(shown, out);
}

Status RandomUuid(EvalContext& c, Args, Datum* out) {
  if (c.volatile_source == nullptr) return InternalError("gen_random_uuid: no source");
  char bytes[16];
  for (size_t i = 0; i < 2; ++i) {
    const uint64_t word = c.volatile_source->NextRandom();
    std::memcpy(bytes + 8 * i, &word, 8);
  }
  bytes[6] = char((bytes[6] & 0x0F) | 0x40);  // version 4, variant 1: RFC 4122
  bytes[8] = char((bytes[8] & 0x3F) | 0x80);
  *out = Datum::Bytes({bytes, sizeof bytes});
  return OkStatus();
}

Status FormatTypeOf(EvalContext&, Args a, Datum* out) {
  if (a[0].is_null()) {
    *out = Datum();
    return OkStatus();
  }
  const auto type = Oid(a[0].as_int());
  if (type == 0) return SetText("-", out);
  if (a[1].is_null()) return SetText(TypeName(type), out);
  return SetText(FormatType({type, int32_t(a[1].as_int())}), out);
}

}  // namespace

StatusOr<std::string> VolatileSource::ChangeSetting(std::string_view, std::string_view, SettingReach) {
  return UnsupportedError("set_config outside of a session");
}

void RegisterSessionFunctions(EvaluatorTable& table) {
  table.Add("pgsql_version", [](EvalContext& c, Args, Datum* out) -> Status {
    const auto version = SessionOf(c).Setting("server_version");
    return SetText("PostgreSQL " + version.value_or("15.20 (OrreryDB)"), out);
  });
  table.Add("current_user", [](EvalContext& c, Args, Datum* out) -> Status {
    return SetText(SessionOf(c).current_user(), out);
  });
  table.Add("session_user", [](EvalContext& c, Args, Datum* out) -> Status {
    return SetText(SessionOf(c).session_user(), out);
  });
  table.Add("current_database", [](EvalContext& c, Args, Datum* out) -> Status {
    return SetText(SessionOf(c).current_database(), out);
  });
  table.Add("current_schema", [](EvalContext& c, Args, Datum* out) -> Status {
    const std::string_view schema = SessionOf(c).current_schema();
    if (schema.empty()) {
      *out = Datum();
      return OkStatus();
    }
    return SetText(schema, out);
  });
  table.Add("pg_backend_pid", [](EvalContext& c, Args, Datum* out) -> Status {
    *out = Datum::Int(SessionOf(c).backend_pid());
    return OkStatus();
  });
  table.Add("pg_is_in_recovery", [](EvalContext&, Args, Datum* out) -> Status {
    *out = Datum::Bool(false);
    return OkStatus();
  });
  table.Add("show_config_by_name", &CurrentSetting);
  table.Add("show_config_by_name_missing_ok", &CurrentSetting);
  table.Add("set_config_by_name", &SetConfig);
  table.Add("gen_random_uuid", &RandomUuid);
  table.Add("format_type", &FormatTypeOf);
  table.Add("getdatabaseencoding", [](EvalContext&, Args, Datum* out) -> Status {
    return SetText("UTF8", out);
  });
  table.AddTyped("pg_typeof", [](EvalContext& c, Args, Datum* out) -> Status {
    *out = Datum::Int(c.argument_types[0]);
    return OkStatus();
  });
}

}  // namespace orrery::sql
