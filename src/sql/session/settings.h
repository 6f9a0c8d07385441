// Settings: the parameters of one session (SET, SHOW, RESET), validated, and undone with the transaction
// that changed them. The values the hot path needs are kept ready in hot(). Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/base/time.h"
#include "orrery/kv/client/database.h"
#include "orrery/sql/session/client_session.h"
#include "orrery/sql/types/eval_context.h"

namespace orrery::sql {

struct SettingDefinition {
  enum class Kind : uint8_t { kBool, kInt, kReal, kString, kEnum, kDuration, kBytes };
  enum class Access : uint8_t { kUser, kReadOnly };
  std::string_view name;
  Kind kind = Kind::kString;
  std::string_view default_value;
  std::string_view description;
  Access access = Access::kUser;
  bool reported = false;               // ParameterStatus
  std::string_view choices = {};       // kEnum: "a|b|c"
  double min = -2147483648.0;
  double max = 2147483647.0;
};
const std::vector<SettingDefinition>& SettingDefinitions();

// Until RESET, or until the transaction ends.
enum class SettingScope : uint8_t { kSession, kLocal };

class Settings {
 public:
  explicit Settings(const TimeZoneDatabase* time_zones);

  // 42704 for an unknown name, 22023 for a bad value, 55P02 for one that cannot be changed. Names with a
  // dot are free for anybody.
  Status Set(std::string_view name, std::string_view value, SettingScope scope);
  // What RESET goes back to; no access check.
  Status SetDefault(std::string_view name, std::string_view value);
  Status Reset(std::string_view name);
  void ResetAll();
  // As SHOW prints it. nullopt: no such parameter.
  std::optional<std::string> Get(std::string_view name) const;
  // SHOW's column heading.
  static std::string DisplayName(std::string_view name);
  struct Row {
    std::string name;
    std::string value;
    std::string_view description;
  };
  std::vector<Row> All() const;  // by name

  // Changes are undone by a rollback, SET LOCAL by either end.
  void BeginTransaction();
  void EndTransaction(bool committed);
  struct Savepoint;
  std::shared_ptr<const Savepoint> CreateSavepoint() const;
  void RollbackTo(const Savepoint& savepoint);

  // Reported parameters that changed since the last call; all of them the first time.
  std::vector<std::pair<std::string, std::string>> TakeReported();

  struct Hot {
    Duration statement_timeout{0};
    Duration lock_timeout{0};
    Duration idle_in_transaction_timeout{0};
    Duration idle_session_timeout{0};
    kv::IsolationLevel default_isolation = kv::IsolationLevel::kReadCommitted;
    bool default_read_only = false;
    Severity client_min_messages = Severity::kNotice;
    FormatContext format;                    // session and transaction_time are the caller's
    std::vector<std::string> search_path;
    std::string plan_key;                    // what binding reads: part of a cached plan's key
  };
  const Hot& hot() const { return hot_; }

 private:
  using Values = std::map<std::string, std::string, std::less<>>;  // keys in lower case
  StatusOr<std::string> Validate(const SettingDefinition& definition, std::string_view value) const;
  StatusOr<std::string> ValidateNumber(const SettingDefinition& definition, std::string_view value) const;
  StatusOr<std::string> ValidateString(const SettingDefinition& definition, std::string_view value) const;
  void Changed();
  void RefreshFormat();

  const TimeZoneDatabase* time_zones_;
  Values defaults_;
  Values session_;
  Values local_;
  Values session_at_begin_;
  bool in_transaction_ = false;
  bool report_pending_ = true;
  Values reported_;
  Hot hot_;
};

struct Settings::Savepoint {
  Values session;
  Values local;
};

// PostgreSQL's words for levels and booleans.
std::optional<kv::IsolationLevel> ParseIsolation(std::string_view text);
std::string_view IsolationName(kv::IsolationLevel level);
// The same of a level's own words, in lower case; READ UNCOMMITTED keeps its name. Precondition: it parses.
std::string_view IsolationName(std::string_view words);
std::optional<bool> ParseBoolSetting(std::string_view text);
std::string ToLower(std::string_view text);

}  // namespace orrery::sql
