// Text form of arrays: PostgreSQL documentation, section 8.15.6.
#include <charconv>

#include "orrery/sql/types/array.h"
#include "orrery/sql/types/text_io.h"

namespace orrery::sql {
namespace {

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool IsNullWord(std::string_view text) {
  if (text.size() != 4) return false;
  for (size_t i = 0; i < 4; ++i) {
    if ((text[i] | 0x20) != "null"[i]) return false;
  }
  return true;
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty() || IsNullWord(text)) return true;
  for (const char c : text) {
    if (c == '"' || c == '\\' || c == '{' || c == '}' || c == ',' || IsSpace(c)) return true;
  }
  return false;
}

class Parser {
 public:
  Parser(Type element, std::string_view text, const FormatContext& context)
      : element_(element), text_(text), context_(context) {
    out_.element = element.oid;
  }

  StatusOr<Datum> Parse() {
    RETURN_IF_ERROR(Bounds());
    if (!Is('{')) return Bad("Array value must start with \"{\" or dimension information.");
    RETURN_IF_ERROR(Level(0));
    SkipSpace();
    if (at_ < text_.size()) return Bad("Junk after closing right brace.");
    if (out_.elements.empty()) {
      out_.dimensions.clear();
      return out_.Pack();
    }
    for (const int32_t length : lengths_) out_.dimensions.push_back({length, 1});
    if (!bounds_.empty()) {
      if (bounds_.size() != out_.dimensions.size()) return Bad("Specified array dimensions do not match array contents.");
      for (size_t i = 0; i < bounds_.size(); ++i) {
        if (bounds_[i].length != out_.dimensions[i].length) return Bad("Specified array dimensions do not match array contents.");
        out_.dimensions[i].lower = bounds_[i].lower;
      }
    }
    return out_.Pack();
  }

 private:
  Status Bad(std::string_view detail) const {
    return Status(Code::kInvalidArgument, "22P02", "malformed array literal: \"" + std::string(text_) + "\"").WithDetail(detail);
  }
  void SkipSpace() {
    while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
  }
  bool Is(char c) {
    SkipSpace();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool Take(char c) {
    if (!Is(c)) return false;
    ++at_;
    return true;
  }
  bool Int(int32_t& value) {
    const char* const begin = text_.data() + at_ + (at_ < text_.size() && text_[at_] == '+');
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error != std::errc()) return false;
    at_ = size_t(end - text_.data());
    return true;
  }

  // [1:3][0:2]=
  Status Bounds() {
    while (Take('[')) {
      if (bounds_.size() == Array::kDimensionsMax) return Bad("Too many dimensions.");
      ArrayDimension d;
      int32_t upper = 0;
      if (!Int(upper)) return Bad("\"[\" must introduce explicitly-specified array dimensions.");
      if (Take(':')) {
        d.lower = upper;
        if (!Int(upper)) return Bad("Missing array dimension value.");
      }
      if (!Take(']')) return Bad("Missing \"]\" after array dimensions.");
      if (upper < d.lower) return Status(Code::kInvalidArgument, "2202E", "upper bound cannot be less than lower bound");
      d.length = upper - d.lower + 1;
      bounds_.push_back(d);
    }
    if (!bounds_.empty() && !Take('=')) return Bad("Missing \"=\" after array dimensions.");
    return OkStatus();
  }

  // One pair of braces, `depth` pairs inside of the outermost.
  Status Level(size_t depth) {
    ++at_;
    if (depth >= Array::kDimensionsMax) {
      return Status(Code::kResourceExhausted, "54000", "number of array dimensions (" + std::to_string(depth + 1) +
                                                           ") exceeds the maximum allowed (6)");
    }
    int32_t count = 0;
    if (!Take('}')) {
      do {
        SkipSpace();
        const bool nested = Is('{');
        if (nested ? leaf_ == depth : leaf_ != kUnknown && leaf_ != depth) return Mismatch();
        if (!nested) leaf_ = depth;
        RETURN_IF_ERROR(nested ? Level(depth + 1) : Element());
        ++count;
      } while (Take(','));
      if (!Take('}')) {
        if (at_ >= text_.size()) return Bad("Unexpected end of input.");
        return Bad("Unexpected array element.");
      }
    }
    if (lengths_.size() <= depth) lengths_.resize(depth + 1, -1);
    if (lengths_[depth] >= 0 && lengths_[depth] != count) return Mismatch();
    lengths_[depth] = count;
    return OkStatus();
  }
  Status Mismatch() const { return Bad("Multidimensional arrays must have sub-arrays with matching dimensions."); }

