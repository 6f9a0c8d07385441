// to_char of dates, times and intervals.
#include <cinttypes>
#include <cstdio>

#include "sql/types/date_picture.h"
#include "sql/types/datetime_words.h"

namespace orrery::sql {
namespace {

// Zero-padded to `width` characters, the sign included; 0: not padded.
std::string Padded(int64_t value, int width) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*" PRId64, width, value);
  return text;
}

std::string WithCase(std::string_view word, LetterCase letters) {
  std::string out(word);
  for (size_t i = 0; i < out.size(); ++i) {
    const bool upper = letters == LetterCase::kUpper || (letters == LetterCase::kCapital && i == 0);
    if (upper && out[i] >= 'a' && out[i] <= 'z') out[i] = char(out[i] - 32);
    if (letters == LetterCase::kLower && out[i] >= 'A' && out[i] <= 'Z') out[i] = char(out[i] + 32);
  }
  return out;
}

class Formatter {
 public:
  explicit Formatter(const DateParts &parts) : p_(parts) {}

  Status Append(const DateNode &node, std::string &out) {
    const DateField f = node.keyword->field;
    if (p_.is_interval && NeedsDate(f)) {
      return Status(Code::kInvalidArgument, "22007",
                    "invalid format specification for an interval value")
          .WithHint("Intervals are not tied to specific calendar dates.");
    }
    if (const auto word = Word(node)) {
      out += *word;
      return OkStatus();
    }
    const std::optional<std::string> number = Number(node);
    if (!number) return OkStatus();
    out += *number;
    if (node.ordinal != DateNode::Ordinal::kNone) {
      out += OrdinalSuffix(*number, node.ordinal == DateNode::Ordinal::kUpper ? LetterCase::kUpper
                                                                              : LetterCase::kLower);
    }
    return OkStatus();
  }

 private:
  static bool NeedsDate(DateField f) {
    switch (f) {
      case DateField::kZoneName:
      case DateField::kZoneHours:
      case DateField::kZoneMinutes:
      case DateField::kZoneOffset:
      case DateField::kEra:
      case DateField::kEraDotted:
      case DateField::kMonthName:
      case DateField::kMonthShort:
      case DateField::kDayName:
      case DateField::kDayShort:
      case DateField::kDayOfWeek:
      case DateField::kIsoDayOfWeek:
        return true;
      default:
        return false;
    }
  }

  // Names are padded to nine characters, the longest month's.
  static std::string Name(const DateNode &node, std::string_view name, size_t width) {
    std::string word = WithCase(name, node.keyword->letters);
    if (!node.fill_mode && !node.translated && word.size() < width) {
      word.append(width - word.size(), ' ');
    }
    return word;
  }

  // Fields that are words; nullopt for the others.
  std::optional<std::string> Word(const DateNode &node) const {
    const LetterCase letters = node.keyword->letters;
    const bool afternoon = p_.hour % 24 >= 12;
    switch (node.keyword->field) {
      case DateField::kFixed:
        return "";
      case DateField::kHalfDay:
        return WithCase(afternoon ? "pm" : "am", letters);
      case DateField::kHalfDayDotted: {
        std::string word = afternoon ? "p.m." : "a.m.";
        return WithCase(word, letters);
      }
      case DateField::kEra:
        return WithCase(p_.year <= 0 ? "bc" : "ad", letters);
      case DateField::kEraDotted:
        return WithCase(p_.year <= 0 ? "b.c." : "a.d.", letters);
      case DateField::kZoneName:
        return letters == LetterCase::kLower ? WithCase(p_.zone_name, letters)
                                             : std::string(p_.zone_name);
      case DateField::kMonthName:
        return Name(node, kMonthNames[p_.month - 1], 9);
      case DateField::kMonthShort:
        return Name(node, kMonthNames[p_.month - 1].substr(0, 3), 0);
      case DateField::kDayName:
        return Name(node, kDayNames[p_.day_of_week], 9);
      case DateField::kDayShort:
        return Name(node, kDayNames[p_.day_of_week].substr(0, 3), 0);
      case DateField::kMonthRoman:
        return RomanMonth(node);
      case DateField::kZoneHours:
        return Offset(2, "");
      case DateField::kZoneMinutes:
        return Padded(std::abs(p_.offset_seconds) % 3600 / 60, 2);
      case DateField::kZoneOffset: {
        const int minutes = std::abs(p_.offset_seconds) % 3600;
        return Offset(node.fill_mode ? 0 : 2, minutes == 0 ? "" : ":" + Padded(minutes / 60, 2));
      }
      default:
        return std::nullopt;
    }
  }

  std::string Offset(int width, const std::string &minutes) const {
    return (p_.offset_seconds >= 0 ? "+" : "-") +
           Padded(std::abs(p_.offset_seconds) / 3600, width) + minutes;
  }

  // Full years of an interval count as December, resp. January backwards.
  std::string RomanMonth(const DateNode &node) const {
    if (p_.month == 0 && p_.year == 0) return "";
    const int index = p_.month == 0  ? (p_.year >= 0 ? 0 : 11)
                      : p_.month < 0 ? -(p_.month + 1)
                                     : 12 - p_.month;
    std::string word = WithCase(kRomanMonths[index], node.keyword->letters);
    if (!node.fill_mode && word.size() < 4) word.append(4 - word.size(), ' ');
    return word;
  }

