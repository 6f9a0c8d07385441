// Parse: SQL text → ParsedStatements, by PostgreSQL 15's own grammar (libpg_query) inside one file. Pure
// and thread-safe. Never crashes on any input: length and nesting are limited.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/sql/parser/parsed_statement.h"

namespace orrery::sql {

struct ParserLimits {
  size_t query_bytes_max = 64u << 20;  // longer: 54000
  int depth_max = 400;                 // deeper nesting: 54001. Session stacks are 1 MiB
};

// The statements of a query string, in order; empty for an empty string. Syntax errors are 42601 with
// PostgreSQL's message and character position.
StatusOr<std::vector<ParsedStatement>> Parse(std::string_view query, const ParserLimits& limits = {});

// One expression, as stored in descriptors (DEFAULT, CHECK). `text` need not outlive the call.
StatusOr<ParsedExprPtr> ParseExpression(std::string_view text, const ParserLimits& limits = {});

// 1-based character position of a byte offset, as error fields have it; 0 for an unknown offset.
int CharacterPosition(std::string_view query, int byte_offset);

// "SELECT", "INSERT", "CREATE TABLE": the command's name, as command tags begin.
std::string_view CommandName(const ParsedNode& node);

// An identifier as SQL text: quoted where it must be.
std::string QuoteIdentifier(std::string_view name);

}  // namespace orrery::sql