  Status Element() {
    std::string value;
    bool escaped = false;
    if (Take('"')) {
      escaped = true;
      for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
        if (text_[at_] == '\\' && ++at_ >= text_.size()) break;
        value += text_[at_];
      }
      if (at_ >= text_.size()) return Bad("Unexpected end of input.");
      ++at_;
    } else {
      size_t kept = 0;  // trailing blanks do not count, unless escaped
      for (; at_ < text_.size() && text_[at_] != ',' && text_[at_] != '}'; ++at_) {
        char c = text_[at_];
        if (c == '{' || c == '"') return Bad(c == '"' ? "Unexpected array element." : "Unexpected \"{\" character.");
        const bool quoted = c == '\\' && at_ + 1 < text_.size();
        if (quoted) c = text_[++at_];
        escaped = escaped || quoted;
        value += c;
        if (quoted || !IsSpace(c)) kept = value.size();
      }
      if (at_ >= text_.size()) return Bad("Unexpected end of input.");
      value.resize(kept);
      if (value.empty()) return Bad(std::string("Unexpected \"") + text_[at_] + "\" character.");
    }
    if (!escaped && IsNullWord(value)) {
      out_.elements.emplace_back();
      return OkStatus();
    }
    ASSIGN_OR_RETURN(Datum datum, ParseText(element_, value, context_));
    out_.elements.push_back(std::move(datum));
    return OkStatus();
  }

  static constexpr size_t kUnknown = SIZE_MAX;

  const Type element_;
  const std::string_view text_;
  const FormatContext& context_;
  size_t at_ = 0;
  size_t leaf_ = kUnknown;  // how deep elements stand
  std::vector<int32_t> lengths_;
  std::vector<ArrayDimension> bounds_;
  Array out_;
};

void AppendLevel(const Array& array, size_t depth, size_t& next, const FormatContext& context, std::string& out) {
  out += '{';
  for (int32_t i = 0; i < array.dimensions[depth].length; ++i) {
    if (i > 0) out += ',';
    if (depth + 1 < array.dimensions.size()) {
      AppendLevel(array, depth + 1, next, context, out);
      continue;
    }
    const Datum& element = array.elements[next++];
    if (element.is_null()) {
      out += "NULL";
      continue;
    }
    const std::string text = FormatText(array.element, element, context);
    if (!NeedsQuotes(text)) {
      out += text;
      continue;
    }
    out += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  out += '}';
}

}  // namespace

Datum MakeVector(Oid element, const std::vector<int64_t>& values) {
  Array array;
  array.element = element;
  array.dimensions.push_back({int32_t(values.size()), 0});
  for (const int64_t value : values) array.elements.push_back(Datum::Int(value));
  return array.Pack();
}

StatusOr<Datum> ParseVector(Oid element, std::string_view text, const FormatContext& context) {
  std::vector<int64_t> values;
  for (size_t at = 0; at < text.size();) {
    if (IsSpace(text[at])) {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < text.size() && !IsSpace(text[end])) ++end;
    ASSIGN_OR_RETURN(const Datum value, ParseText({element, -1}, text.substr(at, end - at), context));
    values.push_back(value.as_int());
    at = end;
  }
  return MakeVector(element, values);
}

void AppendVectorText(const Datum& vector, std::string& out) {
  bool first = true;
  for (const Datum& value : Array::Unpack(vector).elements) {
    if (!first) out += ' ';
    first = false;
    out += std::to_string(value.as_int());
  }
}

StatusOr<Datum> ParseArray(Type element, std::string_view text, const FormatContext& context) {
  return Parser(element, text, context).Parse();
}

void AppendArrayText(const Datum& value, const FormatContext& context, std::string& out) {
  const Array array = Array::Unpack(value);
  if (array.dimensions.empty()) {
    out += "{}";
    return;
  }
  bool plain = true;
  for (const ArrayDimension& d : array.dimensions) plain = plain && d.lower == 1;
  if (!plain) {
    for (const ArrayDimension& d : array.dimensions) {
      out += "[" + std::to_string(d.lower) + ":" + std::to_string(int64_t(d.lower) + d.length - 1) + "]";
    }
    out += "=";
  }
  size_t next = 0;
  AppendLevel(array, 0, next, context, out);
}

}  // namespace orrery::sql
