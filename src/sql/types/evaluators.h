// EvaluatorTable: from PostgreSQL's C function names to our evaluators. Each family of functions
// has a Register function; BuildFunctionCatalog calls them all, then joins the table with the rows
// of pg_proc.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "orrery/base/hash.h"
#include "orrery/sql/types/aggregates.h"
#include "orrery/sql/types/compare.h"
#include "orrery/sql/types/functions.h"

namespace orrery::sql {

using Args = std::span<const Datum>;

class EvaluatorTable {
 public:
  struct Entry {
    Evaluator evaluate = nullptr;
    bool needs_argument_types = false;
  };

  void Add(std::string_view symbol, Evaluator evaluate) {
    const bool fresh = entries_.emplace(std::string(symbol), Entry{evaluate, false}).second;
    ORRERY_ASSERT(fresh, "EvaluatorTable: one evaluator a symbol");
  }
  void AddTyped(std::string_view symbol, Evaluator evaluate) {
    Add(symbol, evaluate);
    entries_.find(symbol)->second.needs_argument_types = true;
  }
  const Entry* Find(std::string_view symbol) const {
    const auto it = entries_.find(symbol);
    return it == entries_.end() ? nullptr : &it->second;
  }

  // Six comparison functions: prefix + "eq" … for a three-way comparison of two arguments.
  template <auto kCompare>
  void AddComparisons(const std::string& prefix, const std::string& suffix = "") {
    Add(prefix + "eq" + suffix, &Compared<kCompare, Equal>);
    Add(prefix + "ne" + suffix, &Compared<kCompare, NotEqual>);
    Add(prefix + "lt" + suffix, &Compared<kCompare, Less>);
    Add(prefix + "le" + suffix, &Compared<kCompare, LessEqual>);
    Add(prefix + "gt" + suffix, &Compared<kCompare, Greater>);
    Add(prefix + "ge" + suffix, &Compared<kCompare, GreaterEqual>);
  }
  template <auto kCompare>
  void AddLargerSmaller(const std::string& prefix) {
    Add(prefix + "larger", [](EvalContext&, Args a, Datum* out) -> Status {
      *out = kCompare(a[0], a[1]) > 0 ? a[0] : a[1];
      return OkStatus();
    });
    Add(prefix + "smaller", [](EvalContext&, Args a, Datum* out) -> Status {
      *out = kCompare(a[0], a[1]) < 0 ? a[0] : a[1];
      return OkStatus();
    });
  }
  template <auto kCompare>
  void AddCmp(const std::string& symbol) {
    Add(symbol, [](EvalContext&, Args a, Datum* out) -> Status {
      const auto order = kCompare(a[0], a[1]);
      *out = Datum::Int(order < 0 ? -1 : order > 0 ? 1 : 0);
      return OkStatus();
    });
  }

 private:
  static bool Equal(std::strong_ordering o) { return o == 0; }
  static bool NotEqual(std::strong_ordering o) { return o != 0; }
  static bool Less(std::strong_ordering o) { return o < 0; }
  static bool LessEqual(std::strong_ordering o) { return o <= 0; }
  static bool Greater(std::strong_ordering o) { return o > 0; }
  static bool GreaterEqual(std::strong_ordering o) { return o >= 0; }
  template <auto kCompare, bool (*kTest)(std::strong_ordering)>
  static Status Compared(EvalContext&, Args a, Datum* out) {
    *out = Datum::Bool(kTest(kCompare(a[0], a[1])));
    return OkStatus();
  }

  std::unordered_map<std::string, Entry, StringHash, StringEq> entries_;
};

template <Oid kType>
std::strong_ordering CompareAs(const Datum& a, const Datum& b) {
  return CompareDatums(kType, a, b);
}

void RegisterIntegerFunctions(EvaluatorTable& table);
void RegisterFloatFunctions(EvaluatorTable& table);
void RegisterNumericFunctions(EvaluatorTable& table);
void RegisterStringFunctions(EvaluatorTable& table);
void RegisterStringFormatFunctions(EvaluatorTable& table);
void RegisterByteaFunctions(EvaluatorTable& table);
void RegisterPatternFunctions(EvaluatorTable& table);
void RegisterDateTimeOperators(EvaluatorTable& table);
void RegisterDateTimeFunctions(EvaluatorTable& table);
void RegisterFormattingFunctions(EvaluatorTable& table);
void RegisterRegexpFunctions(EvaluatorTable& table);
void RegisterDegreeFunctions(EvaluatorTable& table);
void RegisterSizeFunctions(EvaluatorTable& table);
void RegisterDateTimeOverlaps(EvaluatorTable& table);
void RegisterSessionFunctions(EvaluatorTable& table);
void RegisterCatalogFunctions(EvaluatorTable& table);
void RegisterArrayFunctions(EvaluatorTable& table);

// The aggregate of pg_proc row (name, arguments); null if this server has none. `keep` owns it.
// array_agg of values of a type.
const Aggregate* MakeArrayAggregate(Oid element, std::vector<std::unique_ptr<const Aggregate>>& keep);
const Aggregate* MakeAggregate(std::string_view name, std::span<const Oid> arguments,
                               std::vector<std::unique_ptr<const Aggregate>>& keep);

}  // namespace orrery::sql
