#include "orrery/sql/types/eval_context.h"

#include "orrery/sql/types/type.h"

namespace orrery::sql {

StatusOr<Oid> SessionInfo::RegLookup(Oid reg_type, std::string_view name) const {
  const std::string quoted = "\"" + std::string(name) + "\" does not exist";
  switch (reg_type) {
    case oid::kRegclass:
      return Status(Code::kNotFound, "42P01", "relation " + quoted);
    case oid::kRegtype:
      return Status(Code::kNotFound, "42704", "type " + quoted);
    case oid::kRegnamespace:
      return Status(Code::kNotFound, "3F000", "schema " + quoted);
    case oid::kRegrole:
      return Status(Code::kNotFound, "42704", "role " + quoted);
    case oid::kRegproc:
    case oid::kRegprocedure:
      return Status(Code::kNotFound, "42883", "function " + quoted);
    default:
      return Status(Code::kNotFound, "42883", "operator does not exist: " + std::string(name));
  }
}

}  // namespace orrery::sql
