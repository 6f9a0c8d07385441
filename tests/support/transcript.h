// Transcript tests: a text file of commands with the output each must print, after cockroachdb/datadriven.
//
//   # comment
//   command arg key=value key=(a,b)
//   more input lines, up to the separator
//   ----
//   expected output, up to an empty line
//
// Run with ORRERY_REWRITE=1 in the environment to write what was printed into the file instead of comparing;
// then read the difference.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace orrery::transcript {

struct Command {
  std::string position;                              // "file:line", for messages
  std::string name;
  std::vector<std::string> args;                     // words without '='
  std::map<std::string, std::vector<std::string>> options;  // key=value, key=(v1,v2)
  std::string input;                                 // the lines before ----

  bool Has(const std::string& key) const { return options.contains(key); }
  // The single value of an option, or `fallback` where it is absent.
  std::string Get(const std::string& key, const std::string& fallback = "") const;
  uint64_t GetUint(const std::string& key, uint64_t fallback = 0) const;
};

// Runs every file below `folder` (sorted by name). `make_handler` is called once a file; the handler returns
// what the command prints. Differences are GoogleTest failures with file and line.
using Handler = std::function<std::string(const Command&)>;
void RunFolder(const std::string& folder, const std::function<Handler()>& make_handler);

}  // namespace orrery::transcript
