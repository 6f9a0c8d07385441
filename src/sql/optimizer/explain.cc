// EXPLAIN: a plan as text or JSON, in the shape of PostgreSQL's (documentation, "Using EXPLAIN").
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "orrery/sql/optimizer/optimizer.h"

namespace orrery::sql {
namespace {

std::string JoinPrefix(JoinType join) {
  switch (join) {
    case JoinType::kLeft: return " Left Join";
    case JoinType::kRight: return " Right Join";
    case JoinType::kFull: return " Full Join";
    case JoinType::kSemi: return " Semi Join";
    case JoinType::kAnti: return " Anti Join";
    case JoinType::kInner: break;
  }
  return "";
}

std::string OnTable(const Table& table, const std::string& alias) {
  std::string out = " on " + table.name();
  if (!alias.empty() && alias != table.name()) out += " " + alias;
  return out;
}

std::string ByKey(const Table& table, const std::string& alias) {
  const std::string& name = table.descriptor.primary_key_name;
  return " using " + (name.empty() ? table.name() + "_rowid" : name) + OnTable(table, alias);
}

std::string KeyName(const Table& table, size_t position) { return table.columns()[table.key[position].ordinal].name; }

// "(a = 1) AND (b > 2)" for the bounds of a scan.
std::string BoundsText(const Table& table, const KeyBounds& bounds) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < bounds.equal.size(); ++i) parts.push_back("(" + KeyName(table, i) + " = " + ExprToSql(*bounds.equal[i]) + ")");
  const size_t next = bounds.equal.size();
  const auto add = [&](std::string_view op, const ExprPtr& value) {
    parts.push_back("(" + KeyName(table, next) + std::string(op) + ExprToSql(*value) + ")");
  };
  if (bounds.lower) add(bounds.lower_inclusive ? " >= " : " > ", bounds.lower);
  if (bounds.upper) add(bounds.upper_inclusive ? " <= " : " < ", bounds.upper);
  std::string out;
  for (const auto& part : parts) out += (out.empty() ? "" : " AND ") + part;
  return parts.size() > 1 ? "(" + out + ")" : out;
}

std::string KeyText(const Table& table, const std::vector<ExprPtr>& key) {
  KeyBounds bounds;
  bounds.equal = key;
  return BoundsText(table, bounds);
}

std::string ListText(const std::vector<ExprPtr>& exprs) {
  std::string out;
  for (const auto& e : exprs) out += (out.empty() ? "" : ", ") + ExprToSql(*e);
  return out;
}

std::string SortText(const std::vector<SortKey>& keys) {
  std::string out;
  for (const SortKey& key : keys) {
    const bool descending = key.direction == SortDirection::kDescending;
    out += (out.empty() ? "" : ", ") + ExprToSql(*key.expr) + (descending ? " DESC" : "");
    if ((key.nulls == NullsOrder::kFirst) != descending) out += descending ? " NULLS LAST" : " NULLS FIRST";
  }
  return out;
}

using Property = std::pair<std::string, std::string>;

void AddLeafProperties(const PhysicalTableLeaf& leaf, std::vector<Property>& out) {
  if (leaf.filter) out.emplace_back("Filter", ExprToSql(*leaf.filter));
}

void AddPointProperties(const PhysicalNode& node, std::vector<Property>& out) {
  const auto& point = static_cast<const PhysicalPoint&>(node);
  out.emplace_back("Index Cond", KeyText(*point.table, point.key));
  if (point.filter) out.emplace_back("Filter", ExprToSql(*point.filter));
}

void AddHashJoinProperties(const PhysicalHashJoin& join, std::vector<Property>& out) {
  std::string condition;
  for (size_t i = 0; i < join.left_keys.size(); ++i) {
    condition += (i ? " AND " : "") + ("(" + ExprToSql(*join.left_keys[i]) + " = " + ExprToSql(*join.right_keys[i]) + ")");
  }
  out.emplace_back("Hash Cond", condition);
  if (join.residual) out.emplace_back("Join Filter", ExprToSql(*join.residual));
}