  // Fields that are numbers; nullopt: nothing is printed.
  std::optional<std::string> Number(const DateNode &node) const {
    // Negative fields of intervals get one more character, for the sign.
    const auto padded = [&](int64_t value, int64_t sign_of, int width) {
      return Padded(value, node.fill_mode ? 0 : sign_of >= 0 ? width : width + 1);
    };
    const auto unsigned_padded = [&](int64_t value, int width) {
      return Padded(value, node.fill_mode ? 0 : width);
    };
    switch (node.keyword->field) {
      case DateField::kHour12:
        return padded(p_.hour % 12 == 0 ? 12 : p_.hour % 12, p_.hour, 2);
      case DateField::kHour24:
        return padded(p_.hour, p_.hour, 2);
      case DateField::kMinute:
        return padded(p_.minute, p_.minute, 2);
      case DateField::kSecond:
        return padded(p_.second, p_.second, 2);
      case DateField::kMillis:
        return Fraction(3);
      case DateField::kMicros:
        return Fraction(6);
      case DateField::kFraction:
        return Fraction(node.keyword->name.back() - '0');
      case DateField::kSecondsOfDay:
        return std::to_string(p_.hour * 3600 + p_.minute * 60 + p_.second);
      case DateField::kMonth:
        return padded(p_.month, p_.month, 2);
      case DateField::kDay:
        return unsigned_padded(p_.day, 2);
      case DateField::kDayOfYear:
        return unsigned_padded(p_.day_of_year, 3);
      case DateField::kIsoDayOfYear:
        return unsigned_padded(Julian() - JulianDayOfIsoWeek(IsoYear(), 1) + 1, 3);
      case DateField::kDayOfWeek:
        return std::to_string(p_.day_of_week + 1);
      case DateField::kIsoDayOfWeek:
        return std::to_string(p_.day_of_week == 0 ? 7 : p_.day_of_week);
      case DateField::kWeek:
        return unsigned_padded((p_.day_of_year - 1) / 7 + 1, 2);
      case DateField::kIsoWeek:
        return unsigned_padded((Julian() - JulianDayOfIsoWeek(IsoYear(), 1)) / 7 + 1, 2);
      case DateField::kWeekOfMonth:
        return std::to_string((p_.day - 1) / 7 + 1);
      case DateField::kQuarter:
        if (p_.month == 0) return std::nullopt;
        return std::to_string((p_.month - 1) / 3 + 1);
      case DateField::kJulian:
        return std::to_string(Julian());
      default:
        return Year(node);
    }
  }

  std::string Year(const DateNode &node) const {
    const int64_t year = Displayed(p_.year);
    if (node.keyword->field == DateField::kCentury) {
      const int64_t century = p_.is_interval ? p_.year / 100
                              : p_.year > 0  ? (p_.year - 1) / 100 + 1
                                             : p_.year / 100 - 1;
      if (century > 99 || century < -99) return std::to_string(century);
      return Padded(century, node.fill_mode ? 0 : century >= 0 ? 2 : 3);
    }
    if (node.keyword->field == DateField::kYearComma) {
      const int64_t thousands = year / 1000;
      return std::to_string(thousands) + "," + Padded(year - thousands * 1000, 3);
    }
    const bool iso = node.keyword->field == DateField::kIsoYear;
    const int64_t value = iso ? Displayed(IsoYear()) : year;
    switch (node.keyword->name.size()) {
      case 4:
        return Padded(value, node.fill_mode ? 0 : year >= 0 ? 4 : 5);
      case 3:
        return Padded(value % 1000, node.fill_mode ? 0 : year >= 0 ? 3 : 4);
      case 2:
        return Padded(value % 100, node.fill_mode ? 0 : year >= 0 ? 2 : 3);
      default:
        return std::to_string(value % 10);
    }
  }

  std::string Fraction(int digits) const {
    int64_t value = p_.micros;
    for (int i = digits; i < 6; ++i) value /= 10;
    return Padded(value, digits);
  }

  // Years before Christ are printed without a sign: the era tells them.
  int64_t Displayed(int64_t year) const { return p_.is_interval || year > 0 ? year : 1 - year; }
  int64_t Julian() const { return JulianDay(p_.year, p_.month, p_.day); }
  int64_t IsoYear() const {
    const int64_t day = Julian();
    if (day < JulianDayOfIsoWeek(p_.year, 1)) return p_.year - 1;
    return day >= JulianDayOfIsoWeek(p_.year + 1, 1) ? p_.year + 1 : p_.year;
  }

  const DateParts &p_;
};

}  // namespace

StatusOr<std::string> FormatDateParts(const DatePicture &picture, const DateParts &parts) {
  std::string out;
  Formatter formatter(parts);
  for (const DateNode &node : picture) {
    if (node.kind == DateNode::Kind::kField) {
      RETURN_IF_ERROR(formatter.Append(node, out));
    } else {
      out += node.text;
    }
  }
  return out;
}

}  // namespace orrery::sql
