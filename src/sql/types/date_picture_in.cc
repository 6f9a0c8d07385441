// to_date and to_timestamp: reading a text by a template.
#include <charconv>
#include <span>

#include "sql/types/date_picture.h"
#include "sql/types/datetime_words.h"
#include "sql/types/string_helpers.h"
#include "sql/types/utf8.h"

namespace orrery::sql {
namespace {

Status BadFormat(const std::string &message) {
  return Status(Code::kInvalidArgument, "22007", message);
}
std::string Quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsSeparator(char c) {
  const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  return c > ' ' && c < 0x7f && !letter && !IsDigit(c);
}

constexpr std::string_view kEras[] = {"ad", "bc"};
constexpr std::string_view kErasDotted[] = {"a.d.", "b.c."};
constexpr std::string_view kHalfDays[] = {"am", "pm"};
constexpr std::string_view kHalfDaysDotted[] = {"a.m.", "p.m."};

// What was read, before it is put together; 0 counts as absent, as PostgreSQL
// has it.
struct RawFields {
  DateConvention convention = DateConvention::kNone;
  bool twelve_hours = false;
  int hour = 0, minute = 0, second = 0, millis = 0, micros = 0, seconds_of_day = 0;
  int afternoon = 0, before_christ = 0;
  int century = 0, year = 0, year_digits = 0, month = 0, day = 0;
  int week = 0, week_of_month = 0, day_of_week = 0, day_of_year = 0, julian = 0;
  int zone_sign = 0, zone_hours = 0, zone_minutes = 0;
  int fraction_digits = 0;
};

class Reader {
 public:
  Reader(const DatePicture &picture, std::string_view text) : picture_(picture), in_(text) {}

  StatusOr<RawFields> Read() {
    for (size_t i = 0; i < picture_.size() && !in_.empty(); ++i) {
      const DateNode &node = picture_[i];
      const bool is_field = node.kind == DateNode::Kind::kField;
      if (!exact_ && (is_field ? node.keyword->field != DateField::kFixed : i == 0)) SkipSpace();
      if (!is_field) {
        SkipCharacterOf(node);
        continue;
      }
      RETURN_IF_ERROR(CheckConvention(*node.keyword));
      index_ = i;
      RETURN_IF_ERROR(Field(node));
      if (node.ordinal != DateNode::Ordinal::kNone && TakesOrdinal(*node.keyword)) {
        SkipCharacter();
        SkipCharacter();
      }
      if (!exact_) {
        skipped_ = 0;
        SkipSpace();
      }
    }
    return fields_;
  }

 private:
  void SkipSpace() {
    while (!in_.empty() && IsSpace(in_[0])) {
      Advance(1);
      ++skipped_;
    }
  }
  void SkipCharacter() {
    if (!in_.empty()) Advance(Utf8CharBytes(in_));
  }
  void Advance(size_t n) {
    if (n > 0) previous_ = in_[n - 1];
    in_.remove_prefix(n);
  }

  // A character of the template that is no field: it need not be the same in
  // the text.
  void SkipCharacterOf(const DateNode &node) {
    if (exact_) {
      SkipCharacter();
    } else if (node.kind == DateNode::Kind::kText) {
      // Blanks skipped before stand for it: the next character may belong to a
      // field.
      skipped_ > 0 ? void(--skipped_) : SkipCharacter();
    } else {
      --skipped_;
      if (!in_.empty() && (IsSpace(in_[0]) || IsSeparator(in_[0]))) {
        Advance(1);
        ++skipped_;
      }
    }
  }

  Status CheckConvention(const DateKeyword &keyword) {
    if (keyword.convention == DateConvention::kNone) return OkStatus();
    if (fields_.convention == DateConvention::kNone) fields_.convention = keyword.convention;
    if (fields_.convention == keyword.convention) return OkStatus();
    return BadFormat("invalid combination of date conventions")
        .WithHint(
            "Do not mix Gregorian and ISO week date conventions in a "
            "formatting template.");
  }

  static bool TakesOrdinal(const DateKeyword &keyword) { return keyword.is_digit; }

  static Status Set(int &field, int value, const DateNode &node) {
    if (field != 0 && field != value) {
      return BadFormat("conflicting values for " + Quoted(node.keyword->name) +
                       " field in formatting string")
          .WithDetail(
              "This value contradicts a previous setting for the same "
              "field type.");
    }
    field = value;
    return OkStatus();
  }

