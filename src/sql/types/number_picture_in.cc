// to_number: PostgreSQL's NUM_processor for input, in the C locale ('.' and
// ',').
#include "sql/types/number_picture.h"
#include "sql/types/utf8.h"

namespace orrery::sql {
namespace {

using SignPlace = NumberPicture::SignPlace;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

class Scanner {
 public:
  Scanner(const NumberPicture &picture, std::string_view text) : p_(picture), text_(text) {}

  ReadNumber Scan() {
    for (const NumberNode &node : p_.nodes) {
      if (AtEnd()) break;
      Node(node);
    }
    if (digits_.ends_with('.')) digits_.pop_back();
    return {sign_ + digits_, read_post_};
  }

 private:
  bool AtEnd() const { return at_ >= text_.size(); }
  char Now() const { return AtEnd() ? '\0' : text_[at_]; }
  void SkipCharacter() {
    if (!AtEnd()) at_ += Utf8CharBytes(text_.substr(at_));
  }
  // Up to `n` characters that are no part of a number.
  void SkipOthers(int n) {
    while (n-- > 0 && !AtEnd() &&
           std::string_view("0123456789.,+-").find(Now()) == std::string_view::npos) {
      SkipCharacter();
    }
  }

  void Node(const NumberNode &node) {
    switch (node.field) {
      case NumberField::kText:
        SkipCharacter();
        break;
      case NumberField::kNine:
      case NumberField::kZero:
      case NumberField::kPoint:
        Place(node.field);
        ++at_;
        break;
      case NumberField::kComma:
      case NumberField::kGroup:
        if (!p_.fill_mode && Now() == ',') ++at_;
        break;
      case NumberField::kCurrency:
        SkipOthers(1);
        break;
      case NumberField::kOrdinal:
        if (!p_.decimal) SkipOthers(2);
        break;
      case NumberField::kMinus:
        SignOrOther(Now() == '-');
        break;
      case NumberField::kPlus:
        SignOrOther(Now() == '+');
        break;
      case NumberField::kPlusMinus:
        SignOrOther(Now() == '-' || Now() == '+');
        break;
      default:
        break;
    }
  }

  void SignOrOther(bool is_sign) {
    if (is_sign) {
      sign_ = text_[at_++];
    } else {
      SkipOthers(1);
    }
  }

  // One of 9, 0, '.' and D. Leaves at_ on the last character used.
  void Place(NumberField field) {
    if (Now() == ' ') ++at_;
    if (AtEnd()) return;
    if (sign_ == ' ' && field != NumberField::kPoint && read_pre_ + read_post_ == 0) LeadingSign();
    if (AtEnd()) return;
    bool read = false;
    if (IsDigit(Now())) {
      if (read_point_ && read_post_ == p_.post) return;
      digits_ += Now();
      ++(read_point_ ? read_post_ : read_pre_);
      read = true;
    } else if (p_.decimal && !read_point_ && Now() == '.') {
      digits_ += '.';
      read_point_ = true;
      read = true;
    }
    if (sign_ == ' ' && read_pre_ + read_post_ > 0) TrailingSign(read);
  }

  void LeadingSign() {
    if (p_.sign && p_.sign_place == SignPlace::kBefore) {
      if (Now() == '-' || Now() == '+') sign_ = text_[at_++];
    } else if (Now() == '-' || (p_.brackets && Now() == '<')) {
      sign_ = '-';
      ++at_;
    } else if (Now() == '+') {
      sign_ = '+';
      ++at_;
    }
  }

  // A sign right behind the last digit: S is anchored there, MI, PL and SG
  // where no digit was.
  void TrailingSign(bool read) {
    if (p_.sign) {
      const char next = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
      if (read && (next == '-' || next == '+')) {
        sign_ = next;
        ++at_;
      }
    } else if (!read && (p_.plus || p_.minus) && (Now() == '-' || Now() == '+')) {
      sign_ = Now();
    }
  }

  const NumberPicture &p_;
  std::string_view text_;
  size_t at_ = 0;
  char sign_ = ' ';
  std::string digits_;
  int read_pre_ = 0;
  int read_post_ = 0;
  bool read_point_ = false;
};

}  // namespace

StatusOr<ReadNumber> ReadNumberByPicture(const NumberPicture &picture, std::string_view text) {
  const std::string_view refused = picture.scientific ? "\"EEEE\"" : picture.roman ? "\"RN\"" : "";
  if (!refused.empty()) {
    return Status(Code::kUnimplemented, "0A000", std::string(refused) + " not supported for input");
  }
  return Scanner(picture, text).Scan();
}

}  // namespace orrery::sql
