// EvalContext: all that evaluating an expression may depend on besides its arguments — settings,
// the three clocks of PostgreSQL, randomness, the session. Built by the session for a statement;
// one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/sql/types/oid.h"
#include "orrery/sql/types/time_zone.h"

namespace orrery::sql {

// Microseconds since 2000-01-01 00:00 UTC: timestamptz's representation.
using TimestampUs = int64_t;
inline constexpr int64_t kPostgresEpochUnixUs = 946'684'800'000'000;
constexpr TimestampUs FromUnixUs(int64_t unix_us) { return unix_us - kPostgresEpochUnixUs; }

enum class ByteaOutput : uint8_t { kHex, kEscape };
enum class DateOrder : uint8_t { kMdy, kDmy, kYmd };

class CatalogInfo;  // catalog_info.h
class SessionInfo;

// Settings that text input and output depend on. The style of dates is ISO, of intervals postgres.
struct FormatContext {
  std::shared_ptr<const TimeZone> time_zone = TimeZone::Utc();  // never null
  DateOrder date_order = DateOrder::kMdy;                       // reading of 1/2/2003
  int extra_float_digits = 1;  // >= 1: shortest digits that read back the same
  ByteaOutput bytea_output = ByteaOutput::kHex;
  TimestampUs transaction_time = 0;  // 'now', 'today', 'tomorrow' in date and time input
  const TimeZoneDatabase* time_zones =
      nullptr;  // names in input and AT TIME ZONE; null: UTC and offsets only
  const SessionInfo* session = nullptr;  // names of reg* types; null: numbers only
};

// What functions may ask of the session. Defaults are those of a session without a catalog.
class SessionInfo {
 public:
  virtual ~SessionInfo() = default;
  virtual std::string_view current_user() const { return "postgres"; }
  virtual std::string_view session_user() const { return "postgres"; }
  virtual std::string_view current_database() const { return "postgres"; }
  // First existing schema of search_path; empty: none (NULL in SQL).
  virtual std::string_view current_schema() const { return "public"; }
  virtual int32_t backend_pid() const { return 0; }
  // The setting as SHOW prints it; nullopt if there is none of that name.
  virtual std::optional<std::string> Setting(std::string_view) const { return std::nullopt; }
  // Name of the object of a reg* type as PostgreSQL prints it; nullopt: print the number.
  virtual std::optional<std::string> RegName(Oid, Oid) const { return std::nullopt; }
  // OID of a name given as text to a reg* type: regclass 'public.t'. Error 42P01 and the like if
  // there is none.
  virtual StatusOr<Oid> RegLookup(Oid reg_type, std::string_view name) const;
  // Answers about catalog objects, for the statement that runs; null: such functions fail with 0A000.
  virtual CatalogInfo* catalog_info() const { return nullptr; }
  // Schemas that names are looked for in, as they exist: current_schemas().
  virtual std::vector<std::string> SearchPath() const { return {"public"}; }
};

// Time and randomness that move while a statement runs.
class VolatileSource {
 public:
  virtual ~VolatileSource() = default;
  virtual TimestampUs WallNow() = 0;  // clock_timestamp()
  virtual uint64_t NextRandom() = 0;  // random(), gen_random_uuid(): uniform over 64 bits
  virtual void SeedRandom(double) {}  // setseed(): −1 … 1
  // Key of a row that has none: unique in the cluster, growing on a node, so that such rows lie in the order in
  // which they came.
  virtual int64_t NextRowId() { return int64_t(NextRandom() >> 1); }
  // set_config(): sets a parameter of the session, `local` to the transaction. Its new value as SHOW prints it.
  enum class SettingReach : uint8_t { kSession, kTransaction };
  virtual StatusOr<std::string> ChangeSetting(std::string_view name, std::string_view value, SettingReach reach);
};

class EvalCache;  // eval_cache.h: compiled patterns and looked-up zones of one executor

struct EvalContext {
  FormatContext format;
  TimestampUs statement_time = 0;  // statement_timestamp()
  VolatileSource* volatile_source =
      nullptr;                 // null: volatile functions fail with an internal error
  EvalCache* cache = nullptr;  // null: nothing is remembered between calls
  // Set by the caller before evaluating a Function with needs_argument_types; else unused.
  std::span<const Oid> argument_types;
};

}  // namespace orrery::sql
