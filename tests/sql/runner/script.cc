#include "script.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace sqllogic {
namespace {

std::string TakeWord(std::string& text) {
  const size_t start = text.find_first_not_of(' ');
  if (start == std::string::npos) return text.clear(), "";
  size_t end = text.find(' ', start);
  if (end == std::string::npos) end = text.size();
  std::string word = text.substr(start, end - start);
  const size_t rest = text.find_first_not_of(' ', end);
  text = rest == std::string::npos ? "" : text.substr(rest);
  return word;
}


void ParseStatement(std::string rest, Record& r) {
  r.kind = Kind::kStatement;
  for (;;) {
    const std::string word = TakeWord(rest);
    if (word == "async") {
      r.async = true;
    } else if (word.starts_with("conn=")) {
      r.connection = word.substr(5);
    } else if (word == "ok") {
      r.message = rest;
      return;
    } else if (word == "error") {
      r.expect_error = true;
      r.sqlstate = TakeWord(rest);
      r.message = rest;
      return;
    } else {
      throw std::runtime_error("statement: expected 'ok' or 'error', got '" + word + "'");
    }
  }
}

void ParseQuery(std::string rest, Record& r) {
  r.kind = Kind::kQuery;
  while (!rest.empty()) {
    const std::string word = TakeWord(rest);
    if (word == "rowsort") {
      r.rowsort = true;
    } else if (word == "async") {
      r.async = true;
    } else if (word.starts_with("conn=")) {
      r.connection = word.substr(5);
    } else {
      r.types = word;
    }
  }
}

Record ParseHeader(const std::string& line, int number) {
  Record r;
  r.line = number;
  std::string rest = line;
  const std::string word = TakeWord(rest);
  if (word == "statement") {
    ParseStatement(rest, r);
  } else if (word == "query") {
    ParseQuery(rest, r);
  } else if (word == "await" || word == "protocol" || word == "only") {
    r.kind = word == "await" ? Kind::kAwait : word == "protocol" ? Kind::kProtocol : Kind::kOnly;
    r.argument = rest;
  } else {
    throw std::runtime_error("unknown record '" + word + "'");
  }
  return r;
}

std::string HeaderOf(const Record& r) {
  std::string out = r.kind == Kind::kQuery ? "query" : "statement";
  if (r.async) out += " async";
  if (!r.connection.empty()) out += " conn=" + r.connection;
  if (r.kind == Kind::kQuery) {
    if (!r.types.empty()) out += " " + r.types;
    if (r.rowsort) out += " rowsort";
    return out;
  }
  out += r.expect_error ? " error " + r.sqlstate : " ok";
  if (!r.message.empty()) out += " " + r.message;
  return out;
}

}  // namespace

std::vector<Record> Parse(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::vector<Record> records;
  std::string line;
  int number = 0;
  while (std::getline(in, line)) {
    ++number;
    if (line.empty() || line.front() == '#') {
      Record text;
      text.verbatim.push_back(line);
      records.push_back(text);
      continue;
    }
    try {
      Record r = ParseHeader(line, number);
      bool in_rows = false;
      while (r.kind <= Kind::kQuery && std::getline(in, line) && ++number && !line.empty()) {
        if (line == "----" && r.kind == Kind::kQuery) {
          in_rows = true;
        } else if (in_rows) {
          r.rows.push_back(line);
        } else {
          r.sql += (r.sql.empty() ? "" : "\n") + line;
        }
      }
      records.push_back(r);
      if (r.kind <= Kind::kQuery) records.push_back(Record{.verbatim = {""}});
    } catch (const std::exception& e) {
      throw std::runtime_error(path + ":" + std::to_string(number) + ": " + e.what());
    }
  }
  return records;
}

void Adopt(const Answer& answer, Record& record) {
  if (answer.error) {
    record.kind = Kind::kStatement;
    record.expect_error = true;
    record.sqlstate = answer.sqlstate;
    record.message = answer.message;
    record.rows.clear();
    return;
  }
  record.expect_error = false;
  if (answer.types.empty()) {
    record.kind = Kind::kStatement;
    record.message = answer.tag;
    return;
  }
  record.kind = Kind::kQuery;
  record.types = answer.types;
  record.rows = answer.rows;
  if (record.rowsort) std::sort(record.rows.begin(), record.rows.end());
}

std::string Format(const std::vector<Record>& records) {
  std::string out;
  for (const Record& r : records) {
    switch (r.kind) {
      case Kind::kText:
        for (const auto& line : r.verbatim) out += line + "\n";
        break;
      case Kind::kAwait: out += "await " + r.argument + "\n"; break;
      case Kind::kProtocol: out += "protocol " + r.argument + "\n"; break;
      case Kind::kOnly: out += "only " + r.argument + "\n"; break;
      case Kind::kStatement:
      case Kind::kQuery:
        out += HeaderOf(r) + "\n" + r.sql + "\n";
        if (r.kind == Kind::kQuery) {
          out += "----\n";
          for (const auto& row : r.rows) out += row + "\n";
        }
    }
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

std::string Compare(const Record& record, const Answer& answer) {
  const std::string got_error = "error " + answer.sqlstate + " " + answer.message;
  if (record.expect_error) {
    if (!answer.error) return "expected error " + record.sqlstate + " " + record.message + ", got success (" + answer.tag + ")";
    if (answer.sqlstate != record.sqlstate || (!record.message.empty() && answer.message != record.message)) {
      return "expected error " + record.sqlstate + " " + record.message + "\n       got " + got_error;
    }
    return "";
  }
  if (answer.error) return "expected success, got " + got_error;
  if (record.kind == Kind::kStatement) {
    if (!record.message.empty() && record.message != answer.tag) {
      return "expected tag " + record.message + ", got " + answer.tag;
    }
    return "";
  }
  if (!record.types.empty() && record.types != answer.types) {
    return "expected types " + record.types + ", got " + answer.types;
  }
  auto expected = record.rows;
  auto actual = answer.rows;
  if (record.rowsort) {
    std::sort(expected.begin(), expected.end());
    std::sort(actual.begin(), actual.end());
  }
  if (expected == actual) return "";
  std::string out = "expected " + std::to_string(expected.size()) + " rows, got " + std::to_string(actual.size()) + ":";
  for (size_t i = 0, shown = 0; i < std::max(expected.size(), actual.size()) && shown < 5; ++i) {
    const std::string want = i < expected.size() ? expected[i] : "(no row)";
    const std::string got = i < actual.size() ? actual[i] : "(no row)";
    if (want == got) continue;
    ++shown;
    out += "\n    row " + std::to_string(i + 1) + ": expected " + want + "\n           got " + got;
  }
  return out;
}

}  // namespace sqllogic
