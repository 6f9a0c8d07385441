// A test file as records. Format: tests/sql/README.md.
#pragma once

#include <string>
#include <vector>

namespace sqllogic {

enum class Kind { kText, kStatement, kQuery, kAwait, kProtocol, kOnly };

struct Record {
  Kind kind = Kind::kText;
  int line = 0;                       // of the first line, 1-based
  std::vector<std::string> verbatim;  // kText: comments and empty lines
  std::string connection;             // empty: the default one
  bool async = false;
  bool expect_error = false;
  std::string sqlstate;               // of the expected error
  std::string message;                // expected message, or command tag of a statement; empty: any
  std::string types;                  // of a query's columns, "int4,text"
  bool rowsort = false;
  std::string sql;
  std::vector<std::string> rows;      // expected, formatted
  std::string argument;               // protocol, only, await
};

struct Answer {
  bool error = false;
  std::string sqlstate;
  std::string message;
  std::string tag;
  std::string types;
  std::vector<std::string> rows;
};

// Throws std::runtime_error naming file and line on a malformed file.
std::vector<Record> Parse(const std::string& path);
// The record with its expectation replaced by the answer.
void Adopt(const Answer& answer, Record& record);
std::string Format(const std::vector<Record>& records);
// Empty if the answer is as expected; else what differs.
std::string Compare(const Record& record, const Answer& answer);

}  // namespace sqllogic
