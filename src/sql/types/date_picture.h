// Templates of to_char, to_date and to_timestamp for dates and times
// (PostgreSQL documentation, section 9.8, tables 9.26 and 9.27), and both
// directions of using them. Pure functions; a DatePicture borrows the
// template's text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status_or.h"
#include "sql/types/datetime.h"

namespace orrery::sql {

enum class DateField : uint8_t {
  kFixed,
  kHalfDayDotted,
  kHalfDay,
  kEraDotted,
  kEra,
  kHour12,
  kHour24,
  kMinute,
  kSecond,
  kMillis,
  kMicros,
  kFraction,
  kSecondsOfDay,
  kZoneName,
  kZoneHours,
  kZoneMinutes,
  kZoneOffset,
  kMonthName,
  kMonthShort,
  kMonth,
  kMonthRoman,
  kDayName,
  kDayShort,
  kDayOfYear,
  kIsoDayOfYear,
  kDay,
  kDayOfWeek,
  kIsoDayOfWeek,
  kWeek,
  kIsoWeek,
  kWeekOfMonth,
  kQuarter,
  kCentury,
  kYearComma,
  kYear,
  kIsoYear,
  kJulian,
};
enum class LetterCase : uint8_t { kUpper, kCapital, kLower };
// Gregorian and ISO week fields must not be mixed in one template.
enum class DateConvention : uint8_t { kNone, kGregorian, kIsoWeek };

struct DateKeyword {
  std::string_view name;
  DateField field;
  bool is_digit;  // matches digits on input
  DateConvention convention = DateConvention::kNone;
  LetterCase letters = LetterCase::kUpper;
};

struct DateNode {
  enum class Kind : uint8_t { kField, kSeparator, kSpace, kText };
  enum class Ordinal : uint8_t { kNone, kUpper, kLower };
  Kind kind = Kind::kText;
  const DateKeyword *keyword = nullptr;  // kField
  std::string_view text;                 // one character of the others
  bool fill_mode = false;                // FM: no padding
  bool translated = false;               // TM: the locale's names, unpadded; ours are English
  Ordinal ordinal = Ordinal::kNone;      // TH, th
};
using DatePicture = std::vector<DateNode>;
DatePicture ParseDatePicture(std::string_view format);

// What to_char prints. Of an interval all fields may be negative.
struct DateParts {
  int64_t year = 0;  // 0 is 1 BC
  int month = 0;
  int day = 0;
  int64_t hour = 0;
  int minute = 0;
  int second = 0;
  int micros = 0;
  int day_of_week = 0;  // 0 = Sunday
  int64_t day_of_year = 0;
  int32_t offset_seconds = 0;  // east of Greenwich
  std::string_view zone_name;
  bool is_interval = false;
};
// 22007 for fields that an interval does not have.
StatusOr<std::string> FormatDateParts(const DatePicture &picture, const DateParts &parts);

// What a text says by a template: validated fields, local unless an offset is
// given.
struct ReadDate {
  CivilTime civil;
  std::optional<int32_t> offset_seconds;
  int fraction_digits = 0;  // FFn's n, 0 if there is none
};
// 22007 where the text does not follow the template, 22008 for fields out of
// range.
StatusOr<ReadDate> ReadByPicture(const DatePicture &picture, std::string_view text);

// "st", "nd", "rd" or "th" for a number's digits. Precondition: the last
// character is a digit.
std::string_view OrdinalSuffix(std::string_view digits, LetterCase letters);
// Roman numerals of the months, lower case, December first (so that longer ones
// match first).
inline constexpr std::string_view kRomanMonths[] = {"xii", "xi", "x",  "ix",  "viii", "vii",
                                                    "vi",  "v",  "iv", "iii", "ii",   "i"};
// Julian day of a date, also of intervals' fields that are no date (date2j).
int64_t JulianDay(int64_t year, int month, int64_t day);
// Julian day of the Monday of an ISO week.
int64_t JulianDayOfIsoWeek(int64_t iso_year, int64_t week);

}  // namespace orrery::sql
