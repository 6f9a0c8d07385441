#include "sql/types/date_picture.h"

#include "sql/types/utf8.h"

namespace orrery::sql {
namespace {

using F = DateField;
constexpr auto kGreg = DateConvention::kGregorian;
constexpr auto kIso = DateConvention::kIsoWeek;
constexpr auto kNone = DateConvention::kNone;
constexpr auto kLow = LetterCase::kLower;
constexpr auto kCap = LetterCase::kCapital;

// In the order in which they are tried; mixed case other than that listed is no
// keyword.
constexpr DateKeyword kKeywords[] = {
    {"A.D.", F::kEraDotted, false},
    {"A.M.", F::kHalfDayDotted, false},
    {"AD", F::kEra, false},
    {"AM", F::kHalfDay, false},
    {"B.C.", F::kEraDotted, false},
    {"BC", F::kEra, false},
    {"CC", F::kCentury, true},
    {"DAY", F::kDayName, false},
    {"DDD", F::kDayOfYear, true, kGreg},
    {"DD", F::kDay, true, kGreg},
    {"DY", F::kDayShort, false},
    {"Day", F::kDayName, false, kNone, kCap},
    {"Dy", F::kDayShort, false, kNone, kCap},
    {"D", F::kDayOfWeek, true, kGreg},
    {"FF1", F::kFraction, true},
    {"FF2", F::kFraction, true},
    {"FF3", F::kFraction, true},
    {"FF4", F::kFraction, true},
    {"FF5", F::kFraction, true},
    {"FF6", F::kFraction, true},
    {"FX", F::kFixed, false},
    {"HH24", F::kHour24, true},
    {"HH12", F::kHour12, true},
    {"HH", F::kHour12, true},
    {"IDDD", F::kIsoDayOfYear, true, kIso},
    {"ID", F::kIsoDayOfWeek, true, kIso},
    {"IW", F::kIsoWeek, true, kIso},
    {"IYYY", F::kIsoYear, true, kIso},
    {"IYY", F::kIsoYear, true, kIso},
    {"IY", F::kIsoYear, true, kIso},
    {"I", F::kIsoYear, true, kIso},
    {"J", F::kJulian, true},
    {"MI", F::kMinute, true},
    {"MM", F::kMonth, true, kGreg},
    {"MONTH", F::kMonthName, false, kGreg},
    {"MON", F::kMonthShort, false, kGreg},
    {"MS", F::kMillis, true},
    {"Month", F::kMonthName, false, kGreg, kCap},
    {"Mon", F::kMonthShort, false, kGreg, kCap},
    {"OF", F::kZoneOffset, false},
    {"P.M.", F::kHalfDayDotted, false},
    {"PM", F::kHalfDay, false},
    {"Q", F::kQuarter, true},
    {"RM", F::kMonthRoman, false, kGreg},
    {"SSSSS", F::kSecondsOfDay, true},
    {"SSSS", F::kSecondsOfDay, true},
    {"SS", F::kSecond, true},
    {"TZH", F::kZoneHours, false},
    {"TZM", F::kZoneMinutes, true},
    {"TZ", F::kZoneName, false},
    {"US", F::kMicros, true},
    {"WW", F::kWeek, true, kGreg},
    {"W", F::kWeekOfMonth, true, kGreg},
    {"Y,YYY", F::kYearComma, true, kGreg},
    {"YYYY", F::kYear, true, kGreg},
    {"YYY", F::kYear, true, kGreg},
    {"YY", F::kYear, true, kGreg},
    {"Y", F::kYear, true, kGreg},
    {"a.d.", F::kEraDotted, false, kNone, kLow},
    {"a.m.", F::kHalfDayDotted, false, kNone, kLow},
    {"ad", F::kEra, false, kNone, kLow},
    {"am", F::kHalfDay, false, kNone, kLow},
    {"b.c.", F::kEraDotted, false, kNone, kLow},
    {"bc", F::kEra, false, kNone, kLow},
    {"cc", F::kCentury, true},
    {"day", F::kDayName, false, kNone, kLow},
    {"ddd", F::kDayOfYear, true, kGreg},
    {"dd", F::kDay, true, kGreg},
    {"dy", F::kDayShort, false, kNone, kLow},
    {"d", F::kDayOfWeek, true, kGreg},
    {"ff1", F::kFraction, true},
    {"ff2", F::kFraction, true},
    {"ff3", F::kFraction, true},
    {"ff4", F::kFraction, true},
    {"ff5", F::kFraction, true},
    {"ff6", F::kFraction, true},
    {"fx", F::kFixed, false},
    {"hh24", F::kHour24, true},
    {"hh12", F::kHour12, true},
    {"hh", F::kHour12, true},
    {"iddd", F::kIsoDayOfYear, true, kIso},
    {"id", F::kIsoDayOfWeek, true, kIso},
    {"iw", F::kIsoWeek, true, kIso},
    {"iyyy", F::kIsoYear, true, kIso},
    {"iyy", F::kIsoYear, true, kIso},
    {"iy", F::kIsoYear, true, kIso},
    {"i", F::kIsoYear, true, kIso},
    {"j", F::kJulian, true},
    {"mi", F::kMinute, true},
    {"mm", F::kMonth, true, kGreg},
    {"month", F::kMonthName, false, kGreg, kLow},
    {"mon", F::kMonthShort, false, kGreg, kLow},
    {"ms", F::kMillis, true},
    {"of", F::kZoneOffset, false},
    {"p.m.", F::kHalfDayDotted, false, kNone, kLow},
    {"pm", F::kHalfDay, false, kNone, kLow},
    {"q", F::kQuarter, true},
    {"rm", F::kMonthRoman, false, kGreg, kLow},
    {"sssss", F::kSecondsOfDay, true},
    {"ssss", F::kSecondsOfDay, true},
    {"ss", F::kSecond, true},
    {"tzh", F::kZoneHours, false},
    {"tzm", F::kZoneMinutes, true},
    {"tz", F::kZoneName, false, kNone, kLow},
    {"us", F::kMicros, true},
    {"ww", F::kWeek, true, kGreg},
    {"w", F::kWeekOfMonth, true, kGreg},
    {"y,yyy", F::kYearComma, true, kGreg},
    {"yyyy", F::kYear, true, kGreg},
    {"yyy", F::kYear, true, kGreg},
    {"yy", F::kYear, true, kGreg},
    {"y", F::kYear, true, kGreg},
};

const DateKeyword *FindKeyword(std::string_view text) {
  for (const DateKeyword &k : kKeywords) {
    if (text.starts_with(k.name)) return &k;
  }
  return nullptr;
}

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsSeparator(char c) {
  const bool alphanumeric =
      (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  return c > ' ' && c < 0x7f && !alphanumeric;
}

// Takes one of FM, TM before a keyword.
void TakePrefix(std::string_view &in, DateNode &node) {
  const std::string_view prefix = in.substr(0, 2);
  node.fill_mode = prefix == "FM" || prefix == "fm";
  node.translated = prefix == "TM" || prefix == "tm";
  if (node.fill_mode || node.translated) in.remove_prefix(2);
}

// Takes one of TH, th, SP after a keyword.
void TakePostfix(std::string_view &in, DateNode &node) {
  const std::string_view postfix = in.substr(0, 2);
  if (postfix == "TH") node.ordinal = DateNode::Ordinal::kUpper;
  if (postfix == "th") node.ordinal = DateNode::Ordinal::kLower;
  if (postfix == "TH" || postfix == "th" || postfix == "SP") in.remove_prefix(2);
}

void TakeCharacter(std::string_view &in, DateNode::Kind kind, DatePicture &picture) {
  DateNode node;
  node.kind = kind;
  node.text = in.substr(0, Utf8CharBytes(in));
  in.remove_prefix(node.text.size());
  picture.push_back(node);
}

// The rest of a literal in double quotes, in which a backslash takes the next
// character as it is.
void TakeQuoted(std::string_view &in, DatePicture &picture) {
  while (!in.empty()) {
    if (in[0] == '"') {
      in.remove_prefix(1);
      return;
    }
    if (in[0] == '\\' && in.size() > 1) in.remove_prefix(1);
    TakeCharacter(in, DateNode::Kind::kText, picture);
  }
}

}  // namespace

DatePicture ParseDatePicture(std::string_view format) {
  DatePicture picture;
  std::string_view in = format;
  while (!in.empty()) {
    DateNode node;
    TakePrefix(in, node);
    if (in.empty()) break;
    node.keyword = FindKeyword(in);
    if (node.keyword != nullptr) {
      node.kind = DateNode::Kind::kField;
      in.remove_prefix(node.keyword->name.size());
      TakePostfix(in, node);
      picture.push_back(node);
    } else if (in[0] == '"') {
      in.remove_prefix(1);
      TakeQuoted(in, picture);
    } else {
      if (in.starts_with("\\\"")) in.remove_prefix(1);
      TakeCharacter(in,
                    IsSeparator(in[0]) ? DateNode::Kind::kSeparator
                    : IsSpace(in[0])   ? DateNode::Kind::kSpace
                                       : DateNode::Kind::kText,
                    picture);
    }
  }
  return picture;
}

std::string_view OrdinalSuffix(std::string_view digits, LetterCase letters) {
  char last = digits.back();
  if (digits.size() > 1 && digits[digits.size() - 2] == '1') last = '0';  // 11th, 12th, 13th
  const bool upper = letters == LetterCase::kUpper;
  switch (last) {
    case '1':
      return upper ? "ST" : "st";
    case '2':
      return upper ? "ND" : "nd";
    case '3':
      return upper ? "RD" : "rd";
    default:
      return upper ? "TH" : "th";
  }
}

int64_t JulianDay(int64_t year, int month, int64_t day) {
  if (month > 2) {
    month += 1;
    year += 4800;
  } else {
    month += 13;
    year += 4799;
  }
  const int64_t century = year / 100;
  return year * 365 - 32167 + year / 4 - century + century / 4 + 7834 * month / 256 + day;
}

int64_t JulianDayOfIsoWeek(int64_t iso_year, int64_t week) {
  const int64_t fourth = JulianDay(iso_year, 1, 4);
  int64_t from_monday = fourth % 7;  // Julian day 0 is a Monday
  if (from_monday < 0) from_monday += 7;
  return (week - 1) * 7 + fourth - from_monday;
}

}  // namespace orrery::sql