std::vector<Property> Properties(const PhysicalNode& node) {
  std::vector<Property> out;
  switch (node.kind) {
    case PhysicalKind::kPointGet:
    case PhysicalKind::kPointUpdate:
    case PhysicalKind::kPointDelete: AddPointProperties(node, out); break;
    case PhysicalKind::kScan: {
      const auto& scan = node.As<PhysicalScan>();
      if (!scan.bounds.unbounded()) out.emplace_back("Index Cond", BoundsText(*scan.table, scan.bounds));
      AddLeafProperties(scan, out);
      break;
    }
    case PhysicalKind::kKeyLookup: {
      const auto& lookup = node.As<PhysicalKeyLookup>();
      out.emplace_back("Index Cond", lookup.array              ? "key = ANY (" + ExprToSql(*lookup.array) + ")"
                                     : lookup.keys.size() == 1 ? KeyText(*lookup.table, lookup.keys[0])
                                                               : std::to_string(lookup.keys.size()) + " keys");
      AddLeafProperties(lookup, out);
      break;
    }
    case PhysicalKind::kVirtualScan: AddLeafProperties(node.As<PhysicalVirtualScan>(), out); break;
    case PhysicalKind::kFunctionScan: {
      const auto& call = node.As<PhysicalFunctionScan>();
      out.emplace_back("Function Call", call.function_name + "(" + ListText(call.args) + ")");
      break;
    }
    case PhysicalKind::kFilter: out.emplace_back("Filter", ExprToSql(*node.As<PhysicalFilter>().condition)); break;
    case PhysicalKind::kHashJoin: AddHashJoinProperties(node.As<PhysicalHashJoin>(), out); break;
    case PhysicalKind::kLookupJoin: {
      const auto& join = node.As<PhysicalLookupJoin>();
      out.emplace_back("Index Cond", KeyText(*join.table, join.keys));
      if (join.residual) out.emplace_back("Join Filter", ExprToSql(*join.residual));
      break;
    }
    case PhysicalKind::kNestedLoopJoin:
      if (const auto& c = node.As<PhysicalNestedLoopJoin>().condition) out.emplace_back("Join Filter", ExprToSql(*c));
      break;
    case PhysicalKind::kHashAggregate: out.emplace_back("Group Key", ListText(node.As<PhysicalAggregate>().groups)); break;
    case PhysicalKind::kSort: out.emplace_back("Sort Key", SortText(node.As<PhysicalSort>().keys)); break;
    default: break;
  }
  return out;
}

std::string CostText(const Estimate& e) {
  char buffer[128];
  std::snprintf(buffer, sizeof buffer, "  (cost=%.2f..%.2f rows=%.0f width=%.0f)", e.startup_cost, e.total_cost, e.rows, e.width);
  return buffer;
}

void TextNode(const PhysicalNode& node, const ExplainOptions& options, int depth, std::vector<std::string>& lines) {
  const std::string indent(size_t(depth) * 6, ' ');
  std::string line = depth == 0 ? "" : indent.substr(4) + "->  ";
  line += ExplainNodeName(node);
  if (options.costs) line += CostText(node.estimate);
  lines.push_back(std::move(line));
  std::string column_names;
  if (options.verbose) {
    for (const auto& column : node.output) column_names += (column_names.empty() ? "" : ", ") + column.name;
    lines.push_back(indent + "  Output: " + column_names);
  }
  for (const auto& [name, value] : Properties(node)) lines.push_back(indent + "  " + name + ": " + value);
  for (const auto& input : node.inputs) TextNode(*input, options, depth + 1, lines);
}

nlohmann::ordered_json JsonNode(const PhysicalNode& node, const ExplainOptions& options) {
  nlohmann::ordered_json out;
  out["Node Type"] = ExplainNodeName(node);
  if (options.costs) {
    out["Startup Cost"] = std::round(node.estimate.startup_cost * 100) / 100;
    out["Total Cost"] = std::round(node.estimate.total_cost * 100) / 100;
    out["Plan Rows"] = int64_t(node.estimate.rows);
    out["Plan Width"] = int64_t(node.estimate.width);
  }
  for (const auto& [name, value] : Properties(node)) out[name] = value;
  for (const auto& input : node.inputs) out["Plans"].push_back(JsonNode(*input, options));
  return out;
}

std::string PointName(const PhysicalNode& node, std::string_view verb) {
  const auto& point = static_cast<const PhysicalPoint&>(node);
  return std::string(verb) + ByKey(*point.table, point.alias);
}