  // True if the text's digits for a field end by themselves: no digit field
  // follows.
  bool NextIsSeparator() const {
    if (picture_[index_].ordinal != DateNode::Ordinal::kNone) return true;
    if (index_ + 1 == picture_.size()) return true;
    const DateNode &next = picture_[index_ + 1];
    if (next.kind == DateNode::Kind::kField) return !next.keyword->is_digit;
    return !(next.text.size() == 1 && IsDigit(next.text[0]));
  }

  // strtol: bytes of an optional sign and digits after blanks, 0 if there are
  // no digits.
  static size_t IntegerBytes(std::string_view text) {
    size_t n = 0;
    while (n < text.size() && IsSpace(text[n])) ++n;
    if (n < text.size() && (text[n] == '+' || text[n] == '-')) ++n;
    const size_t first = n;
    while (n < text.size() && IsDigit(text[n])) ++n;
    return n == first ? 0 : n;
  }

  // A number of up to `digits` characters; all there are if the template shows
  // where it ends. *used: bytes consumed.
  Status Integer(const DateNode &node, size_t digits, int *value, size_t *used = nullptr) {
    const std::string name = Quoted(node.keyword->name);
    size_t blanks = 0;
    while (blanks < in_.size() && IsSpace(in_[blanks])) ++blanks;
    const std::string_view limited = in_.substr(blanks).substr(0, digits);
    std::string_view number;
    size_t taken = 0;
    if (node.fill_mode || NextIsSeparator()) {
      taken = IntegerBytes(in_);
      number = in_.substr(0, taken);
    } else {
      const auto hint = [](Status status) {
        return std::move(status).WithHint(
            "If your source string is not fixed-width, try using the \"FM\" "
            "modifier.");
      };
      const std::string needs =
          "Field requires " + std::to_string(digits) + " characters, but only ";
      if (limited.size() < digits) {
        return hint(BadFormat("source string too short for " + name + " formatting field")
                        .WithDetail(needs + std::to_string(limited.size()) + " remain."));
      }
      const size_t n = IntegerBytes(limited);
      if (n > 0 && n < digits) {
        return hint(BadFormat("invalid value " + Quoted(limited) + " for " + name)
                        .WithDetail(needs + std::to_string(n) + " could be parsed."));
      }
      number = limited.substr(0, n);
      taken = n == 0 ? 0 : blanks + n;
    }
    if (taken == 0) {
      return BadFormat("invalid value " + Quoted(limited) + " for " + name)
          .WithDetail("Value must be an integer.");
    }
    Advance(taken);
    if (used != nullptr) *used = taken;
    return Convert(number, name, value);
  }

  static Status Convert(std::string_view number, const std::string &name, int *value) {
    while (IsSpace(number[0])) number.remove_prefix(1);
    if (number[0] == '+') number.remove_prefix(1);
    const auto parsed = std::from_chars(number.data(), number.data() + number.size(), *value);
    if (parsed.ec == std::errc()) return OkStatus();
    return Status(Code::kOutOfRange, "22008",
                  "value for " + name + " in source string is out of range")
        .WithDetail("Value must be in the range -2147483648 to 2147483647.");
  }

  Status IntegerInto(int &field, const DateNode &node, size_t digits = 0) {
    int value = 0;
    RETURN_IF_ERROR(Integer(node, digits == 0 ? node.keyword->name.size() : digits, &value));
    return Set(field, value, node);
  }

  // Index of the first name that the text starts with, whatever its case.
  StatusOr<int> OneOf(std::span<const std::string_view> names, const DateNode &node,
                      size_t prefix = std::string_view::npos) {
    for (size_t i = 0; i < names.size(); ++i) {
      const std::string_view name = names[i].substr(0, prefix);
      if (in_.size() < name.size()) continue;
      size_t k = 0;
      while (k < name.size() && AsciiLower(in_[k]) == name[k]) ++k;
      if (k < name.size()) continue;
      Advance(k);
      return int(i);
    }
    size_t end = 0;
    while (end < in_.size() && !IsSpace(in_[end])) ++end;
    return BadFormat("invalid value " + Quoted(in_.substr(0, end)) + " for " +
                     Quoted(node.keyword->name))
        .WithDetail(
            "The given value did not match any of the allowed values "
            "for this field.");
  }

  Status NameInto(int &field, std::span<const std::string_view> names, const DateNode &node,
                  int base, size_t prefix = std::string_view::npos) {
    ASSIGN_OR_RETURN(const int index, OneOf(names, node, prefix));
    return Set(field, index + base, node);
  }

