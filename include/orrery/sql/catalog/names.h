// Names PostgreSQL chooses for constraints that were given none. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orrery/sql/catalog/descriptor.h"

namespace orrery::sql {

// True if the stored expression mentions a column of that name.
bool UsesColumn(std::string_view expression_sql, std::string_view column);
// <table>_<column>_check if the expression is about one column, else <table>_check; a number is appended
// until no check of the table has the name.
std::string ChooseCheckName(const TableDescriptor& descriptor, std::string_view check_sql);

}  // namespace orrery::sql
