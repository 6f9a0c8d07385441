#include "sql/types/datetime.h"

namespace orrery::sql {

StatusOr<int64_t> ParseDate(std::string_view, const FormatContext&) {
  return UnsupportedError("date");
}
StatusOr<int64_t> ParseTime(std::string_view, const FormatContext&) {
  return UnsupportedError("time");
}
StatusOr<int64_t> ParseTimestamp(std::string_view, const FormatContext&) {
  return UnsupportedError("timestamp");
}
StatusOr<int64_t> ParseTimestamptz(std::string_view, const FormatContext&) {
  return UnsupportedError("timestamptz");
}
StatusOr<Interval> ParseInterval(std::string_view, int32_t) { return UnsupportedError("interval"); }
void AppendDate(int64_t, std::string&) {}
void AppendTime(int64_t, std::string&) {}
void AppendTimestamp(int64_t, std::string&) {}
void AppendTimestamptz(int64_t, const TimeZone&, std::string&) {}
void AppendInterval(const Interval&, std::string&) {}
int64_t RoundTime(int64_t t, int32_t) { return t; }
StatusOr<int64_t> RoundTimestamp(int64_t t, int32_t) { return t; }
StatusOr<Interval> FitInterval(const Interval& i, int32_t) { return i; }
Status TimestampOutOfRange() { return OutOfRangeError("timestamp out of range"); }
Status DateOutOfRange() { return OutOfRangeError("date out of range"); }

}  // namespace orrery::sql
