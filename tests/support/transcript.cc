#include "support/transcript.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace orrery::transcript {
namespace {

std::vector<std::string> SplitWords(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  int depth = 0;
  for (const char c : line) {
    if (c == '(') ++depth;
    if (c == ')') --depth;
    if ((c == ' ' || c == '\t') && depth == 0) {
      if (!word.empty()) words.push_back(std::exchange(word, ""));
    } else {
      word.push_back(c);
    }
  }
  if (!word.empty()) words.push_back(word);
  return words;
}

std::vector<std::string> SplitValues(std::string text) {
  if (text.size() < 2 || text.front() != '(' || text.back() != ')') return {text};
  text = text.substr(1, text.size() - 2);
  std::vector<std::string> values;
  std::stringstream in(text);
  for (std::string value; std::getline(in, value, ',');) {
    while (!value.empty() && value.front() == ' ') value.erase(0, 1);
    values.push_back(value);
  }
  return values;
}

Command ParseCommand(const std::string& line, const std::string& position) {
  Command command;
  command.position = position;
  const auto words = SplitWords(line);
  command.name = words.front();
  for (size_t i = 1; i < words.size(); ++i) {
    const auto eq = words[i].find('=');
    if (eq == std::string::npos) {
      command.args.push_back(words[i]);
    } else {
      command.options[words[i].substr(0, eq)] = SplitValues(words[i].substr(eq + 1));
    }
  }
  return command;
}

void RunFile(const std::filesystem::path& path, const Handler& handler, bool rewrite) {
  std::ifstream in(path);
  std::string rewritten;
  std::string line;
  int line_number = 0;
  const auto next = [&] { ++line_number; return bool(std::getline(in, line)); };
  while (next()) {
    if (line.empty() || line.front() == '#') {
      rewritten += line + "\n";
      continue;
    }
    const std::string position = path.filename().string() + ":" + std::to_string(line_number);
    Command command = ParseCommand(line, position);
    rewritten += line + "\n";
    bool separated = false;
    while (next()) {
      rewritten += line + "\n";
      if (line == "----") { separated = true; break; }
      command.input += line + "\n";
    }
    ASSERT_TRUE(separated) << position << ": no ---- after the command";
    std::string expected;
    while (next() && !line.empty()) expected += line + "\n";
    std::string actual = handler(command);
    if (!actual.empty() && actual.back() != '\n') actual += "\n";
    rewritten += actual + "\n";
    if (!rewrite) {
      EXPECT_EQ(actual, expected) << position << ": " << command.name;
    }
  }
  if (rewrite) {
    while (rewritten.ends_with("\n\n")) rewritten.pop_back();
    std::ofstream(path) << rewritten;
  }
}

}  // namespace

std::string Command::Get(const std::string& key, const std::string& fallback) const {
  const auto it = options.find(key);
  return it == options.end() || it->second.empty() ? fallback : it->second.front();
}
uint64_t Command::GetUint(const std::string& key, uint64_t fallback) const {
  return Has(key) ? std::stoull(Get(key)) : fallback;
}

void RunFolder(const std::string& folder, const std::function<Handler()>& make_handler) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  ASSERT_FALSE(files.empty()) << "no transcripts in " << folder;
  const bool rewrite = std::getenv("ORRERY_REWRITE") != nullptr;
  for (const auto& file : files) RunFile(file, make_handler(), rewrite);
}

}  // namespace orrery::transcript
