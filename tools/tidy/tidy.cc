#include "tidy.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

namespace tidy {
namespace {

namespace fs = std::filesystem;

struct Ban {
  std::regex pattern;
  std::string instead;
  std::vector<std::string> allowed_in;  // path prefixes
};

std::vector<Ban> MakeBans() {
  const std::vector<std::string> threads = {"src/runtime/threads/", "src/runtime/sim/baton", "tests/", "tools/"};
  const std::vector<std::string> sync = {"src/runtime/", "include/orrery/runtime/", "tests/", "tools/"};
  const std::vector<std::string> config = {"src/runtime/threads/", "src/server/", "src/cli/", "tests/", "tools/"};
  const auto ban = [](const char* pattern, const char* instead, std::vector<std::string> allowed) {
    return Ban{std::regex(pattern), instead, std::move(allowed)};
  };
  return {
      ban(R"(\bstd::(thread|jthread|async|this_thread)\b)", "runtime Scheduler", threads),
      ban(R"(\bstd::(mutex|shared_mutex|recursive_mutex|condition_variable|lock_guard|unique_lock|scoped_lock)\b)",
          "runtime Mutex and CondVar", threads),
      ban(R"(\babsl::(Mutex|MutexLock|CondVar|Now|SleepFor)\b)", "runtime Mutex, CondVar, Clock", sync),
      ban(R"(\b(steady_clock|system_clock|high_resolution_clock)\b)", "runtime Clock", threads),
      ban(R"(\b(sleep|usleep|nanosleep|sleep_for|sleep_until)\s*\()", "Scheduler::SleepFor, or a condition", threads),
      ban(R"(\b(std::random_device|std::rand|srand|drand48)\b|[^\w.>:]rand\s*\()", "runtime Random",
          {"src/runtime/threads/", "tests/", "tools/"}),
      ban(R"(\bthread_local\b)", "state of a node or a task", {"src/runtime/"}),
      ban(R"(\bgetenv\s*\()", "server configuration", config),
      ban(R"([^\w.:>]time\s*\(\s*(NULL|nullptr|0)\s*\))", "runtime Clock", {}),
      ban(R"((::|\s)(socket|accept4|epoll_create1)\s*\()", "runtime Network", {"src/runtime/threads/", "tests/", "tools/"}),
      ban(R"(\bgrpc::)", "runtime Transport", {"src/runtime/threads/"}),
      ban(R"(\brocksdb::)", "storage Engine", {"src/storage/engine/", "tests/unit/storage"}),
      ban(R"(\busing namespace\b(?! std::(chrono_literals|string_view_literals|string_literals)))", "qualified names", {}),
  };
}

const std::vector<std::string> kUnfinishedMarks = {"TO" "DO", "FIX" "ME", "XX" "X:", "HA" "CK"};

File Load(const fs::path& root, const fs::path& path) {
  File file;
  file.path = fs::relative(path, root).generic_string();
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  std::stringstream lines(text.str());
  for (std::string line; std::getline(lines, line);) file.lines.push_back(line);
  file.code = BlankCommentsAndLiterals(text.str());
  return file;
}

bool StartsWithAny(const std::string& path, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const auto& p) { return path.starts_with(p); });
}

void CheckBans(const File& file, std::vector<Finding>& findings) {
  static const std::vector<Ban> kBans = MakeBans();
  std::stringstream code(file.code);
  int number = 0;
  for (std::string line; std::getline(code, line);) {
    ++number;
    for (const Ban& ban : kBans) {
      std::smatch match;
      if (!StartsWithAny(file.path, ban.allowed_in) && std::regex_search(line, match, ban.pattern)) {
        findings.push_back({file.path, number, "banned: '" + match.str() + "'; use " + ban.instead});
      }
    }
  }
}

void CheckSizeAndMarks(const File& file, std::vector<Finding>& findings) {
  const bool header = file.path.ends_with(".h");
  const int limit = header ? kHeaderLinesMax : kSourceLinesMax;
  const bool excused = std::any_of(file.lines.begin(), file.lines.end(),
                                   [](const auto& l) { return l.find("tidy: long file: ") != std::string::npos; });
  if (int(file.lines.size()) > limit && !excused) {
    findings.push_back({file.path, 1, std::to_string(file.lines.size()) + " lines (limit " + std::to_string(limit) + ")"});
  }
  for (size_t i = 0; i < file.lines.size(); ++i) {
    for (const auto& mark : kUnfinishedMarks) {
      if (file.lines[i].find(mark) != std::string::npos) {
        findings.push_back({file.path, int(i + 1), "unfinished mark " + mark});
      }
    }
    // Characters, not bytes: a byte of the form 10xxxxxx continues one.
    const auto length = std::count_if(file.lines[i].begin(), file.lines[i].end(), [](char c) { return (c & 0xC0) != 0x80; });
    if (length > 140) findings.push_back({file.path, int(i + 1), "line over 140 characters"});
  }
  if (header && std::none_of(file.lines.begin(), file.lines.end(), [](const auto& l) { return l == "#pragma once"; })) {
    findings.push_back({file.path, 1, "header without #pragma once"});
  }
}

