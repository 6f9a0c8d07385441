// Text output of dates, times, timestamps (DateStyle ISO) and intervals (IntervalStyle postgres).
#include <cstdio>
#include <cstdlib>

#include "sql/types/datetime.h"

namespace orrery::sql {
namespace {

void AppendNumber(int64_t value, int width, std::string& out) {
  const std::string digits = std::to_string(value);
  if (digits.size() < size_t(width)) out.append(size_t(width) - digits.size(), '0');
  out += digits;
}

void AppendFraction(int64_t micros, std::string& out) {
  if (micros == 0) return;
  out += '.';
  AppendNumber(micros, 6, out);
  while (out.back() == '0') out.pop_back();
}

void AppendCalendar(const CivilTime& c, std::string& out) {
  AppendNumber(c.year > 0 ? c.year : 1 - c.year, 4, out);
  out += '-';
  AppendNumber(c.month, 2, out);
  out += '-';
  AppendNumber(c.day, 2, out);
}

void AppendClock(int64_t hour, int64_t minute, int64_t second, int64_t micros, std::string& out) {
  AppendNumber(hour, 2, out);
  out += ':';
  AppendNumber(minute, 2, out);
  out += ':';
  AppendNumber(second, 2, out);
  AppendFraction(micros, out);
}

bool AppendInfinity(bool is_plus, bool is_minus, std::string& out) {
  if (is_plus) out += "infinity";
  if (is_minus) out += "-infinity";
  return is_plus || is_minus;
}

void AppendOffset(int32_t offset, std::string& out) {
  out += offset < 0 ? '-' : '+';
  const int32_t magnitude = std::abs(offset);
  AppendNumber(magnitude / 3600, 2, out);
  if (magnitude % 3600 == 0) return;
  out += ':';
  AppendNumber(magnitude / 60 % 60, 2, out);
  if (magnitude % 60 == 0) return;
  out += ':';
  AppendNumber(magnitude % 60, 2, out);
}

}  // namespace

void AppendDate(int64_t date, std::string& out) {
  if (AppendInfinity(date == kDateInfinity, date == kDateMinusInfinity, out)) return;
  CivilTime c;
  CivilFromDays(date, c);
  AppendCalendar(c, out);
  if (c.year <= 0) out += " BC";
}

void AppendTime(int64_t time, std::string& out) {
  AppendClock(time / kMicrosPerHour, time / kMicrosPerMinute % 60, time / kMicrosPerSecond % 60,
              time % kMicrosPerSecond, out);
}

void AppendTimestamp(int64_t timestamp, std::string& out) {
  if (AppendInfinity(timestamp == kTimestampInfinity, timestamp == kTimestampMinusInfinity, out)) {
    return;
  }
  const CivilTime c = CivilFromTimestamp(timestamp);
  AppendCalendar(c, out);
  out += ' ';
  AppendClock(c.hour, c.minute, c.second, c.micros, out);
  if (c.year <= 0) out += " BC";
}

void AppendTimestamptz(int64_t timestamp, const TimeZone& zone, std::string& out) {
  if (AppendInfinity(timestamp == kTimestampInfinity, timestamp == kTimestampMinusInfinity, out)) {
    return;
  }
  // Near the ends of the range the local time may be out of it; it still has a calendar date.
  const int32_t offset = OffsetAt(timestamp, zone);
  int64_t local = 0;
  if (__builtin_add_overflow(timestamp, offset * kMicrosPerSecond, &local)) local = timestamp;
  const CivilTime c = CivilFromTimestamp(local);
  AppendCalendar(c, out);
  out += ' ';
  AppendClock(c.hour, c.minute, c.second, c.micros, out);
  AppendOffset(offset, out);
  if (c.year <= 0) out += " BC";
}

void AppendInterval(const Interval& i, std::string& out) {
  bool is_first = true;
  bool after_negative = false;
  const auto part = [&](int64_t value, const char* unit) {
    if (value == 0) return;
    if (!is_first) out += ' ';
    if (after_negative && value > 0) out += '+';
    out += std::to_string(value) + " " + unit + (value != 1 ? "s" : "");
    after_negative = value < 0;
    is_first = false;
  };
  part(i.months / 12, "year");
  part(i.months % 12, "mon");
  part(i.days, "day");
  if (!is_first && i.micros == 0) return;
  if (!is_first) out += ' ';
  if (i.micros < 0) {
    out += '-';
  } else if (after_negative) {
    out += '+';
  }
  const uint64_t magnitude = i.micros < 0 ? 0 - uint64_t(i.micros) : uint64_t(i.micros);
  AppendClock(int64_t(magnitude / kMicrosPerHour), int64_t(magnitude / kMicrosPerMinute % 60),
              int64_t(magnitude / kMicrosPerSecond % 60), int64_t(magnitude % kMicrosPerSecond),
              out);
}

}  // namespace orrery::sql
