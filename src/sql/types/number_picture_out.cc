// to_char of numbers: PostgreSQL's NUM_processor for output, in the C locale
// ('.' and ',').
#include <algorithm>

#include "sql/types/date_picture.h"
#include "sql/types/number_picture.h"

namespace orrery::sql {
namespace {

using SignPlace = NumberPicture::SignPlace;
constexpr size_t kNowhere = std::string::npos;

class Printer {
 public:
  Printer(const NumberPicture &picture, const NumberText &number)
      : p_(picture), number_(number.digits), negative_(number.negative) {}

  std::string Print() {
    if (p_.scientific) return number_;
    Prepare();
    for (const NumberNode &node : p_.nodes) {
      switch (node.field) {
        case NumberField::kText:
          out_ += node.text;
          break;
        case NumberField::kNine:
        case NumberField::kZero:
        case NumberField::kPoint:
          if (!p_.roman) Place(node.field);
          break;
        default:
          Decoration(node);
      }
    }
    // A template with more places than the number has ends in NULs, as
    // PostgreSQL's buffer does.
    return out_.substr(0, out_.find('\0'));
  }

 private:
  char At(size_t i) const { return i < number_.size() ? number_[i] : '\0'; }

  void Prepare() {
    if (p_.zero_start > 0) --p_.zero_start;
    if (p_.roman) {
      const bool fill_mode = p_.fill_mode;
      std::vector<NumberNode> nodes = std::move(p_.nodes);
      p_ = NumberPicture();
      p_.nodes = std::move(nodes);
      p_.fill_mode = fill_mode;
      p_.roman = true;
      return;
    }
    Pad();
    if (p_.plus || p_.minus) {  // MI, PL and SG write the sign themselves
      sign_written_ = p_.minus;
    } else {
      if (!negative_ && p_.fill_mode) p_.brackets = false;
      sign_written_ = !negative_ && p_.fill_mode && !p_.sign;
      if (p_.sign_place == SignPlace::kBefore && p_.pre == p_.digits_before_sign) {
        p_.sign_place = SignPlace::kAfter;
      }
    }
    count_ = p_.post + p_.pre - 1;
    if (p_.fill_mode && p_.decimal) FindLastRelevant();
    if (!sign_written_ && blanks_ == 0) ++count_;
  }

  // Blanks before a short number; a number with too many digits becomes a row
  // of #.
  void Pad() {
    const size_t point = number_.find('.');
    const int digits = int(point == kNowhere ? number_.size() : point);
    if (digits < p_.pre) blanks_ = p_.pre - digits;
    if (digits > p_.pre) {
      number_.assign(size_t(p_.pre + p_.post + 1), '#');
      number_[size_t(p_.pre)] = '.';
    }
  }

  // FM drops zeros at the end unless the template has 0 there.
  void FindLastRelevant() {
    const size_t point = number_.find('.');
    if (point == kNowhere) return;
    last_relevant_ = std::max(point, number_.find_last_not_of('0'));
    if (p_.zero_end > blanks_) {
      const size_t last_zero = std::min(number_.size() - 1, size_t(p_.zero_end - blanks_));
      last_relevant_ = std::max(last_relevant_, last_zero);
    }
  }

  bool EndsAtPoint() const { return last_relevant_ != kNowhere && At(last_relevant_) == '.'; }
  // A zero before the point that the template leaves out: 9.9 prints .1.
  bool IsOmittedZero() const { return !p_.zero && at_ == 0 && At(0) == '0' && p_.post != 0; }

  void WriteSign() {
    if (p_.sign) {
      if (p_.sign_place != SignPlace::kBefore) return;
      out_ += negative_ ? '-' : '+';
    } else if (p_.brackets) {
      out_ += negative_ ? '<' : ' ';
    } else if (negative_) {
      out_ += '-';
    } else if (!p_.fill_mode) {
      out_ += ' ';
    }
    sign_written_ = true;
  }

  // One of 9, 0, '.' and D.
  void Place(NumberField field) {
    in_number_ = false;
    if (!sign_written_ && (current_ >= blanks_ || (p_.zero && p_.zero_start == current_)) &&
        (!IsOmittedZero() || EndsAtPoint())) {
      WriteSign();
    }
    if (current_ < blanks_ && (p_.zero_start > current_ || !p_.zero)) {
      if (!p_.fill_mode) out_ += ' ';
    } else if (p_.zero && current_ < blanks_ && p_.zero_start <= current_) {
      out_ += '0';
      in_number_ = true;
    } else {
      Digit(field);
    }
    int end = count_ + (blanks_ > 0 ? 1 : 0) + (p_.decimal ? 1 : 0);
    if (last_relevant_ != kNowhere && last_relevant_ == at_) end = current_;
    if (current_ + 1 == end) {
      if (sign_written_ && p_.brackets) {
        out_ += negative_ ? '>' : ' ';
      } else if (p_.sign && p_.sign_place == SignPlace::kAfter) {
        out_ += negative_ ? '-' : '+';
      }
    }
    ++current_;
  }

  void Digit(NumberField field) {
    if (At(at_) == '.') {
      if (!EndsAtPoint() || p_.fill_mode) out_ += '.';
    } else if (last_relevant_ != kNowhere && at_ > last_relevant_ && field != NumberField::kZero) {
      // a zero that FM drops
    } else if (IsOmittedZero()) {
      if (!p_.fill_mode) {
        out_ += ' ';
      } else if (EndsAtPoint()) {
        out_ += '0';
      }
    } else {
      out_ += At(at_);
      in_number_ = true;
    }
    if (at_ < number_.size()) ++at_;
  }

  void Decoration(const NumberNode &node) {
    switch (node.field) {
      case NumberField::kComma:
      case NumberField::kGroup:
        if (in_number_) {
          out_ += ',';
        } else if (!p_.fill_mode) {
          out_ += ' ';
        }
        break;
      case NumberField::kCurrency:
        out_ += ' ';  // the C locale has no symbol
        break;
      case NumberField::kRoman:
        Roman(node.lower);
        break;
      case NumberField::kOrdinal:
        if (p_.roman || At(0) == '#' || negative_ || p_.decimal) break;
        out_ += OrdinalSuffix(number_, node.lower ? LetterCase::kLower : LetterCase::kUpper);
        break;
      case NumberField::kMinus:
        SignOrBlank('-', negative_);
        break;
      case NumberField::kPlus:
        SignOrBlank('+', !negative_);
        break;
      case NumberField::kPlusMinus:
        out_ += negative_ ? '-' : '+';
        break;
      default:
        break;
    }
  }

  void SignOrBlank(char sign, bool applies) {
    if (applies) {
      out_ += sign;
    } else if (!p_.fill_mode) {
      out_ += ' ';
    }
  }

  void Roman(bool lower) {
    std::string numeral = number_;
    if (lower) {
      for (char &c : numeral) c = c >= 'A' && c <= 'Z' ? char(c + 32) : c;
    }
    if (!p_.fill_mode && numeral.size() < 15) numeral.insert(0, 15 - numeral.size(), ' ');
    out_ += numeral;
  }

  NumberPicture p_;
  std::string number_;
  bool negative_;
  std::string out_;
  int blanks_ = 0;   // places of the template before the number's first digit
  int count_ = 0;    // places until the end
  int current_ = 0;  // place of the template
  size_t at_ = 0;    // in number_
  size_t last_relevant_ = kNowhere;
  bool sign_written_ = false;
  bool in_number_ = false;  // the last place printed a digit
};

}  // namespace

std::string FormatNumber(NumberPicture picture, const NumberText &number) {
  return Printer(picture, number).Print();
}

}  // namespace orrery::sql