void CheckMarkdown(const File& file, std::vector<Finding>& findings) {
  if (file.lines.empty() || !file.lines.front().starts_with("# ")) {
    findings.push_back({file.path, 1, "a document begins with its title: '# …'"});
  }
}

void CheckFile(const File& file, std::vector<Finding>& findings) {
  if (file.path.ends_with(".md")) return CheckMarkdown(file, findings);
  CheckArrows(file, findings);
  CheckBans(file, findings);
  CheckSizeAndMarks(file, findings);
  CheckFunctions(file, findings);
}

int CheckTree(const fs::path& root) {
  std::vector<Finding> findings;
  int files = 0;
  for (const char* folder : {"include", "src", "tests", "tools", "docs"}) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const auto extension = entry.path().extension();
      if (!entry.is_regular_file() || (extension != ".h" && extension != ".cc" && extension != ".md")) continue;
      if (entry.path().generic_string().find("/node_modules/") != std::string::npos) continue;
      CheckFile(Load(root, entry.path()), findings);
      ++files;
    }
  }
  std::sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return std::tie(a.path, a.line) < std::tie(b.path, b.line);
  });
  for (const Finding& f : findings) std::printf("%s:%d: %s\n", f.path.c_str(), f.line, f.text.c_str());
  std::printf("tidy: %d files, %zu findings\n", files, findings.size());
  return findings.empty() ? 0 : 1;
}

// A check that cannot fail is a defect: each rule must find its planted violation.
int SelfTest() {
  struct Planted {
    std::string path, text, expect;
  };
  std::string long_function = "void F() {\n";
  for (int i = 0; i < kFunctionLinesMax; ++i) long_function += "  x();\n";
  const std::vector<Planted> planted = {
      {"src/raft/a.cc", "#include \"orrery/kv/api/keys.h\"\n", "arrow raft -> kv/api"},
      {"src/kv/client/a.cc", "#include \"kv/replica/replica.h\"\n", "private header"},
      {"src/kv/client/a.cc", "std::mutex m;\n", "banned"},
      {"src/kv/client/a.cc", "auto t = std::chrono::steady_clock::now();\n", "banned"},
      {"src/sql/exec/a.cc", "thread_local int x;\n", "banned"},
      {"src/sql/exec/a.cc", long_function + "}\n", "function of"},
      {"src/sql/exec/a.cc", "// TO" "DO later\n", "unfinished mark"},
      {"include/orrery/base/a.h", "int x;\n", "#pragma once"},
      {"docs/a.md", "no title\n", "title"},
  };
  int missed = 0;
  for (const auto& p : planted) {
    File file{p.path, {}, BlankCommentsAndLiterals(p.text)};
    std::stringstream lines(p.text);
    for (std::string line; std::getline(lines, line);) file.lines.push_back(line);
    std::vector<Finding> findings;
    CheckFile(file, findings);
    if (std::none_of(findings.begin(), findings.end(), [&](const auto& f) { return f.text.find(p.expect) != std::string::npos; })) {
      std::printf("self-test: not found: %s in %s\n", p.expect.c_str(), p.path.c_str());
      ++missed;
    }
  }
  std::printf("tidy self-test: %zu planted, %d missed\n", planted.size(), missed);
  return missed == 0 ? 0 : 1;
}

}  // namespace

std::string BlankCommentsAndLiterals(std::string_view text) {
  std::string out(text);
  const auto blank = [&](size_t from, size_t to) {
    for (size_t i = from; i < to && i < out.size(); ++i) {
      if (out[i] != '\n') out[i] = ' ';
    }
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    size_t end = i;
    if (rest.starts_with("//")) {
      end = std::min(text.find('\n', i), text.size());
      blank(i, end);
    } else if (rest.starts_with("/*")) {
      end = std::min(text.find("*/", i + 2), text.size() - 2) + 2;
      blank(i, end);
    } else if (rest.starts_with("R\"")) {
      const size_t open = text.find('(', i);
      const std::string close = ")" + std::string(text.substr(i + 2, open - i - 2)) + "\"";
      end = std::min(text.find(close, open), text.size() - close.size()) + close.size();
      blank(i + 1, end);
    } else if (rest.front() == '"' || (rest.front() == '\'' && (i == 0 || !std::isalnum(static_cast<unsigned char>(text[i - 1]))))) {
      if (rest.front() == '"') {
        const size_t start = text.rfind('\n', i) + 1;  // rfind's npos + 1 is 0
        if (text.substr(start).starts_with("#include")) continue;
      }
      for (end = i + 1; end < text.size() && text[end] != rest.front() && text[end] != '\n'; ++end) {
        if (text[end] == '\\') ++end;
      }
      ++end;
      blank(i + 1, end - 1);
    } else {
      continue;
    }
    i = std::max(end, i + 1) - 1;
  }
  return out;
}

}  // namespace tidy

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--self-test") return tidy::SelfTest();
  if (argc != 2 || argv[1][0] == '-') {
    std::printf("usage: tidy ROOT | tidy --self-test\nChecks the house rules over the source tree.\n");
    return argc == 2 && std::string_view(argv[1]) == "--help" ? 0 : 2;
  }
  return tidy::CheckTree(argv[1]);
}
