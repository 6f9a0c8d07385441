// sqllogic: runs SQL logic files against a server. See tests/sql/README.md.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>
#include <stdexcept>

#include "script.h"
#include "session.h"

namespace sqllogic {
namespace {

struct Options {
  std::vector<std::string> urls;
  std::vector<std::string> files;
  std::string protocol = "simple";
  bool rewrite = false;
  std::string known_path;        // records that this server is known to fail: see README.md
  std::set<std::string> known;   // "file.sqltest:line"
  std::string write_known_path;
  int failures_max = 20;  // shown per file
};

struct Counts {
  int passed = 0;
  int failed = 0;
  int skipped = 0;
  int known = 0;
};

class FileRun {
 public:
  FileRun(const Options& options, const std::string& path, size_t first_url)
      : options_(options), path_(path), sessions_(options.urls, first_url), extended_(options.protocol == "extended") {}

  Counts Run() {
    sessions_.DropTables();
    postgres_ = IsPostgres();
    auto records = Parse(path_);
    for (Record& record : records) Step(record);
    if (options_.rewrite) std::ofstream(path_) << Format(records);
    FinishOpenTransactions();
    sessions_.DropTables();
    return counts_;
  }

 private:
  bool IsPostgres() {
    sessions_.Send("", "SELECT version()", false);
    const Answer answer = sessions_.Await("");
    return !answer.rows.empty() && answer.rows[0].find("OrreryDB") == std::string::npos;
  }

  void Step(Record& record) {
    if (record.kind == Kind::kText) return;
    if (skip_) {
      if (record.kind <= Kind::kQuery) ++counts_.skipped;
      return;
    }
    switch (record.kind) {
      case Kind::kProtocol:
        extended_ = (record.argument == "default" ? options_.protocol : record.argument) == "extended";
        break;
      case Kind::kOnly:
        skip_ = !record.argument.starts_with(postgres_ ? "server=postgres" : "server=orrerydb");
        break;
      case Kind::kAwait: {
        const auto pending = pending_.find(record.argument);
        if (pending == pending_.end()) throw std::runtime_error(path_ + ": nothing to await on " + record.argument);
        Judge(*pending->second, sessions_.Await(record.argument));
        pending_.erase(pending);
        break;
      }
      default:
        sessions_.Send(record.connection, record.sql, extended_);
        if (record.async) {
          pending_[record.connection] = &record;
        } else {
          Judge(record, sessions_.Await(record.connection));
        }
    }
  }

  void Judge(Record& record, const Answer& answer) {
    if (options_.rewrite) Adopt(answer, record);
    std::string difference = Compare(record, answer);
    const std::string place = path_.substr(path_.rfind('/') + 1) + ":" + std::to_string(record.line);
    if (!postgres_ && options_.known.contains(place)) {
      if (!difference.empty()) {
        ++counts_.known;
        return;
      }
      difference = "passes now: take it out of the list of known failures";
    } else if (difference.empty()) {
      ++counts_.passed;
      return;
    }
    if (!options_.write_known_path.empty()) std::ofstream(options_.write_known_path, std::ios::app) << place << "\n";
    if (++counts_.failed <= options_.failures_max) {
      std::printf("%s:%d: %s\n  %s\n", path_.c_str(), record.line, record.sql.c_str(), difference.c_str());
    }
  }

  void FinishOpenTransactions() {
    sessions_.Send("", "ROLLBACK", false);
    sessions_.Await("");
  }

  const Options& options_;
  std::string path_;
  Sessions sessions_;
  bool extended_;
  bool postgres_ = false;
  bool skip_ = false;
  Counts counts_;
  std::map<std::string, Record*> pending_;
};

const char kUsage[] =
    "usage: sqllogic --url URL [--url URL…] [--protocol simple|extended] [--rewrite] [--known LIST] [--write-known LIST] [--show N] FILE…\n"
    "Runs SQL logic files (tests/sql/README.md). Several URLs are nodes of one cluster: files and named connections\n"
    "take them in turn. --rewrite adopts the server's answers: only against a PostgreSQL 15. --known: records that OrreryDB is known to\n"
    "fail; one that passes is an error. --write-known appends what fails. --show: failures shown a file.\n";

bool ParseArguments(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "--url" && has_value) {
      options.urls.push_back(argv[++i]);
    } else if (word == "--protocol" && has_value) {
      options.protocol = argv[++i];
    } else if (word == "--show" && has_value) {
      options.failures_max = std::atoi(argv[++i]);
    } else if (word == "--known" && has_value) {
      options.known_path = argv[++i];
    } else if (word == "--write-known" && has_value) {
      options.write_known_path = argv[++i];
    } else if (word == "--rewrite") {
      options.rewrite = true;
    } else if (word.starts_with("--")) {
      return false;
    } else {
      options.files.push_back(word);
    }
  }
  std::ifstream known(options.known_path);
  for (std::string line; std::getline(known, line);) {
    if (!line.empty() && line.front() != '#') options.known.insert(line);
  }
  return !options.urls.empty() && !options.files.empty();
}

int Main(int argc, char** argv) {
  Options options;
  if (!ParseArguments(argc, argv, options)) {
    const bool help = argc == 2 && std::strcmp(argv[1], "--help") == 0;
    std::fputs(kUsage, help ? stdout : stderr);
    return help ? 0 : 2;
  }
  Counts total;
  size_t number = 0;
  for (const auto& file : options.files) {
    Counts counts;
    try {
      counts = FileRun(options, file, number++).Run();
    } catch (const std::exception& e) {
      std::printf("%s: %s\n", file.c_str(), e.what());
      ++counts.failed;
    }
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
    total.known += counts.known;
    if (counts.failed) std::printf("%s: %d of %d records failed\n", file.c_str(), counts.failed, counts.failed + counts.passed);
    std::fflush(stdout);
  }
  if (total.known) std::printf("%d records failed as known (%s)\n", total.known, options.known_path.c_str());
  std::printf("%d passed, %d failed, %d skipped\n", total.passed, total.failed, total.skipped);
  return total.failed ? 1 : 0;
}

}  // namespace
}  // namespace sqllogic

int main(int argc, char** argv) { return sqllogic::Main(argc, argv); }