  // Digits after the decimal point: "25" is 0.25.
  Status FractionInto(int &field, const DateNode &node, size_t digits, size_t unit_digits) {
    int value = 0;
    size_t used = 0;
    RETURN_IF_ERROR(Integer(node, digits, &value, &used));
    RETURN_IF_ERROR(Set(field, value, node));
    for (size_t i = used; i < unit_digits; ++i) field *= 10;
    return OkStatus();
  }

  Status Field(const DateNode &node) {
    switch (node.keyword->field) {
      case DateField::kFixed:
        exact_ = true;
        return OkStatus();
      case DateField::kHalfDay:
        fields_.twelve_hours = true;
        return NameInto(fields_.afternoon, kHalfDays, node, 0);
      case DateField::kHalfDayDotted:
        fields_.twelve_hours = true;
        return NameInto(fields_.afternoon, kHalfDaysDotted, node, 0);
      case DateField::kHour12:
        fields_.twelve_hours = true;
        return IntegerInto(fields_.hour, node, 2);
      case DateField::kHour24:
        return IntegerInto(fields_.hour, node, 2);
      case DateField::kMinute:
        return IntegerInto(fields_.minute, node);
      case DateField::kSecond:
        return IntegerInto(fields_.second, node);
      case DateField::kMillis:
        return FractionInto(fields_.millis, node, 3, 3);
      case DateField::kFraction:
        fields_.fraction_digits = node.keyword->name.back() - '0';
        return FractionInto(fields_.micros, node, size_t(fields_.fraction_digits), 6);
      case DateField::kMicros:
        return FractionInto(fields_.micros, node, 6, 6);
      case DateField::kSecondsOfDay:
        return IntegerInto(fields_.seconds_of_day, node);
      case DateField::kZoneName:
      case DateField::kZoneOffset:
        return Status(
            Code::kUnimplemented, "0A000",
            "formatting field " + Quoted(node.keyword->name) + " is only supported in to_char");
      case DateField::kZoneHours:
        return ZoneHours(node);
      case DateField::kZoneMinutes:
        if (fields_.zone_sign == 0) fields_.zone_sign = 1;
        return IntegerInto(fields_.zone_minutes, node, 2);
      default:
        return CalendarField(node);
    }
  }

  Status CalendarField(const DateNode &node) {
    switch (node.keyword->field) {
      case DateField::kEra:
        return NameInto(fields_.before_christ, kEras, node, 0);
      case DateField::kEraDotted:
        return NameInto(fields_.before_christ, kErasDotted, node, 0);
      case DateField::kMonthName:
        return NameInto(fields_.month, kMonthNames, node, 1);
      case DateField::kMonthShort:
        return NameInto(fields_.month, kMonthNames, node, 1, 3);
      case DateField::kMonthRoman: {
        ASSIGN_OR_RETURN(const int index, OneOf(kRomanMonths, node));
        return Set(fields_.month, 12 - index, node);
      }
      case DateField::kMonth:
        return IntegerInto(fields_.month, node);
      case DateField::kDayName:
      case DateField::kDayShort: {
        const size_t prefix =
            node.keyword->field == DateField::kDayShort ? 3 : std::string_view::npos;
        RETURN_IF_ERROR(NameInto(fields_.day_of_week, kDayNames, node, 0, prefix));
        ++fields_.day_of_week;
        return OkStatus();
      }
      case DateField::kDayOfYear:
      case DateField::kIsoDayOfYear:
        return IntegerInto(fields_.day_of_year, node, 3);
      case DateField::kDay:
        return IntegerInto(fields_.day, node);
      case DateField::kDayOfWeek:
        return IntegerInto(fields_.day_of_week, node);
      case DateField::kIsoDayOfWeek:  // from Monday = 1 to Sunday = 1
        RETURN_IF_ERROR(IntegerInto(fields_.day_of_week, node, 1));
        if (++fields_.day_of_week > 7) fields_.day_of_week = 1;
        return OkStatus();
      case DateField::kWeek:
      case DateField::kIsoWeek:
        return IntegerInto(fields_.week, node);
      case DateField::kWeekOfMonth:
        return IntegerInto(fields_.week_of_month, node);
      case DateField::kQuarter: {  // read and ignored: it names no day
        int ignored = 0;
        return Integer(node, 1, &ignored);
      }
      case DateField::kCentury:
        return IntegerInto(fields_.century, node);
      case DateField::kJulian:
        return IntegerInto(fields_.julian, node);
      case DateField::kYearComma:
        return YearWithComma(node);
      default:
        return Year(node);
    }
  }

