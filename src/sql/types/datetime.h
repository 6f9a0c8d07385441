// Dates, times, timestamps and intervals: calendar arithmetic, text forms and rounding. Pure
// functions; time zone and current time come in through the FormatContext. Rules and error texts
// are those of PostgreSQL 15 (documentation sections 8.5 and B.1).
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "orrery/base/status_or.h"
#include "orrery/sql/types/datum.h"
#include "orrery/sql/types/eval_context.h"

namespace orrery::sql {

inline constexpr int64_t kMicrosPerSecond = 1'000'000;
inline constexpr int64_t kMicrosPerMinute = 60 * kMicrosPerSecond;
inline constexpr int64_t kMicrosPerHour = 60 * kMicrosPerMinute;
inline constexpr int64_t kMicrosPerDay = 24 * kMicrosPerHour;
// Dates are days since 2000-01-01, timestamps microseconds since then; infinities are the ends of
// their ranges.
inline constexpr int64_t kDateInfinity = std::numeric_limits<int32_t>::max();
inline constexpr int64_t kDateMinusInfinity = std::numeric_limits<int32_t>::min();
inline constexpr int64_t kTimestampInfinity = std::numeric_limits<int64_t>::max();
inline constexpr int64_t kTimestampMinusInfinity = std::numeric_limits<int64_t>::min();
// 4714-11-24 BC and 294277-01-01 as timestamps; 5874898-01-01 as a date.
inline constexpr int64_t kTimestampMin = -211'813'488'000'000'000;
inline constexpr int64_t kTimestampEnd = 9'223'371'331'200'000'000;
inline constexpr int64_t kDateMin = -2'451'545;
inline constexpr int64_t kDateEnd = 2'145'031'949;
inline constexpr int64_t kUnixEpochSeconds = 946'684'800;  // 2000-01-01 in Unix seconds

inline bool IsFiniteDate(int64_t d) { return d != kDateInfinity && d != kDateMinusInfinity; }
inline bool IsFiniteTimestamp(int64_t t) {
  return t != kTimestampInfinity && t != kTimestampMinusInfinity;
}
inline bool IsTimestampInRange(int64_t t) { return t >= kTimestampMin && t < kTimestampEnd; }

// A calendar date and time of day. Year 0 is 1 BC.
struct CivilTime {
  int64_t year = 2000;
  int month = 1;  // 1…12
  int day = 1;
  int hour = 0;
  int minute = 0;
  int second = 0;
  int micros = 0;
};

// Proleptic Gregorian calendar; days since 2000-01-01.
int64_t DaysFromCivil(int64_t year, int month, int day);
void CivilFromDays(int64_t days, CivilTime& civil);
int DaysInMonth(int64_t year, int month);
// 0 = Sunday.
int DayOfWeek(int64_t days);
// ISO 8601 week and its year.
int IsoWeek(int64_t days, int64_t& iso_year);
// Of a finite timestamp, in no time zone.
CivilTime CivilFromTimestamp(int64_t timestamp);
// The timestamp may be out of range: check with IsTimestampInRange. False if it does not fit at
// all.
bool TimestampFromCivil(const CivilTime& civil, int64_t& timestamp);
int64_t TimeOfDay(const CivilTime& civil);

// timestamptz ↔ timestamp in a zone. Infinity stays; 22008 out of range.
StatusOr<int64_t> LocalFromUtc(int64_t utc, const TimeZone& zone);
StatusOr<int64_t> UtcFromLocal(int64_t local, const TimeZone& zone);
// The offset in force at an instant, seconds east.
int32_t OffsetAt(int64_t utc, const TimeZone& zone);

StatusOr<int64_t> ParseDate(std::string_view text, const FormatContext& context);
StatusOr<int64_t> ParseTime(std::string_view text, const FormatContext& context);
StatusOr<int64_t> ParseTimestamp(std::string_view text, const FormatContext& context);
StatusOr<int64_t> ParseTimestamptz(std::string_view text, const FormatContext& context);
StatusOr<Interval> ParseInterval(std::string_view text, int32_t typmod);

void AppendDate(int64_t date, std::string& out);
void AppendTime(int64_t time, std::string& out);
void AppendTimestamp(int64_t timestamp, std::string& out);
void AppendTimestamptz(int64_t timestamp, const TimeZone& zone, std::string& out);
void AppendInterval(const Interval& interval, std::string& out);

int64_t RoundTime(int64_t time, int32_t typmod);
StatusOr<int64_t> RoundTimestamp(int64_t timestamp, int32_t typmod);
StatusOr<Interval> FitInterval(const Interval& interval, int32_t typmod);

// timestamp + interval, and in a zone (days and months move the local time).
StatusOr<int64_t> AddInterval(int64_t timestamp, const Interval& interval);
StatusOr<int64_t> AddIntervalInZone(int64_t utc, const Interval& interval, const TimeZone& zone);
StatusOr<Interval> NegateInterval(const Interval& interval);
// Fractions of months and days go down to days and time; 22012 for zero.
StatusOr<Interval> DivideInterval(const Interval& interval, double divisor);
// date → timestamp at midnight; 22008 beyond timestamps' range.
StatusOr<int64_t> TimestampFromDate(int64_t date);
int64_t DateFromTimestamp(int64_t timestamp);

Status TimestampOutOfRange();
Status DateOutOfRange();
Status IntervalOutOfRange();

// A zone by name, remembered in the context's cache.
StatusOr<std::shared_ptr<const TimeZone>> FindZone(const EvalContext& context,
                                                   std::string_view name);

}  // namespace orrery::sql
