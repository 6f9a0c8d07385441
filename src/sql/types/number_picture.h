// Templates of to_char and to_number for numbers (PostgreSQL documentation,
// section 9.8, tables 9.29 and 9.30), and both directions of using them. Pure
// functions; a NumberPicture borrows the template's text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status_or.h"

namespace orrery::sql {

enum class NumberField : uint8_t {
  kText,
  kComma,
  kPoint,
  kZero,
  kNine,
  kBlank,
  kNothing,
  kScientific,
  kFillMode,
  kGroup,
  kCurrency,
  kMinus,
  kPlus,
  kPlusMinus,
  kBrackets,
  kRoman,
  kSign,
  kOrdinal,
  kShift,
};

struct NumberNode {
  NumberField field = NumberField::kText;
  bool lower = false;     // rn, th
  std::string_view text;  // kText: one character
};

struct NumberPicture {
  enum class SignPlace : uint8_t { kNone, kBefore, kAfter };
  std::vector<NumberNode> nodes;
  int pre = 0;         // digits before the decimal point
  int post = 0;        // digits after it
  int zero_start = 0;  // the first 0 before the point, counted from 1; 0 if there is none
  int zero_end = 0;    // the last 0
  int shift = 0;       // digits after V
  SignPlace sign_place = SignPlace::kNone;  // of S
  int digits_before_sign = 0;               // of S before the point
  bool decimal = false, sign = false, fill_mode = false, brackets = false, blank = false,
       zero = false, minus = false, plus = false, roman = false, shifted = false,
       scientific = false;
};
// 42601 for patterns that do not go together.
StatusOr<NumberPicture> ParseNumberPicture(std::string_view format);

// A number ready to be printed: `digits` are those of |value| with post digits
// after the point, or the whole result where the template is RN or EEEE.
struct NumberText {
  std::string digits;
  bool negative = false;
};
std::string FormatNumber(NumberPicture picture, const NumberText &number);

// The number that a text shows by a template, as numeric's input takes it, and
// its digits after the point.
struct ReadNumber {
  std::string text;
  int post = 0;
};
// 0A000 for RN and EEEE.
StatusOr<ReadNumber> ReadNumberByPicture(const NumberPicture &picture, std::string_view text);

// Roman numerals of 1…3999; fifteen # for other numbers.
std::string RomanNumeral(int64_t value);

}  // namespace orrery::sql