  Status ZoneHours(const DateNode &node) {
    if (!in_.empty() && (in_[0] == '+' || in_[0] == '-' || in_[0] == ' ')) {
      fields_.zone_sign = in_[0] == '-' ? -1 : 1;
      Advance(1);
    } else {
      // The minus may have been taken for a separator.
      fields_.zone_sign = skipped_ > 0 && previous_ == '-' ? -1 : 1;
    }
    return IntegerInto(fields_.zone_hours, node, 2);
  }

  Status YearWithComma(const DateNode &node) {
    const size_t thousands = IntegerBytes(in_);
    const bool comma = thousands > 0 && thousands < in_.size() && in_[thousands] == ',';
    const std::string_view rest = comma ? in_.substr(thousands + 1, 3) : std::string_view();
    const size_t n = IntegerBytes(rest);
    if (n == 0) return BadFormat("invalid input string for \"Y,YYY\"");
    const std::string name = Quoted(node.keyword->name);
    int high = 0;
    int low = 0;
    RETURN_IF_ERROR(Convert(in_.substr(0, thousands), name, &high));
    RETURN_IF_ERROR(Convert(rest.substr(0, n), name, &low));
    int year = 0;
    if (__builtin_mul_overflow(high, 1000, &year) || __builtin_add_overflow(year, low, &year)) {
      return BadFormat("value for " + name + " in source string is out of range");
    }
    RETURN_IF_ERROR(Set(fields_.year, year, node));
    fields_.year_digits = 4;
    Advance(thousands + 1 + n);
    return OkStatus();
  }

  // Years of fewer than four digits are those nearest to 2020.
  Status Year(const DateNode &node) {
    const size_t digits = node.keyword->name.size();
    int value = 0;
    size_t used = 0;
    RETURN_IF_ERROR(Integer(node, digits, &value, &used));
    RETURN_IF_ERROR(Set(fields_.year, value, node));
    if (digits < 4 && used < 4) {
      int &year = fields_.year;
      year += year < 70 ? 2000 : year < 100 ? 1900 : year < 520 ? 2000 : year < 1000 ? 1000 : 0;
    }
    fields_.year_digits = int(digits);
    return OkStatus();
  }

  const DatePicture &picture_;
  std::string_view in_;
  RawFields fields_;
  size_t index_ = 0;    // of the current node
  int skipped_ = 0;     // characters skipped beyond those of the template
  char previous_ = 0;   // the last character consumed
  bool exact_ = false;  // FX
};

enum : unsigned { kHasYear = 1, kHasMonth = 2, kHasDay = 4, kHasDate = 7 };

// Puts the fields together: do_to_timestamp of PostgreSQL, in its order of
// precedence.
class Assembler {
 public:
  Assembler(const RawFields &fields, std::string_view text) : f_(fields), text_(text) {
    civil_.year = 0;
  }

  StatusOr<ReadDate> Assemble() {
    RETURN_IF_ERROR(Clock());
    Year();
    if (f_.julian != 0) SetDate(f_.julian);
    Weeks();
    if (f_.week_of_month != 0) f_.day = (f_.week_of_month - 1) * 7 + 1;
    if (f_.day != 0) {
      civil_.day = f_.day;
      has_ |= kHasDay;
    }
    if (f_.month != 0) {
      civil_.month = f_.month;
      has_ |= kHasMonth;
    }
    if (f_.day_of_year != 0 && (civil_.month <= 1 || civil_.day <= 1)) {
      RETURN_IF_ERROR(DayOfYear());
    }
    return Checked();
  }

 private:
  Status Clock() {
    int seconds = f_.seconds_of_day;
    civil_.hour = seconds / 3600;
    civil_.minute = seconds % 3600 / 60;
    civil_.second = seconds % 60;
    if (f_.second != 0) civil_.second = f_.second;
    if (f_.minute != 0) civil_.minute = f_.minute;
    if (f_.hour != 0) civil_.hour = f_.hour;
    if (!f_.twelve_hours) return OkStatus();
    if (civil_.hour < 1 || civil_.hour > 12) {
      return BadFormat("hour \"" + std::to_string(civil_.hour) +
                       "\" is invalid for the 12-hour clock")
          .WithHint("Use the 24-hour clock, or give an hour between 1 and 12.");
    }
    if (f_.afternoon != 0 && civil_.hour < 12) civil_.hour += 12;
    if (f_.afternoon == 0 && civil_.hour == 12) civil_.hour = 0;
    return OkStatus();
  }