std::string LeafName(const PhysicalNode& node, std::string_view access) {
  const auto& leaf = static_cast<const PhysicalTableLeaf&>(node);
  return std::string(access) + (access == "Seq Scan" ? OnTable(*leaf.table, leaf.alias) : ByKey(*leaf.table, leaf.alias));
}

std::string ScanName(const PhysicalScan& scan) {
  if (scan.bounds.unbounded() && !scan.reverse) return LeafName(scan, "Seq Scan");
  return LeafName(scan, scan.reverse ? "Index Scan Backward" : "Index Scan");
}

std::string TableNodeName(const PhysicalNode& node) {
  switch (node.kind) {
    case PhysicalKind::kPointGet: return PointName(node, "Index Scan");
    case PhysicalKind::kPointUpdate: return PointName(node, "Update by key");
    case PhysicalKind::kPointDelete: return PointName(node, "Delete by key");
    case PhysicalKind::kPointInsert: return "Insert" + OnTable(*node.As<PhysicalPointInsert>().table, "");
    case PhysicalKind::kScan: return ScanName(node.As<PhysicalScan>());
    case PhysicalKind::kKeyLookup: return LeafName(node, "Index Scan");
    case PhysicalKind::kVirtualScan: return LeafName(node, "Seq Scan");
    case PhysicalKind::kLookupJoin: {
      const auto& join = node.As<PhysicalLookupJoin>();
      return "Lookup Join" + JoinPrefix(join.join) + ByKey(*join.table, join.alias);
    }
    case PhysicalKind::kInsert: return "Insert" + OnTable(*node.As<PhysicalInsert>().table, "");
    case PhysicalKind::kUpdate: return "Update" + OnTable(*node.As<PhysicalUpdate>().table, "");
    case PhysicalKind::kDelete: return "Delete" + OnTable(*node.As<PhysicalDelete>().table, "");
    default: return "";
  }
}

}  // namespace

std::string ExplainNodeName(const PhysicalNode& node) {
  switch (node.kind) {
    case PhysicalKind::kFunctionScan: return "Function Scan on " + node.As<PhysicalFunctionScan>().function_name;
    case PhysicalKind::kValues: return node.As<PhysicalValues>().output.empty() ? "Result" : "Values Scan";
    case PhysicalKind::kExternal: return "Copy Input";
    case PhysicalKind::kFilter: return "Filter";
    case PhysicalKind::kProject: return "Projection";
    case PhysicalKind::kHashJoin: {
      const JoinType join = node.As<PhysicalHashJoin>().join;
      return join == JoinType::kInner ? "Hash Join" : "Hash" + JoinPrefix(join);
    }
    case PhysicalKind::kNestedLoopJoin: return "Nested Loop" + JoinPrefix(node.As<PhysicalNestedLoopJoin>().join);
    case PhysicalKind::kHashAggregate: return "HashAggregate";
    case PhysicalKind::kStreamAggregate: return "Aggregate";
    case PhysicalKind::kDistinctOn: return "Unique";
    case PhysicalKind::kWindow: return "WindowAgg";
    case PhysicalKind::kSort: return node.As<PhysicalSort>().top ? "Sort (top rows)" : "Sort";
    case PhysicalKind::kLimit: return "Limit";
    case PhysicalKind::kSetOperation: {
      const auto& set = node.As<PhysicalSetOperation>();
      if (set.operation == SetOperation::kUnion) return set.all ? "Append" : "Union";
      const std::string name = set.operation == SetOperation::kIntersect ? "SetOp Intersect" : "SetOp Except";
      return set.all ? name + " All" : name;
    }
    default: return TableNodeName(node);
  }
}

std::vector<std::string> ExplainPlan(const PhysicalPlan& plan, const ExplainOptions& options) {
  if (options.format == ExplainOptions::Format::kJson) {
    nlohmann::ordered_json document;
    document["Plan"] = JsonNode(*plan.root, options);
    for (const auto& subplan : plan.subplans) document["Subplans"].push_back(JsonNode(*subplan.root, options));
    return {nlohmann::ordered_json::array({document}).dump(2)};
  }
  std::vector<std::string> lines;
  TextNode(*plan.root, options, 0, lines);
  for (size_t i = 0; i < plan.subplans.size(); ++i) {
    lines.push_back("  SubPlan " + std::to_string(i + 1));
    TextNode(*plan.subplans[i].root, options, 1, lines);
  }
  return lines;
}

}  // namespace orrery::sql
