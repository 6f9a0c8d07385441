#include "sql/types/number_picture.h"

#include "sql/types/utf8.h"

namespace orrery::sql {
namespace {

using F = NumberField;

struct NumberKeyword {
  std::string_view name;  // upper case; lower case is the same but for RN and TH
  NumberField field;
};
constexpr NumberKeyword kKeywords[] = {
    {",", F::kComma},     {".", F::kPoint},     {"0", F::kZero},     {"9", F::kNine},
    {"B", F::kBlank},     {"C", F::kNothing},   {"D", F::kPoint},    {"EEEE", F::kScientific},
    {"FM", F::kFillMode}, {"G", F::kGroup},     {"L", F::kCurrency}, {"MI", F::kMinus},
    {"PL", F::kPlus},     {"PR", F::kBrackets}, {"RN", F::kRoman},   {"SG", F::kPlusMinus},
    {"SP", F::kNothing},  {"S", F::kSign},      {"TH", F::kOrdinal}, {"V", F::kShift},
};

// A keyword is all in upper or all in lower case.
const NumberKeyword *FindKeyword(std::string_view text, bool &lower) {
  for (const NumberKeyword &k : kKeywords) {
    if (text.size() < k.name.size()) continue;
    bool is_upper = true;
    bool is_lower = true;
    for (size_t i = 0; i < k.name.size(); ++i) {
      const char letter = k.name[i];
      is_upper = is_upper && text[i] == letter;
      is_lower =
          is_lower && text[i] == (letter >= 'A' && letter <= 'Z' ? char(letter + 32) : letter);
    }
    if (!is_upper && !is_lower) continue;
    lower = is_lower;
    return &k;
  }
  return nullptr;
}

Status BadTemplate(std::string_view message) {
  return Status(Code::kInvalidArgument, "42601", message);
}

Status AddDigit(F field, NumberPicture &p) {
  if (p.brackets) {
    return BadTemplate(field == F::kNine ? "\"9\" must be ahead of \"PR\""
                                         : "\"0\" must be ahead of \"PR\"");
  }
  if (field == F::kNine && p.shifted) {
    ++p.shift;
    return OkStatus();
  }
  if (field == F::kZero && !p.zero && !p.decimal) {
    p.zero = true;
    p.zero_start = p.pre + 1;
  }
  ++(p.decimal ? p.post : p.pre);
  if (field == F::kZero) p.zero_end = p.pre + p.post;
  return OkStatus();
}

Status AddSign(F field, NumberPicture &p) {
  switch (field) {
    case F::kSign:
      if (p.sign) return BadTemplate("cannot use \"S\" twice");
      if (p.plus || p.minus || p.brackets) {
        return BadTemplate("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together");
      }
      p.sign = true;
      p.sign_place =
          p.decimal ? NumberPicture::SignPlace::kAfter : NumberPicture::SignPlace::kBefore;
      if (!p.decimal) p.digits_before_sign = p.pre;
      return OkStatus();
    case F::kMinus:
      if (p.sign) return BadTemplate("cannot use \"S\" and \"MI\" together");
      p.minus = true;
      return OkStatus();
    case F::kPlus:
      if (p.sign) return BadTemplate("cannot use \"S\" and \"PL\" together");
      p.plus = true;
      return OkStatus();
    case F::kPlusMinus:
      if (p.sign) return BadTemplate("cannot use \"S\" and \"SG\" together");
      p.minus = p.plus = true;
      return OkStatus();
    default:
      if (p.sign || p.plus || p.minus) {
        return BadTemplate("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together");
      }
      p.brackets = true;
      return OkStatus();
  }
}

Status AddKeyword(F field, NumberPicture &p) {
  if (p.scientific && field != F::kScientific) {
    return BadTemplate("\"EEEE\" must be the last pattern used");
  }
  switch (field) {
    case F::kNine:
    case F::kZero:
      return AddDigit(field, p);
    case F::kPoint:
      if (p.decimal) return BadTemplate("multiple decimal points");
      if (p.shifted) return BadTemplate("cannot use \"V\" and decimal point together");
      p.decimal = true;
      return OkStatus();
    case F::kShift:
      if (p.decimal) return BadTemplate("cannot use \"V\" and decimal point together");
      p.shifted = true;
      return OkStatus();
    case F::kBlank:
      if (p.pre == 0 && p.post == 0 && !p.zero) p.blank = true;
      return OkStatus();
    case F::kFillMode:
      p.fill_mode = true;
      return OkStatus();
    case F::kRoman:
      p.roman = true;
      return OkStatus();
    case F::kScientific:
      if (p.scientific) return BadTemplate("cannot use \"EEEE\" twice");
      if (p.blank || p.fill_mode || p.sign || p.brackets || p.minus || p.plus || p.roman ||
          p.shifted) {
        return BadTemplate("\"EEEE\" is incompatible with other formats")
            .WithDetail(
                "\"EEEE\" may only be used together with digit and "
                "decimal point patterns.");
      }
      p.scientific = true;
      return OkStatus();
    case F::kSign:
    case F::kMinus:
    case F::kPlus:
    case F::kPlusMinus:
    case F::kBrackets:
      return AddSign(field, p);
    default:
      return OkStatus();
  }
}

void TakeCharacter(std::string_view &in, NumberPicture &p) {
  NumberNode node;
  node.text = in.substr(0, Utf8CharBytes(in));
  in.remove_prefix(node.text.size());
  p.nodes.push_back(node);
}

}  // namespace

StatusOr<NumberPicture> ParseNumberPicture(std::string_view format) {
  NumberPicture p;
  std::string_view in = format;
  while (!in.empty()) {
    NumberNode node;
    if (const NumberKeyword *k = FindKeyword(in, node.lower)) {
      in.remove_prefix(k->name.size());
      node.field = k->field;
      RETURN_IF_ERROR(AddKeyword(k->field, p));
      p.nodes.push_back(node);
    } else if (in[0] == '"') {
      in.remove_prefix(1);
      while (!in.empty() && in[0] != '"') {
        if (in[0] == '\\' && in.size() > 1) in.remove_prefix(1);
        TakeCharacter(in, p);
      }
      if (!in.empty()) in.remove_prefix(1);
    } else {
      if (in.starts_with("\\\"")) in.remove_prefix(1);
      TakeCharacter(in, p);
    }
  }
  return p;
}

std::string RomanNumeral(int64_t value) {
  if (value < 1 || value > 3999) return std::string(15, '#');
  constexpr std::pair<int, const char *> kParts[] = {
      {1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"},
      {40, "XL"},  {10, "X"},   {9, "IX"},  {5, "V"},    {4, "IV"},  {1, "I"}};
  std::string out;
  for (const auto &[amount, letters] : kParts) {
    for (; value >= amount; value -= amount) out += letters;
  }
  return out;
}

}  // namespace orrery::sql
