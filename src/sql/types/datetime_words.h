// Names of months, days and units in date and time input. Constant tables; words are in lower case.
#pragma once

#include <string_view>

namespace orrery::sql {

inline constexpr std::string_view kMonthNames[] = {
    "january", "february", "march",     "april",   "may",      "june",
    "july",    "august",   "september", "october", "november", "december"};
inline constexpr std::string_view kDayNames[] = {"sunday",   "monday", "tuesday", "wednesday",
                                                 "thursday", "friday", "saturday"};

// 1…12, 0 if it is no month's name or its abbreviation.
inline int MonthByName(std::string_view word) {
  if (word == "sept") return 9;
  for (int i = 0; i < 12; ++i) {
    if (word == kMonthNames[i] || word == kMonthNames[i].substr(0, 3)) return i + 1;
  }
  return 0;
}

inline bool IsDayName(std::string_view word) {
  if (word == "tues" || word == "weds" || word == "thur" || word == "thurs") return true;
  for (const std::string_view name : kDayNames) {
    if (word == name || word == name.substr(0, 3)) return true;
  }
  return false;
}

// Units of intervals, extract() and date_trunc().
enum class TimeUnit : unsigned char {
  kNone, kMicrosecond, kMillisecond, kSecond, kMinute, kHour, kDay, kWeek, kMonth, kQuarter,
  kYear, kDecade, kCentury, kMillennium, kEpoch, kDow, kIsoDow, kDoy, kIsoYear, kJulian,
  kTimezone, kTimezoneHour, kTimezoneMinute,
};
TimeUnit UnitByName(std::string_view word);

}  // namespace orrery::sql
