// tidy: the house rules that a program can check (docs/design/style.md). Run by ctest over the whole tree.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidy {

struct Finding {
  std::string path;  // relative to the root
  int line;
  std::string text;
};

struct File {
  std::string path;                // relative to the root, with '/'
  std::vector<std::string> lines;
  std::string code;                // comments, strings and character literals blanked; same length and lines
};

// Replaces comments and literals by blanks so that checks see code only.
std::string BlankCommentsAndLiterals(std::string_view text);

// Includes against the arrows of architecture.md section 3.
void CheckArrows(const File& file, std::vector<Finding>& findings);
// Functions over the limit; a function with a comment "tidy: long function: <reason>" in or right above it passes.
void CheckFunctions(const File& file, std::vector<Finding>& findings);

inline constexpr int kHeaderLinesMax = 300;
inline constexpr int kSourceLinesMax = 800;
inline constexpr int kFunctionLinesMax = 70;

}  // namespace tidy