  void Year() {
    int64_t century = f_.before_christ != 0 ? -int64_t(f_.century) : f_.century;
    if (f_.year != 0) {
      has_ |= kHasYear;
      if (f_.century != 0 && f_.year_digits <= 2) {
        civil_.year = f_.year % 100;
        if (civil_.year != 0) {
          civil_.year = century >= 0 ? civil_.year + (century - 1) * 100
                                     : (century + 1) * 100 - civil_.year + 1;
        } else {
          civil_.year = century * 100 + (century >= 0 ? 0 : 1);
        }
      } else {
        civil_.year = f_.before_christ != 0 ? -int64_t(f_.year) : f_.year;
        if (civil_.year < 0) ++civil_.year;  // year 0 is 1 BC
      }
    } else if (f_.century != 0) {
      has_ |= kHasYear;
      civil_.year = century >= 0 ? (century - 1) * 100 + 1 : century * 100 + 1;
    }
  }

  void SetDate(int64_t julian) {
    constexpr int64_t kJulianDay2000 = 2451545;
    CivilTime date;
    CivilFromDays(julian - kJulianDay2000, date);
    civil_.year = date.year;
    civil_.month = date.month;
    civil_.day = date.day;
    has_ |= kHasDate;
  }

  void Weeks() {
    if (f_.week == 0) return;
    if (f_.convention != DateConvention::kIsoWeek) {
      f_.day_of_year = int((int64_t(f_.week) - 1) * 7 + 1);
      return;
    }
    const int64_t monday = JulianDayOfIsoWeek(civil_.year, f_.week);
    const int d = f_.day_of_week;
    SetDate(d == 0 ? monday : d > 1 ? monday + d - 2 : monday + 6);
  }

  Status DayOfYear() {
    if (civil_.year == 0 && f_.before_christ == 0) {
      return BadFormat("cannot calculate day of year without year information");
    }
    if (f_.convention == DateConvention::kIsoWeek) {
      SetDate(JulianDayOfIsoWeek(civil_.year, 1) - 1 + f_.day_of_year);
      return OkStatus();
    }
    int month = 1;
    int before = 0;  // days of the months before `month`
    while (month <= 12 && f_.day_of_year > before + DaysInMonth(civil_.year, month)) {
      before += DaysInMonth(civil_.year, month++);
    }
    if (civil_.month <= 1) civil_.month = month;
    if (civil_.day <= 1) civil_.day = f_.day_of_year - before;
    has_ |= kHasMonth | kHasDay;
    return OkStatus();
  }

  StatusOr<ReadDate> Checked() {
    const int64_t micros = int64_t(f_.millis) * 1000 + f_.micros;
    const CivilTime &c = civil_;
    const bool bad_month = (has_ & kHasMonth) != 0 && (c.month < 1 || c.month > 12);
    const bool bad_day = (has_ & kHasDay) != 0 && (c.day < 1 || c.day > 31);
    if (bad_month || bad_day || (has_ == kHasDate && c.day > DaysInMonth(c.year, c.month)) ||
        c.hour < 0 || c.hour >= 24 || c.minute < 0 || c.minute >= 60 || c.second < 0 ||
        c.second >= 60 || micros < 0 || micros >= kMicrosPerSecond) {
      return Status(Code::kOutOfRange, "22008",
                    "date/time field value out of range: " + Quoted(text_));
    }
    ReadDate read;
    civil_.micros = int(micros);
    read.civil = civil_;
    read.fraction_digits = f_.fraction_digits;
    if (f_.zone_sign != 0) {
      if (f_.zone_hours < 0 || f_.zone_hours > 15 || f_.zone_minutes < 0 || f_.zone_minutes >= 60) {
        return Status(Code::kOutOfRange, "22009",
                      "time zone displacement out of range: " + Quoted(text_));
      }
      read.offset_seconds = f_.zone_sign * (f_.zone_hours * 3600 + f_.zone_minutes * 60);
    }
    return read;
  }

  RawFields f_;
  std::string_view text_;
  CivilTime civil_;
  unsigned has_ = 0;
};

}  // namespace

StatusOr<ReadDate> ReadByPicture(const DatePicture &picture, std::string_view text) {
  ASSIGN_OR_RETURN(const RawFields fields, Reader(picture, text).Read());
  return Assembler(fields, text).Assemble();
}

}  // namespace orrery::sql
