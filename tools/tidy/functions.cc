#include <algorithm>

#include "tidy.h"

namespace tidy {
namespace {

enum class Block { kNamespace, kType, kFunction, kOther };

bool HasWord(std::string_view text, std::string_view word) {
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
    const bool left = at == 0 || !is_word(text[at - 1]);
    const size_t end = at + word.size();
    if (left && (end == text.size() || !is_word(text[end]))) return true;
  }
  return false;
}

// What the block opened after `head` (the code since the last ; { or }) is.
Block Classify(std::string_view head, Block parent) {
  if (HasWord(head, "namespace") || head.find("extern") != std::string_view::npos) return Block::kNamespace;
  if (parent != Block::kNamespace && parent != Block::kType) return Block::kOther;
  const bool type = HasWord(head, "class") || HasWord(head, "struct") || HasWord(head, "union") || HasWord(head, "enum");
  const bool parameters = head.find('(') != std::string_view::npos;
  if (parameters && !(type && head.find(')') == std::string_view::npos)) {
    const size_t equals = head.find('=');
    const bool initialiser = equals != std::string_view::npos && equals < head.find('(') && head.find("operator") == std::string_view::npos;
    if (!initialiser && !(type && head.rfind("alignas") != std::string_view::npos && head.find(") {") == std::string_view::npos)) {
      return Block::kFunction;
    }
  }
  return type ? Block::kType : Block::kOther;
}

bool HasReason(const File& file, int first, int last) {
  const int from = std::max(0, first - 4);
  for (int i = from; i < last && i < int(file.lines.size()); ++i) {
    if (file.lines[i].find("tidy: long function: ") != std::string::npos) return true;
  }
  return false;
}

}  // namespace

void CheckFunctions(const File& file, std::vector<Finding>& findings) {
  struct Open {
    Block block;
    int line;
  };
  std::vector<Open> stack = {{Block::kNamespace, 0}};
  std::string head;
  int line = 1;
  bool preprocessor = false;
  for (size_t i = 0; i < file.code.size(); ++i) {
    const char c = file.code[i];
    if (c == '\n') {
      ++line;
      if (preprocessor && (i == 0 || file.code[i - 1] != '\\')) preprocessor = false;
    }
    if (c == '#' && (i == 0 || file.code[i - 1] == '\n')) preprocessor = true;
    if (preprocessor) continue;
    if (c == '{') {
      stack.push_back({Classify(head, stack.back().block), line});
      head.clear();
    } else if (c == '}') {
      head.clear();
      if (stack.size() == 1) continue;  // unbalanced: the compiler will say so
      const Open open = stack.back();
      stack.pop_back();
      const int lines = line - open.line + 1;
      if (open.block == Block::kFunction && lines > kFunctionLinesMax && !HasReason(file, open.line, line)) {
        findings.push_back({file.path, open.line, "function of " + std::to_string(lines) + " lines (limit " +
                                                      std::to_string(kFunctionLinesMax) + ")"});
      }
    } else if (c == ';') {
      head.clear();
    } else {
      head.push_back(c);
    }
  }
}

}  // namespace tidy
