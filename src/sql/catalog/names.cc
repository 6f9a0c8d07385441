#include "orrery/sql/catalog/names.h"

#include <algorithm>

#include "orrery/sql/parser/parser.h"

namespace orrery::sql {

namespace {
void CollectColumns(const ParsedExpr* expr, std::vector<std::string>& out) {
  if (!expr) return;
  if (expr->kind == ParsedExpr::Kind::kColumn && !expr->names.empty()) {
    const std::string& name = expr->names.back();
    if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
  }
  for (const ParsedExprPtr& arg : expr->args) CollectColumns(arg.get(), out);
}

std::vector<std::string> ColumnsOf(std::string_view sql) {
  std::vector<std::string> out;
  auto parsed = ParseExpression(sql);
  if (parsed.ok()) CollectColumns(parsed->get(), out);
  return out;
}
}  // namespace

bool UsesColumn(std::string_view expression_sql, std::string_view column) {
  const auto columns = ColumnsOf(expression_sql);
  return std::find(columns.begin(), columns.end(), column) != columns.end();
}

std::string ChooseCheckName(const TableDescriptor& descriptor, std::string_view check_sql) {
  const auto columns = ColumnsOf(check_sql);
  const std::string stem = descriptor.name + (columns.size() == 1 ? "_" + columns[0] : "") + "_check";
  for (int suffix = 0;; ++suffix) {
    const std::string name = suffix == 0 ? stem : stem + std::to_string(suffix);
    if (std::none_of(descriptor.checks.begin(), descriptor.checks.end(),
                     [&](const CheckDescriptor& check) { return check.name == name; }))
      return name;
  }
}

}  // namespace orrery::sql
